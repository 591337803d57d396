package lean

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/client"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// leftOut are the fields that the package's documentation says it leaves out.
var leftOut = map[string][]string{
	"list":    {"Command", "HostConfig", "ImageManifestDescriptor", "Mounts", "NetworkSettings"},
	"inspect": {"GraphDriver"},
}

func captured(tb testing.TB, name string) []byte {
	tb.Helper()
	b, err := os.ReadFile("testdata/" + name + ".json")
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// checkList compares decodeList with the client's way of decoding, where it
// takes the answer at all.
func checkList(t *testing.T, b []byte) (ok bool) {
	got, ok := decodeList(b)
	if !ok {
		return false
	}
	var want []container.Summary
	if err := json.NewDecoder(bytes.NewReader(b)).Decode(&want); err != nil {
		if !inLeftOut(err, "list") {
			t.Fatalf("decoded %q, which is %v", b, err)
		}
		return true
	}
	for i := range want {
		w := &want[i]
		w.Command, w.ImageManifestDescriptor, w.Mounts, w.NetworkSettings = "", nil, nil, nil
		w.HostConfig = container.Summary{}.HostConfig
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%q mismatch (-want +got):\n%s", b, diff)
	}
	entries, ok := decodeEntries(string(b))
	if ok {
		if diff := cmp.Diff(EntriesOf(want), entries, sortLabels, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("entries of %q mismatch (-want +got):\n%s", b, diff)
		}
	}
	return true
}

var sortLabels = cmpopts.SortSlices(func(a, b Label) bool { return a.Key < b.Key })

func checkInspect(t *testing.T, b []byte) (ok bool) {
	got, ok := decodeInspect(b)
	if !ok {
		return false
	}
	var want container.InspectResponse
	if err := json.NewDecoder(bytes.NewReader(b)).Decode(&want); err != nil {
		if !inLeftOut(err, "inspect") {
			t.Fatalf("decoded %q, which is %v", b, err)
		}
		return true
	}
	if want.ContainerJSONBase != nil {
		want.GraphDriver = container.ContainerJSONBase{}.GraphDriver
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%q mismatch (-want +got):\n%s", b, diff)
	}
	return true
}

// inLeftOut reports whether encoding/json failed inside a field that is left
// out.
func inLeftOut(err error, what string) bool {
	var e *json.UnmarshalTypeError
	if !errors.As(err, &e) {
		return false
	}
	parts := strings.Split(e.Field, ".")
	return slices.ContainsFunc(parts, func(p string) bool { return slices.Contains(leftOut[what], p) })
}

func TestCaptured(t *testing.T) {
	if !checkList(t, captured(t, "list")) {
		t.Error("an engine's list was left to encoding/json")
	}
	if entries, ok := decodeEntries(string(captured(t, "list"))); !ok || len(entries) != 2 || len(entries[0].Labels) == 0 {
		t.Errorf("entries of an engine's list: %v, %v", entries, ok)
	}
	for _, name := range []string{"inspect-container", "inspect-sandbox"} {
		if !checkInspect(t, captured(t, name)) {
			t.Errorf("an engine's %s was left to encoding/json", name)
		}
	}
}

// Every field of the client's structs stands in the tables: one that a newer
// client has would be zero in silence.
func TestTablesAreComplete(t *testing.T) {
	for _, c := range []struct {
		value any
		names []string
	}{
		{container.Summary{}, names(summaryFields)},
		{container.Port{}, names(portFields)},
		{container.InspectResponse{}, names(inspectFields)},
		{container.State{}, names(stateFields)},
		{container.HostConfig{}, names(hostFields)},
		{container.LogConfig{}, names(logFields)},
		{container.RestartPolicy{}, names(restartFields)},
		{container.MountPoint{}, names(mountFields)},
		{container.Config{}, names(configFields)},
		{container.NetworkSettings{}, names(networkFields)},
		{container.HealthConfig{}, names(healthFields)},
		{mount.Mount{}, names(askedFields)},
		{mount.BindOptions{}, names(bindFields)},
	} {
		var want []string
		jsonNames(reflect.TypeOf(c.value), &want)
		slices.Sort(want)
		slices.Sort(c.names)
		if diff := cmp.Diff(want, c.names); diff != "" {
			t.Errorf("%T mismatch (-want +got):\n%s", c.value, diff)
		}
	}
}

func names[T any](fields []field[T]) (l []string) {
	for _, f := range fields {
		l = append(l, f.name)
	}
	return l
}

func jsonNames(t reflect.Type, l *[]string) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			jsonNames(f.Type, l)
		case name != "":
			*l = append(*l, name)
		default:
			*l = append(*l, f.Name)
		}
	}
}

