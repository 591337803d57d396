package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"strings"
	"text/template"
)

// point is what a list of n containers costs.
type point struct {
	n            int
	client, ours float64 // ms
}

// chart measures lists of several sizes on a stub and draws them.
func (b *bench) chart(ctx context.Context, file string) error {
	var points []point
	for _, n := range []int{10, 100, 500, 1000} {
		r, err := listOnStub(ctx, n, b.roundsOr(15))
		if err != nil {
			return err
		}
		calls := float64(listCalls(n))
		p := point{n, r.median("client", wallMS) / calls, r.median("ours", wallMS) / calls}
		fmt.Printf("%5d containers: client %.3f ms, dockpod %.3f ms\n", n, p.client, p.ours)
		points = append(points, p)
	}
	drawing, err := draw(points)
	if err != nil {
		return err
	}
	return os.WriteFile(file, []byte(drawing), 0o644)
}

// draw makes the chart: both axes are logarithmic.
func draw(points []point) (string, error) {
	const width, height, left, bottom = 640., 360., 60., 50.
	low, high := math.Inf(1), 0.
	for _, p := range points {
		low, high = min(low, p.client, p.ours), max(high, p.client, p.ours)
	}
	low, high = math.Pow(10, math.Floor(math.Log10(low))), math.Pow(10, math.Ceil(math.Log10(high)))
	x := func(n int) float64 {
		first, last := float64(points[0].n), float64(points[len(points)-1].n)
		return left + (width-left-110)*math.Log(float64(n)/first)/math.Log(last/first)
	}
	y := func(v float64) float64 {
		return height - bottom - (height-bottom-20)*math.Log(v/low)/math.Log(high/low)
	}
	line := func(of func(point) float64) string {
		var l []string
		for _, p := range points {
			l = append(l, fmt.Sprintf("%.1f,%.1f", x(p.n), y(of(p))))
		}
		return strings.Join(l, " ")
	}
	type mark struct {
		At   float64
		Text string
	}
	var xs, ys []mark
	for _, p := range points {
		xs = append(xs, mark{x(p.n), fmt.Sprint(p.n)})
	}
	for v := low; v <= high*1.001; v *= 10 {
		ys = append(ys, mark{y(v), fmt.Sprintf("%g ms", v)})
	}
	last := points[len(points)-1]
	var out strings.Builder
	err := chartTemplate.Execute(&out, map[string]any{
		"W": width, "H": height, "L": left, "B": height - bottom, "R": width - 110, "XS": xs, "YS": ys,
		"Client": line(func(p point) float64 { return p.client }), "Ours": line(func(p point) float64 { return p.ours }),
		"ClientY": y(last.client), "OursY": y(last.ours),
	})
	return out.String(), err
}

var chartTemplate = template.Must(template.New("chart").Parse(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {{.W}} {{.H}}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="#fff"/>
{{range .YS}}<line x1="{{$.L}}" x2="{{$.R}}" y1="{{.At}}" y2="{{.At}}" stroke="#ddd"/><text x="{{$.L}}" dx="-6" y="{{.At}}" dy="4" text-anchor="end" fill="#333">{{.Text}}</text>
{{end}}{{range .XS}}<text x="{{.At}}" y="{{$.B}}" dy="18" text-anchor="middle" fill="#333">{{.Text}}</text>
{{end}}<text x="{{.L}}" y="{{.H}}" dy="-8" fill="#333">containers on the node: client's side of one list</text>
<polyline points="{{.Client}}" fill="none" stroke="#c33" stroke-width="2"/><text x="{{.R}}" dx="6" y="{{.ClientY}}" dy="4" fill="#c33">docker client</text>
<polyline points="{{.Ours}}" fill="none" stroke="#36c" stroke-width="2"/><text x="{{.R}}" dx="6" y="{{.OursY}}" dy="4" fill="#36c">dockpod</text>
</svg>
`))
