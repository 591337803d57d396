package dockpod

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dockpod/dockpod/internal/coverage"
)

//go:generate go run ./internal/coverage/gen

// A setting is all that a pod with one container is built from.
type setting struct {
	c    ContainerConfig
	s    SandboxConfig
	site createSite
}

func plainSetting() *setting {
	c, s, site := plain()
	return &setting{c, s, site}
}

func fullSetting() *setting { return &setting{fullContainer(), fullSandbox(), fullSite()} }

// A sample sets one field of the plainest setting.
type sample struct {
	set  func(*setting)
	with func(*setting) // what the field needs besides; nil: nothing
}

// coverageSamples are for fields that the full setting does not hold, or that
// have more effects than there.
var coverageSamples = map[string][]sample{
	"ContainerConfig.ExtraHosts":    {{func(x *setting) { x.c.ExtraHosts = map[string]string{"db": "192.0.2.1"} }, alone}},
	"ContainerConfig.ShmSize":       {{func(x *setting) { x.c.ShmSize = 1 << 20 }, alone}},
	"ContainerConfig.Stdin":         {{func(x *setting) { x.c.Stdin = true }, nil}},
	"SecurityContext.RunAsUserName": {{func(x *setting) { x.c.SecurityContext.RunAsUserName = "user" }, nil}},
	"SecurityContext.Privileged":    {{func(x *setting) { x.c.SecurityContext.Privileged = true }, nil}},
	"Resources.Unified": {{func(x *setting) {
		x.c.Resources.Unified = map[string]string{
			"memory.max": "67108864", "memory.swap.max": "0", "cpu.max": "50000 80000", "pids.max": "5", "cpuset.cpus": "0", "cpuset.mems": "0",
		}
	}, nil}},
	"NamespaceOptions.Network": {
		{func(x *setting) { x.s.Namespaces.Network = NamespaceNode }, nil},
		{func(x *setting) { x.s.Namespaces.Network = NamespaceNode }, alone},
	},
	"NamespaceOptions.PID": {
		{func(x *setting) { x.s.Namespaces.PID = NamespaceNode }, nil},
		{func(x *setting) { x.c.SecurityContext.Namespaces.PID = NamespacePod }, nil},
	},
	"UserNamespace.Mode":   {{func(x *setting) { x.s.Namespaces.User = &UserNamespace{Mode: NamespaceNode} }, nil}},
	"NamespaceOptions.IPC": {{func(x *setting) { x.s.Namespaces.IPC = NamespaceNode }, nil}},
	"Ulimit.Name": {{
		func(x *setting) { x.c.Ulimits[0].Name = "nproc" },
		func(x *setting) { x.c.Ulimits = []Ulimit{{Name: "core"}} },
	}},
	"SecurityProfile.Type": {{
		func(x *setting) { x.c.SecurityContext.Seccomp.Type = ProfileUnconfined },
		func(x *setting) { x.c.SecurityContext.Seccomp = &SecurityProfile{Type: ProfileRuntimeDefault} },
	}},
	"Mount.SELinuxRelabel": {{func(x *setting) { x.c.Mounts[0].SELinuxRelabel = true }, oneMount}},
	"Mount.Type":           {{func(x *setting) { x.c.Mounts[0].Type, x.c.Mounts[0].Source = MountTmpfs, "" }, oneMount}},
}

func alone(x *setting) { x.site.sandboxID = "" }

func oneMount(x *setting) { x.c.Mounts = []Mount{{Source: "/a", Target: "/a"}} }