// Each shape is decoded as encoding/json does, or left to it.
func TestShapes(t *testing.T) {
	for _, b := range []string{
		`[]`, ` [ ] `, `null`, ``, `{}`, `[`, `[{}`, `[{}]`, `[{},{}]`, `[{},]`, `[,]`, `[{}{}]`, `[{}] trailing`, `[null]`, `[1]`,
		`[{"Id":"a"}]`, `[{"id":"a"}]`, `[{"Id":"a","Id":"b"}]`, `[{"Id":null}]`, `[{"Id":1}]`, `[{"Id":"a","ID":"b"}]`,
		`[{"Id":"\u00e9\n\t\/\"\\"}]`, `[{"Id":"\ud83d\ude00"}]`, `[{"Id":"\ud83d"}]`, "[{\"Id\":\"\xff\"}]", "[{\"Id\":\"\xff\\n\"}]", "[{\"Id\":\"a\nb\"}]",
		`[{"Created":1.5}]`, `[{"Created":-5}]`, `[{"Created":01}]`, `[{"Created":1e3}]`, `[{"Created":9223372036854775807}]`, `[{"Created":9223372036854775808}]`,
		`[{"Created":true}]`, `[{"Created":"1"}]`, `[{"Created":-0}]`,
		`[{"Ports":[{"PrivatePort":80,"Type":"tcp"}]}]`, `[{"Ports":[{"PrivatePort":70000}]}]`, `[{"Ports":[{"PrivatePort":-1}]}]`, `[{"Ports":[{"PrivatePort":-0}]}]`, `[{"Ports":null}]`, `[{"Ports":{}}]`, `[{"Ports":[null,{}]}]`,
		`[{"Labels":{"a":"b","a":"c"}}]`, `[{"Labels":{"a":null}}]`, `[{"Labels":{"a":1}}]`, `[{"Labels":[]}]`, `[{"Labels":{}}]`, `[{"Labels":null}]`,
		`[{"Names":["/a",null]}]`, `[{"Names":"/a"}]`, `[{"Names":[]}]`,
		`[{"New":{"deep":[1,2,{"x":null}]},"Id":"a"}]`, `[{"New":tru}]`, `[{"New":"\x"}]`, `[{"New":[1,]}]`, `[{"New":{"a"}}]`, `[{"New":{1:2}}]`,
		`[{"Command":5}]`, `[{"HostConfig":[]}]`, `[{"Mounts":{}}]`, `[{"Id" : "a" , "State":"running"}]`,
		`[{"Labels":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}]`,
		`[{"SizeRw":5,"Names":["` + strings.Repeat("x", 100) + `"]}]`, "[{\"\u212Aey\":1}]",
	} {
		checkList(t, []byte(b))
	}
	for _, b := range []string{
		`{}`, `null`, `[]`, ``, `{"Id":null}`, `{"Mounts":[]}`, `{"Mounts":null}`, `{"State":null}`, `{"State":{}}`, `{"State":[]}`,
		`{"State":{"Status":"exited","ExitCode":137,"Pid":-1,"Health":{"Status":"healthy","Log":[]}}}`,
		`{"HostConfig":{"PortBindings":{"80/tcp":[{"HostIp":"","HostPort":"8080"}]},"CapAdd":"one","Init":true,"PidsLimit":null,"OomKillDisable":false}}`,
		`{"HostConfig":{"PidsLimit":5,"ConsoleSize":[24,80],"Ulimits":[{"Name":"nofile","Hard":5,"Soft":5}],"Devices":[{"PathOnHost":"/dev/null"}]}}`,
		`{"HostConfig":{"BlkioWeight":70000}}`, `{"HostConfig":{"IOMaximumIOps":18446744073709551615}}`, `{"HostConfig":{"IOMaximumIOps":-1}}`,
		`{"HostConfig":{"CapAdd":["a"],"CapDrop":[],"Mounts":[{"Type":"bind","BindOptions":{"Propagation":"rslave"}},{"TmpfsOptions":{"SizeBytes":5}}]}}`,
		`{"Config":{"Cmd":null,"Entrypoint":["a"],"StopTimeout":5,"Healthcheck":{"Test":["NONE"]},"ExposedPorts":{"80/tcp":{}},"Volumes":{}}}`,
		`{"Config":{"StopTimeout":1.5}}`, `{"Config":{"Cmd":"sh"}}`, `{"Config":{"Cmd":[]}}`,
		`{"NetworkSettings":{"Networks":{"bridge":{"IPAddress":"172.17.0.2"}},"Ports":{"80/tcp":null}}}`, `{"NetworkSettings":null}`,
		`{"SizeRw":5,"ImageManifestDescriptor":{"digest":"sha256:x"}}`, `{"GraphDriver":{"Data":null}}`, `{"GraphDriver":5}`,
		`{"Config":{}} {"Config":{}}`,
	} {
		checkInspect(t, []byte(b))
	}
}

