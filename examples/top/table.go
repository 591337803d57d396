package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dockpod/dockpod"
)

// order is what the pods are sorted by.
type order int

const (
	byCPU order = iota
	byMemory
	byName
	orders // how many there are
)

func (o order) String() string { return [...]string{"CPU", "memory", "name"}[o] }

// view is what there is to show, and how.
type view struct {
	engine     string
	every      time.Duration
	order      order
	containers bool

	at   time.Time
	pods []podRows
	err  error // of the last look
}

// podRows is a pod and its containers.
type podRows struct {
	row
	containers []row
}

// row is a line of the table. A negative number is not known.
type row struct {
	name      string
	milli     int64 // thousandths of a CPU
	memory    int64 // the working set, or the usage where that is not known
	limit     int64 // zero: none
	rx, tx    int64 // bytes per second
	processes int64
}

// rowsOf makes the rows of a pod from two readings.
func rowsOf(pod, before dockpod.SandboxStats) podRows {
	p := podRows{row: rowOf(pod.Name.Namespace+"/"+pod.Name.Pod, pod.Usage)}
	if over := pod.At.Sub(before.At).Seconds(); !before.At.IsZero() && over > 0 {
		rx, tx := traffic(pod)
		oldRx, oldTx := traffic(before)
		p.rx, p.tx = int64(float64(max(rx-oldRx, 0))/over+.5), int64(float64(max(tx-oldTx, 0))/over+.5)
	}
	for _, c := range pod.Containers {
		p.containers = append(p.containers, rowOf("  "+c.Name.Container, c.Usage)) // its network is the pod's
	}
	return p
}

func rowOf(name string, u dockpod.Usage) row {
	r := row{name: name, milli: -1, memory: u.Memory.Usage, limit: u.Memory.Limit, rx: -1, tx: -1, processes: u.Processes}
	if u.CPU.Window > 0 {
		r.milli = (u.CPU.NanoCores + 500_000) / 1_000_000
	}
	if set, ok := u.Memory.WorkingSet(); ok {
		r.memory = set
	}
	return r
}

func traffic(pod dockpod.SandboxStats) (rx, tx int64) {
	for _, n := range pod.Networks {
		rx, tx = rx+n.RxBytes, tx+n.TxBytes
	}
	return rx, tx
}

// sorted returns the pods in the order of the view. Those that use the same
// have the order of their names, so that they keep their places.
func (v view) sorted() []podRows {
	pods := slices.Clone(v.pods)
	slices.SortFunc(pods, func(a, b podRows) int {
		by := 0
		switch v.order {
		case byCPU:
			by = cmp.Compare(b.milli, a.milli)
		case byMemory:
			by = cmp.Compare(b.memory, a.memory)
		}
		return cmp.Or(by, strings.Compare(a.name, b.name))
	})
	return pods
}

func (v view) rows() []row {
	var rows []row
	for _, p := range v.sorted() {
		rows = append(rows, p.row)
		if v.containers {
			rows = append(rows, p.containers...)
		}
	}
	return rows
}

// columns are those beside the name. Where there is not enough room, those of
// the highest number are left out first.
var columns = []struct {
	title string
	width int
	leave int
	text  func(row) string
}{
	{"CPU", 7, 0, func(r row) string { return known(r.milli, fmt.Sprintf("%dm", r.milli)) }},
	{"MEMORY", 9, 1, func(r row) string { return size(r.memory) }},
	{"LIMIT", 9, 3, func(r row) string {
		if r.limit == 0 {
			return "-"
		}
		return size(r.limit)
	}},
	{"%", 5, 2, func(r row) string {
		if r.limit == 0 {
			return "-"
		}
		return fmt.Sprintf("%d%%", (r.memory*100+r.limit/2)/r.limit)
	}},
	{"RX/s", 9, 5, func(r row) string { return known(r.rx, size(r.rx)) }},
	{"TX/s", 9, 5, func(r row) string { return known(r.tx, size(r.tx)) }},
	{"PIDS", 5, 4, func(r row) string { return fmt.Sprint(r.processes) }},
}