// coverageRefusals put values into the plainest setting that the table calls
// refused, always or in part.
var coverageRefusals = map[string][]func(*setting){
	"ContainerConfig.CDIDevices": {func(x *setting) { x.c.CDIDevices, x.site.cdi = []string{"vendor.example/gpu=0"}, false }},
	"ContainerConfig.ShmSize":    {func(x *setting) { x.c.ShmSize = 1 << 20 }},
	"ContainerConfig.ExtraHosts": {func(x *setting) { x.c.ExtraHosts = map[string]string{"db": "192.0.2.1"} }},
	"Mount.Type": {func(x *setting) {
		x.c.Mounts, x.site.features = []Mount{{Type: MountImage, Source: "a", Target: "/a"}}, featuresOf("1.47")
	}},
	"Mount.UIDMappings": {func(x *setting) {
		x.c.Mounts = []Mount{{Source: "/a", Target: "/a", UIDMappings: []IDMapping{{1, 2, 3}}}}
	}},
	"Mount.GIDMappings": {func(x *setting) {
		x.c.Mounts = []Mount{{Source: "/a", Target: "/a", GIDMappings: []IDMapping{{1, 2, 3}}}}
	}},
	"Resources.HugepageLimits": {
		func(x *setting) { x.c.Resources.HugepageLimits = map[string]int64{"2MB": 1} },
		func(x *setting) { x.s.Resources.HugepageLimits = map[string]int64{"2MB": 1} },
	},
	"Resources.Unified": {
		func(x *setting) { x.c.Resources.Unified = map[string]string{"memory.low": "1"} },
		func(x *setting) {
			x.c.Resources.Unified, x.site.cgroupVersion = map[string]string{"memory.max": "67108864"}, "1"
		},
	},
	"Capabilities.AddAmbient": {func(x *setting) {
		x.c.SecurityContext.Capabilities = &Capabilities{AddAmbient: []string{"CHOWN"}}
	}},
	"SecurityContext.SupplementalGroupsPolicy": {func(x *setting) { x.c.SecurityContext.SupplementalGroupsPolicy = "Strict" }},
	"SecurityProfile.LocalhostRef": {func(x *setting) {
		x.c.SecurityContext.Seccomp, x.site.seccomp = &SecurityProfile{Type: ProfileLocalhost, LocalhostRef: "profile.json"}, ""
	}},
	"SecurityContext.MaskedPaths":   {func(x *setting) { x.c.SecurityContext.MaskedPaths, x.site.podman = []string{"/a"}, true }},
	"SecurityContext.ReadonlyPaths": {func(x *setting) { x.c.SecurityContext.ReadonlyPaths, x.site.podman = []string{}, true }},
	"NamespaceOptions.TargetID":     {func(x *setting) { x.s.Namespaces.TargetID = workloadID }},
	"UserNamespace.Mode":            {func(x *setting) { x.s.Namespaces.User = &UserNamespace{Mode: NamespacePod} }},
	"UserNamespace.UIDs": {func(x *setting) {
		x.s.Namespaces.User = &UserNamespace{Mode: NamespaceNode, UIDs: []IDMapping{{1, 2, 3}}}
	}},
	"UserNamespace.GIDs": {func(x *setting) {
		x.s.Namespaces.User = &UserNamespace{Mode: NamespaceNode, GIDs: []IDMapping{{1, 2, 3}}}
	}},
}

// built is what a pair of configurations asks of an engine: for the sandbox
// and for the container.
type built struct{ sandbox, container createRequest }

func (x *setting) build() (b built, err error) {
	if b.sandbox, err = checkedSandbox(x.s, "pause:1", x.site); err != nil {
		return b, err
	}
	b.container, err = checkedContainer(x.c, x.s, x.site)
	return b, err
}

// eachField calls f for every field of the configurations, as eachField does.
func (x *setting) eachField(f func(name string, v reflect.Value)) {
	eachField(reflect.ValueOf(&x.c).Elem(), f)
	eachField(reflect.ValueOf(&x.s).Elem(), f)
}

// eachField calls f for every field of dockpod's own structs that a value
// holds, with the type's and the field's name.
func eachField(v reflect.Value, f func(name string, v reflect.Value)) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().PkgPath() == reflect.TypeFor[ContainerConfig]().PkgPath() && v.Type().Field(i).IsExported() {
				f(v.Type().Name()+"."+v.Type().Field(i).Name, v.Field(i))
				eachField(v.Field(i), f)
			}
		}
	case reflect.Pointer:
		if !v.IsNil() {
			eachField(v.Elem(), f)
		}
	case reflect.Slice:
		for i := range v.Len() {
			eachField(v.Index(i), f)
		}
	}
}

// ownFields lists the fields of a struct type and of all that are below it,
// with the name of the struct that each holds.
func ownFields(t reflect.Type, into map[string]string) {
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() {
			continue
		}
		of := f.Type
		for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
			of = of.Elem()
		}
		name := t.Name() + "." + f.Name
		if of.Kind() != reflect.Struct || of.PkgPath() != t.PkgPath() {
			into[name] = ""
			continue
		}
		if into[name] = of.Name(); of != t {
			ownFields(of, into)
		}
	}
}

// places lists where two requests differ, in the words of the table.
func places(a, b built) []string {
	found := map[string]bool{}
	add := func(p string) { found[p] = true }
	for _, r := range [][2]createRequest{{a.sandbox, b.sandbox}, {a.container, b.container}} {
		if r[0].Name != r[1].Name {
			add("name")
		}
		eachDifference("Config", reflect.ValueOf(r[0].Config), reflect.ValueOf(r[1].Config), add)
		eachDifference("HostConfig", reflect.ValueOf(r[0].Host), reflect.ValueOf(r[1].Host), add)
		eachDifference("NetworkingConfig", reflect.ValueOf(r[0].Net), reflect.ValueOf(r[1].Net), add)
		eachDifference("platform", reflect.ValueOf(r[0].Platform), reflect.ValueOf(r[1].Platform), add)
	}
	delete(found, "label "+LabelSpec)          // a digest of the others
	delete(found, "label "+labelSandboxMemory) // remembers all of a sandbox's configuration
	return slices.Sorted(maps.Keys(found))
}

