package dockpod

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// vectorCase is an input and an output that the tests or the code of the
// kubelet's dockertools and dockershim, or of cri-dockerd, demand.
type vectorCase struct {
	ID       string            // "topic/nnn", unique
	Name     string            // one line in words
	Source   string            // file and test, or file and function
	Also     []string          // further tests that demand the same
	Origin   string            // "upstream-test", "oracle" or "code-reading"
	Profiles []string          // the releases that the answer holds for
	Verified map[string]string // per profile, how it was checked
	Since    string
	Until    string
	Op       string          // what is done
	In       json.RawMessage // to what
	Want     json.RawMessage // and what comes out
	Given    json.RawMessage // of a sequence: the engine's state at first
	Steps    json.RawMessage // of a sequence: calls in order
	Compare  string          // how to compare; empty: equal
	Note     string
}

// loadVectors returns the cases of a file of vectors, "labels" or "labels.json"
// for example: the one in ../shared/vectors where there is such a file, else
// the copy in testdata/vectors.
func loadVectors(t *testing.T, name string) []vectorCase {
	t.Helper()
	name = strings.TrimSuffix(name, ".json") + ".json"
	data, err := os.ReadFile(filepath.Join("..", "shared", "vectors", name))
	if errors.Is(err, fs.ErrNotExist) {
		data, err = os.ReadFile(filepath.Join("testdata", "vectors", name))
	}
	if err != nil {
		t.Fatal(err)
	}
	var cases []vectorCase
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&cases); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if len(cases) == 0 {
		t.Fatalf("%s holds no cases", name)
	}
	seen := map[string]bool{}
	for _, c := range cases {
		if c.ID == "" || seen[c.ID] {
			t.Fatalf("%s: case ID %q is empty or used twice", name, c.ID)
		}
		seen[c.ID] = true
	}
	return cases
}

// vectorIn decodes the input of a case.
func vectorIn[T any](t *testing.T, c vectorCase) T {
	t.Helper()
	var in T
	if err := json.Unmarshal(c.In, &in); err != nil {
		t.Fatalf("input of %s: %v", c.ID, err)
	}
	return in
}

// overruled is our answer to a case where we do not follow the kubelet.
type overruled struct {
	want   string // JSON, in place of the case's own
	reason string
}

// checkVector compares got with what a case wants, or with our own answer if
// ours names the case. Keys that want does not name do not matter, nor do
// those of leaveOut, which are about something else than is tested here. got
// is marshalled to JSON first; nil stands for a call that failed.
func checkVector(t *testing.T, c vectorCase, ours map[string]overruled, got map[string]any, leaveOut ...string) {
	t.Helper()
	upstream := diffVector(t, c.Want, c.Compare, got, leaveOut...)
	o, ok := ours[c.ID]
	if !ok {
		if upstream != "" {
			t.Errorf("%s: %s: %s", c.Op, c.Name, upstream)
		}
		return
	}
	if upstream == "" {
		t.Errorf("%s is listed as overruled, but the kubelet's answer is ours", c.ID)
	}
	if diff := diffVector(t, json.RawMessage(o.want), c.Compare, got, leaveOut...); diff != "" {
		t.Errorf("%s: %s: ours (%s): %s", c.Op, c.Name, o.reason, diff)
	}
}

// diffVector tells how got differs from want; "" if it does not.
func diffVector(t *testing.T, want json.RawMessage, compare string, got map[string]any, leaveOut ...string) string {
	t.Helper()
	var wantMap, gotMap map[string]any
	if err := json.Unmarshal(want, &wantMap); err != nil {
		t.Fatal(err)
	}
	if _, ok := wantMap["error"]; ok {
		if got != nil {
			return "no error"
		}
		return ""
	}
	if got == nil {
		return "failed, want success"
	}
	data, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &gotMap); err != nil {
		t.Fatal(err)
	}
	for k, w := range wantMap {
		if slices.Contains(leaveOut, k) {
			continue
		}
		if name, ok := strings.CutSuffix(k, "Pattern"); ok {
			text, _ := gotMap[name].(string)
			if !regexp.MustCompile(w.(string)).MatchString(text) {
				return name + ": " + text + " does not match " + w.(string)
			}
			continue
		}
		g, ok := gotMap[k]
		if !ok && w != nil {
			return k + " is missing"
		}
		switch compare {
		case "":
		case "set":
			w, g = sortedStrings(w), sortedStrings(g)
		case "superset":
			g = onlyKeysOf(w, g)
		default:
			t.Fatalf("comparison %q is not known", compare)
		}
		if diff := cmp.Diff(w, g); diff != "" {
			return k + " mismatch (-want +got):\n" + diff
		}
	}
	return ""
}

// sortedStrings sorts a list of strings; other values stay as they are.
func sortedStrings(v any) any {
	list, ok := v.([]any)
	if !ok {
		return v
	}
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b any) int {
		x, _ := a.(string)
		y, _ := b.(string)
		return strings.Compare(x, y)
	})
	return list
}

// onlyKeysOf drops from the maps in got what want does not name.
func onlyKeysOf(want, got any) any {
	w, ok := want.(map[string]any)
	if !ok {
		return got
	}
	g, ok := got.(map[string]any)
	if !ok {
		return got
	}
	out := map[string]any{}
	for k := range w {
		if v, ok := g[k]; ok {
			out[k] = onlyKeysOf(w[k], v)
		}
	}
	return out
}
