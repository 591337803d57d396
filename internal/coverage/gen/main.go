// Command gen writes what package coverage knows: FIELDS.md, and the package
// documentation in doc_fields.go. It is run from the root by go generate.
//
// With -proto FILE it reads CRI's api.proto instead and writes the list of
// fields that the table is held to:
//
//	go mod download -json k8s.io/cri-api@VERSION
//	go run ./internal/coverage/gen -version VERSION -proto DIR/pkg/apis/runtime/v1/api.proto
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/dockpod/dockpod/internal/coverage"
)

func main() {
	log.SetFlags(0)
	proto := flag.String("proto", "", "CRI's api.proto")
	version := flag.String("version", "", "the release of k8s.io/cri-api that it is from")
	flag.Parse()
	files := map[string]string{"FIELDS.md": coverage.Markdown(), "doc_fields.go": coverage.GoDoc()}
	if *proto != "" {
		text, err := os.ReadFile(*proto)
		if err != nil {
			log.Fatal(err)
		}
		if *version == "" {
			log.Fatal("-proto needs -version")
		}
		files = map[string]string{"testdata/cri-fields.txt": list(string(text), *version)}
	}
	for name, text := range files {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			log.Fatal(err)
		}
	}
}

// roots are the requests whose fields make a pod and a container, and change
// them.
var roots = []string{"RunPodSandboxRequest", "CreateContainerRequest", "UpdateContainerResourcesRequest"}

// list returns every field and enum value that is below the roots, sorted.
func list(proto, version string) string {
	types := parse(proto)
	seen := map[string]bool{}
	var lines []string
	var visit func(name string)
	visit = func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		for _, f := range types[name] {
			lines = append(lines, name+"."+f.name)
			visit(f.of)
		}
	}
	for _, r := range roots {
		visit(r)
	}
	slices.Sort(lines)
	return fmt.Sprintf("# k8s.io/cri-api %s, runtime.v1: what is below %s.\n# Written by internal/coverage/gen.\n%s\n",
		version, strings.Join(roots, ", "), strings.Join(lines, "\n"))
}

type field struct{ name, of string }

var (
	comment = regexp.MustCompile(`//[^\n]*`)
	opening = regexp.MustCompile(`^(?:message|enum)\s+(\w+)\s*\{$`)
	member  = regexp.MustCompile(`^(?:repeated\s+)?(?:(map<\s*\w+\s*,\s*\w+\s*>|[\w.]+)\s+)?(\w+)\s*=\s*\d+`)
)

// parse reads the messages and enums of a proto file, each with its fields or
// values. A type inside a message goes by its own name.
func parse(proto string) map[string][]field {
	types := map[string][]field{}
	var open []string
	for line := range strings.Lines(comment.ReplaceAllString(proto, "")) {
		line = strings.TrimSpace(line)
		if m := opening.FindStringSubmatch(line); m != nil {
			open = append(open, m[1])
			continue
		}
		if strings.HasPrefix(line, "}") && len(open) > 0 {
			open = open[:len(open)-1]
			continue
		}
		if m := member.FindStringSubmatch(line); m != nil && len(open) > 0 {
			in := open[len(open)-1]
			types[in] = append(types[in], field{m[2], m[1]})
		}
	}
	return types
}