// eachDifference compares what the engine is sent, and calls add with the
// path of each field that is not the same. Of a list with entries more or
// less, and of what JSON makes one value, the path is that of the whole.
func eachDifference(path string, a, b reflect.Value, add func(string)) {
	if reflect.DeepEqual(a.Interface(), b.Interface()) {
		return
	}
	t := a.Type()
	isList := t.Kind() == reflect.Slice && (t.Elem().Kind() == reflect.Struct || t.Elem().Kind() == reflect.Pointer)
	switch {
	case path == "platform":
		add(path)
	case path == "Config.Labels":
		for k := range unequal(a.Interface().(map[string]string), b.Interface().(map[string]string)) {
			switch {
			case strings.HasPrefix(k, annotationPrefix):
				k = "annotation.KEY"
			case !strings.Contains(k, "."):
				k = "KEY"
			}
			add("label " + k)
		}
	case t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct:
		deref := func(v reflect.Value) reflect.Value {
			if v.IsNil() {
				return reflect.Zero(t.Elem())
			}
			return v.Elem()
		}
		eachDifference(path, deref(a), deref(b), add)
	case t.Kind() == reflect.Struct:
		for i := range t.NumField() {
			p := path + "." + t.Field(i).Name
			if t.Field(i).Anonymous {
				p = path
			}
			eachDifference(p, a.Field(i), b.Field(i), add)
		}
	case isList && a.Len() == b.Len():
		for i := range a.Len() {
			eachDifference(path+"[]", a.Index(i), b.Index(i), add)
		}
	default:
		add(path)
	}
}

// unequal returns the keys whose values differ.
func unequal(a, b map[string]string) map[string]bool {
	keys := map[string]bool{}
	for _, m := range []map[string]string{a, b} {
		for k := range m {
			va, inA := a[k]
			vb, inB := b[k]
			if va != vb || inA != inB {
				keys[k] = true
			}
		}
	}
	return keys
}

// change gives a field another value that may be legal as well.
func change(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(v.Int() + 1)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(v.Uint() + 1)
	case reflect.Pointer:
		change(v.Elem())
	case reflect.Slice:
		change(v.Index(0))
	}
}

// effects finds by trial where each field arrives: the field is taken out of
// the full configurations or, where that is refused, changed in them.
func effects(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string]map[string]bool{}
	note := func(name string, paths []string) {
		if found[name] == nil {
			found[name] = map[string]bool{}
		}
		for _, p := range paths {
			found[name][p] = true
		}
	}
	base, err := fullSetting().build()
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	fullSetting().eachField(func(string, reflect.Value) { count++ })
	for target := range count {
		for _, alter := range []func(reflect.Value){reflect.Value.SetZero, change} {
			x, n, name := fullSetting(), 0, ""
			x.eachField(func(field string, v reflect.Value) {
				if n == target && !v.IsZero() {
					name = field
					alter(v)
				}
				n++
			})
			if name == "" {
				break // it is not in the full setting
			}
			if b, err := x.build(); err == nil {
				note(name, places(base, b))
				break
			}
		}
	}
	for name, list := range coverageSamples {
		for i, s := range list {
			x := plainSetting()
			if s.with != nil {
				s.with(x)
			}
			without, err := x.build()
			if err != nil {
				t.Fatalf("sample %d of %s without the field: %v", i, name, err)
			}
			s.set(x)
			with, err := x.build()
			if err != nil {
				t.Fatalf("sample %d of %s: %v", i, name, err)
			}
			note(name, places(without, with))
		}
	}
	sorted := map[string][]string{}
	for name, set := range found {
		sorted[name] = slices.Sorted(maps.Keys(set))
	}
	return sorted
}

