package structure

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The tests that docs/conformance-oaas-rs.md names are there, in the packages that it names before them.
func TestConformanceNamesTests(t *testing.T) {
	root := filepath.Join("..", "..")
	text, err := os.ReadFile(filepath.Join(root, "docs", "conformance-oaas-rs.md"))
	if err != nil {
		t.Fatal(err)
	}
	word, named := regexp.MustCompile("`([a-z0-9/]+)`|(Test\\w+)"), 0
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) < 5 {
			continue
		}
		dir := ""
		for _, m := range word.FindAllStringSubmatch(cells[4], -1) {
			if m[1] != "" {
				dir = m[1]
				continue
			}
			named++
			if !hasTest(t, filepath.Join(root, dir), m[2]) {
				t.Errorf("%s has no %s", dir, m[2])
			}
		}
	}
	if named == 0 {
		t.Error("the page names no tests")
	}
}

func hasTest(t *testing.T, dir, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "func "+name+"(") {
			return true
		}
	}
	return false
}