// Damaged answers are decoded as encoding/json does, or left to it: bytes
// changed, dropped, doubled, and pieces of JSON put in.
func TestDamaged(t *testing.T) {
	pieces := []string{`"`, `\`, `{`, `}`, `[`, `]`, `,`, `:`, `null`, `true`, `-`, `0`, `1e9`, `\u0041`, `\ud800`, "\xff", "\x00", "\n", `},{"Id":`, `"id":"x",`, `{}`, `[]`}
	rng := rand.New(rand.NewPCG(1, 2))
	for name, check := range map[string]func(*testing.T, []byte) bool{
		"list": checkList, "inspect-container": checkInspect, "inspect-sandbox": checkInspect,
	} {
		whole := captured(t, name)
		taken := 0
		for range 3000 {
			b := bytes.Clone(whole)
			for range 1 + rng.IntN(3) {
				i := rng.IntN(len(b))
				switch rng.IntN(4) {
				case 0:
					b[i] = byte(rng.IntN(256))
				case 1:
					b = slices.Delete(b, i, min(len(b), i+1+rng.IntN(40)))
				case 2:
					b = slices.Insert(b, i, b[i:min(len(b), i+1+rng.IntN(40))]...)
				case 3:
					b = slices.Insert(b, i, []byte(pieces[rng.IntN(len(pieces))])...)
				}
			}
			if check(t, b) {
				taken++
			}
		}
		if taken == 0 {
			t.Errorf("%s: no damaged answer was decoded", name)
		}
	}
}

func FuzzList(f *testing.F) {
	f.Add(captured(f, "list"))
	f.Add([]byte(`[{"Id":"a","Names":["/b"],"Labels":{"k":"v\u0026"},"Ports":[{"PrivatePort":80}],"Created":-1}]`))
	f.Fuzz(func(t *testing.T, b []byte) { checkList(t, b) })
}

func FuzzInspect(f *testing.F) {
	f.Add(captured(f, "inspect-container"))
	f.Add(captured(f, "inspect-sandbox"))
	f.Add([]byte(`{"Id":"a","State":{"Running":true},"HostConfig":{"CapAdd":["A"]},"Config":{"Labels":{}},"Mounts":[{}]}`))
	f.Fuzz(func(t *testing.T, b []byte) { checkInspect(t, b) })
}

// engine serves one handler to a client of each kind.
func engine(t testing.TB, h http.HandlerFunc) (ours *Client, plain *client.Client) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	dial := func() *client.Client {
		c, err := client.NewClientWithOpts(client.WithHost(strings.Replace(s.URL, "http://", "tcp://", 1)), client.WithVersion("1.41"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	return Wrap(dial()), dial()
}

// An answer that is none is the client's own error.
func TestErrorsAreTheClients(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"404": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"message":"No such container: x"}`)
		},
		"500":   func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "broken", http.StatusInternalServerError) },
		"empty": func(http.ResponseWriter, *http.Request) {},
		"text":  func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"other": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"Id":5}`) },
		"cut":   func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `[{"Id":"a"`) },
	} {
		t.Run(name, func(t *testing.T) {
			ours, plain := engine(t, h)
			_, got := ours.ContainerInspect(t.Context(), "x")
			_, want := plain.ContainerInspect(t.Context(), "x")
			if got == nil || fmt.Sprintf("%T %v", got, got) != fmt.Sprintf("%T %v", want, want) || errdefs.IsNotFound(got) != errdefs.IsNotFound(want) {
				t.Errorf("inspect: %T %v; the client's is %T %v", got, got, want, want)
			}
			_, got = ours.ContainerList(t.Context(), container.ListOptions{})
			_, want = plain.ContainerList(t.Context(), container.ListOptions{})
			if got == nil || fmt.Sprintf("%T %v", got, got) != fmt.Sprintf("%T %v", want, want) {
				t.Errorf("list: %T %v; the client's is %T %v", got, got, want, want)
			}
		})
	}
}

// A connection that breaks behind a complete list leaves doubt about it.
func TestCutIsAnError(t *testing.T) {
	ours, _ := engine(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		fmt.Fprint(w, `[{"Id":"a"}]`)
	})
	if l, err := ours.ContainerList(t.Context(), container.ListOptions{}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("list %v, error %v; want io.ErrUnexpectedEOF", l, err)
	}
}

// Answers of other calls, and of calls with other shapes, are the client's.
func TestOthersPassThrough(t *testing.T) {
	ours, _ := engine(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/version"):
			fmt.Fprint(w, `{"Version":"1"}`)
		default:
			fmt.Fprint(w, `{"id":"folded","name":"n"}`)
		}
	})
	if v, err := ours.ServerVersion(t.Context()); err != nil || v.Version != "1" {
		t.Errorf("version %+v, error %v", v, err)
	}
	c, err := ours.ContainerInspect(t.Context(), "x")
	if err != nil || c.ContainerJSONBase == nil || c.ID != "folded" {
		t.Errorf("inspection %+v, error %v", c, err)
	}
}

func TestCancelled(t *testing.T) {
	ours, _ := engine(t, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := ours.ContainerList(ctx, container.ListOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v; want context.Canceled", err)
	}
}

// manyContainers is a list of n containers, each as the captured one.
func manyContainers(tb testing.TB, n int) []byte {
	tb.Helper()
	var entries []json.RawMessage
	if err := json.Unmarshal(captured(tb, "list"), &entries); err != nil {
		tb.Fatal(err)
	}
	many := make([]json.RawMessage, n)
	for i := range many {
		many[i] = entries[0]
	}
	b, err := json.Marshal(many)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func BenchmarkList1000(b *testing.B) {
	body := manyContainers(b, 1000)
	b.Run("lean", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			if _, ok := decodeList(body); !ok {
				b.Fatal("left to encoding/json")
			}
		}
	})
	b.Run("entries", func(b *testing.B) {
		text := string(body)
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			if _, ok := decodeEntries(text); !ok {
				b.Fatal("left to encoding/json")
			}
		}
	})
	b.Run("client", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			var l []container.Summary
			if err := json.NewDecoder(bytes.NewReader(body)).Decode(&l); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkInspect(b *testing.B) {
	body := captured(b, "inspect-container")
	b.Run("lean", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, ok := decodeInspect(body); !ok {
				b.Fatal("left to encoding/json")
			}
		}
	})
	b.Run("client", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var c container.InspectResponse
			if err := json.NewDecoder(bytes.NewReader(body)).Decode(&c); err != nil {
				b.Fatal(err)
			}
		}
	})
}