// Each field of the configurations has a row, which says where it arrives and
// nothing else.
func TestCoverageOfFields(t *testing.T) {
	own := map[string]string{}
	ownFields(reflect.TypeFor[ContainerConfig](), own)
	ownFields(reflect.TypeFor[SandboxConfig](), own)
	found := effects(t)
	seen := map[string]bool{}
	for _, r := range coverage.Rows {
		if r.Field == "" {
			continue
		}
		see, ok := own[r.Field]
		switch {
		case !ok:
			t.Errorf("%s has a row and is no field", r.Field)
		case seen[r.Field]:
			t.Errorf("%s has two rows", r.Field)
		case r.See != see:
			t.Errorf("%s is made of %q, and its row says %q", r.Field, see, r.See)
		case see != "" && r.Engine != "":
			t.Errorf("%s: the rows of %s say where it arrives", r.Field, see)
		case see == "" && r.Engine == "" && r.Refused == "" && r.Note == "":
			t.Errorf("the row of %s says nothing", r.Field)
		}
		seen[r.Field] = true
		if see != "" {
			continue
		}
		want := slices.Sorted(slices.Values(coverage.Split(r.Engine)))
		if diff := cmp.Diff(want, found[r.Field], cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s arrives elsewhere than its row says (-row +by trial):\n%s", r.Field, diff)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(own)) {
		if !seen[name] {
			t.Errorf("%s has no row in internal/coverage; by trial it arrives at %q", name, found[name])
		}
	}
}

// What a row calls refused is refused by an error that names the field.
func TestCoverageOfRefusals(t *testing.T) {
	isRefused := map[string]bool{}
	for _, r := range coverage.Rows {
		if r.Refused == "" && r.Partly == "" {
			continue
		}
		isRefused[r.Field] = true
		if len(coverageRefusals[r.Field]) == 0 {
			t.Errorf("%s is refused, and coverageRefusals has no value of it", r.Field)
		}
	}
	for _, field := range slices.Sorted(maps.Keys(coverageRefusals)) {
		if !isRefused[field] {
			t.Errorf("no row says that %s is refused", field)
		}
		for i, refuse := range coverageRefusals[field] {
			x := plainSetting()
			refuse(x)
			_, err := x.build()
			if !names(err, field) {
				t.Errorf("value %d of %s: the error is %v", i, field, err)
			}
		}
	}
}

// names tells whether an error refuses a field, by its name without the type.
func names(err error, field string) bool {
	_, name, _ := strings.Cut(field, ".")
	return slices.ContainsFunc(faults(err), func(path string) bool {
		return slices.Contains(strings.FieldsFunc(path, func(r rune) bool { return strings.ContainsRune(".[]! ", r) }), name)
	})
}

// What a row has from a version on is refused in the one before, by name.
func TestCoverageOfVersions(t *testing.T) {
	for _, r := range coverage.Rows {
		if r.Since == "" {
			continue
		}
		var minor int
		if _, err := fmt.Sscanf(r.Since, "1.%d", &minor); err != nil {
			t.Errorf("%s: %q is no version", r.Field, r.Since)
			continue
		}
		x := fullSetting()
		x.site.features = featuresOf(fmt.Sprintf("1.%d", minor-1))
		if _, err := x.build(); !names(err, r.Field) {
			t.Errorf("%s before API %s: the error is %v", r.Field, r.Since, err)
		}
		x.site.features = featuresOf(r.Since)
		if _, err := x.build(); names(err, r.Field) {
			t.Errorf("%s in API %s: the error is %v", r.Field, r.Since, err)
		}
	}
}

// Each field and value of CRI v1 has exactly one row.
func TestCoverageOfCRI(t *testing.T) {
	text, err := os.ReadFile("testdata/cri-fields.txt")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]int{}
	source := packageSource(t)
	for _, r := range coverage.Rows {
		for _, c := range coverage.Split(r.CRI) {
			rows[c]++
		}
		if r.Field == "" && r.Const == "" && r.Note == "" {
			t.Errorf("the row of %s says nothing", r.CRI)
		}
		if r.Const != "" && !strings.Contains(source, "\t"+r.Const+" ") {
			t.Errorf("%s is called %q, which the package does not have", r.CRI, r.Const)
		}
	}
	used := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		name := strings.TrimSpace(line)
		if name == "" || strings.HasPrefix(name, "#") {
			continue
		}
		message, _, _ := strings.Cut(name, ".")
		switch {
		case rows[name] > 1:
			t.Errorf("%s has %d rows", name, rows[name])
		case rows[name] == 1:
			used[name] = true
		case rows[message+".*"] == 1:
			used[message+".*"] = true
		default:
			t.Errorf("%s has no row in internal/coverage", name)
		}
	}
	for name := range rows {
		if !used[name] {
			t.Errorf("%s has a row and is no field of CRI's", name)
		}
	}
}

// packageSource returns the package's code, without tests.
func packageSource(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(f, "_test.go") {
			b.Write(text)
		}
	}
	return b.String()
}

// The documents are those that the table makes.
func TestCoverageIsWritten(t *testing.T) {
	for name, want := range map[string]string{"FIELDS.md": coverage.Markdown(), "doc_fields.go": coverage.GoDoc()} {
		got, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s is not up to date; run go generate (-want +got):\n%s", name, diff)
		}
	}
}