func known(n int64, text string) string {
	if n < 0 {
		return "-"
	}
	return text
}

// size writes bytes with three digits or so.
func size(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%dB", n)
	}
	f := float64(n)
	for _, unit := range "KMGTPE" {
		if f /= 1024; f < 1000 {
			if f < 10 {
				return fmt.Sprintf("%.1f%ci", f, unit)
			}
			return fmt.Sprintf("%.0f%ci", f, unit)
		}
	}
	return fmt.Sprint(n)
}

// minName is how much room a name gets before a column has to go.
const minName = 16

// table returns lines of at most width characters.
func (v view) table(width int) []string {
	rows := v.rows()
	if len(rows) == 0 {
		return []string{fit("There are no pods.", width)}
	}
	longest := len("POD")
	for _, r := range rows {
		longest = max(longest, len([]rune(r.name)))
	}
	leave := 6
	room := func() int {
		n := width
		for _, c := range columns {
			if c.leave < leave {
				n -= c.width
			}
		}
		return n
	}
	for leave > 1 && room() < min(longest, minName) {
		leave--
	}
	name := max(min(longest, room()), 1)
	line := func(first string, cell func(i int) string) string {
		out := fit(first, name)
		out += strings.Repeat(" ", name-len([]rune(out)))
		for i, c := range columns {
			if c.leave < leave {
				out += fmt.Sprintf("%*s", c.width, cell(i))
			}
		}
		return fit(out, width)
	}
	lines := []string{line("POD", func(i int) string { return columns[i].title })}
	for _, r := range rows {
		lines = append(lines, line(r.name, func(i int) string { return columns[i].text(r) }))
	}
	return lines
}

// screen returns the lines of a whole screen.
func (v view) screen(width, height int) []string {
	var milli, memory int64
	for _, p := range v.pods {
		milli, memory = milli+max(p.milli, 0), memory+p.memory
	}
	head := fmt.Sprintf("%s  %s  %d pods  %dm  %s", v.at.Format(time.TimeOnly), v.engine, len(v.pods), milli, size(memory))
	foot := fmt.Sprintf("q quit  s sort (%s)  c containers", v.order)
	lines := []string{fit(head, width), ""}
	switch {
	case v.at.IsZero():
		return []string{fit("Looking …", width)}
	case v.err != nil:
		foot = "error: " + oneLine(v.err)
	}
	lines = append(lines, v.table(width)...)
	if room := max(height-1, 1); len(lines) > room {
		left := len(lines) - room + 1
		lines = append(lines[:room-1], fit(fmt.Sprintf("… and %d more", left), width))
	}
	for len(lines) < height-1 {
		lines = append(lines, "")
	}
	return append(lines, fit(foot, width))[:max(min(height, len(lines)+1), 1)]
}

// records is one line for each pod, for programs.
func (v view) records() []string {
	var lines []string
	for _, r := range v.rows() {
		lines = append(lines, fmt.Sprintf("%s %s cpu=%s memory=%d limit=%d rx=%s tx=%s pids=%d", v.at.Format(time.RFC3339), strings.TrimSpace(r.name),
			known(r.milli, fmt.Sprintf("%dm", r.milli)), r.memory, r.limit, known(r.rx, fmt.Sprint(r.rx)), known(r.tx, fmt.Sprint(r.tx)), r.processes))
	}
	return lines
}

// fit cuts a text to n characters.
func fit(s string, n int) string {
	r := []rune(s)
	switch {
	case len(r) <= n:
		return s
	case n < 2:
		return string(r[:max(n, 0)])
	}
	return string(r[:n-1]) + "…"
}

// oneLine is an error that cannot move the cursor.
func oneLine(err error) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, err.Error())
}
