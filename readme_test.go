package dockpod

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestReadme holds the code that the README quotes to the files it is from, so
// that what a reader copies is what CI has compiled and run.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("examples"); err != nil {
		t.Skip("the examples are a module of their own and not part of this download; the README was not compared")
	}
	quotes := regexp.MustCompile("(?s)<!-- from (\\S+) -->\n```go\n(.*?)\n```").FindAllStringSubmatch(string(readme), -1)
	if len(quotes) == 0 {
		t.Fatal("the README quotes nothing")
	}
	for _, q := range quotes {
		source, err := os.ReadFile(q[1])
		if err != nil {
			t.Error(err)
			continue
		}
		if !strings.Contains(string(source), q[2]+"\n") {
			t.Errorf("%s does not contain what the README quotes from it", q[1])
		}
	}
}
