package cli

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hpcclab/oaas-go/cli/client/mesh/meshtest"
)

var rewrite = flag.Bool("rewrite", false, "write what the commands print into the files of testdata")

// changing is what differs from run to run, and what stands for it in the files.
var changing = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`http://127\.0\.0\.1:\d{2,}`), "URL"},
	{regexp.MustCompile(`tcp/127\.0\.0\.1:\d+`), "ENDPOINT"},
	{regexp.MustCompile(`(item|cart|alarm)-[a-z0-9]{8}\b`), "$1-XXXXXXXX"},
	{regexp.MustCompile(`devel[-a-z0-9]* \(built [^)]*\)`), "VERSION"},
	{regexp.MustCompile(`"(crm_version)": "[^"]*"`), `"$1": "VERSION"`},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?`), "TIMESTAMP"},
	{regexp.MustCompile(`("ms": )\d+`), "${1}N"},
	{regexp.MustCompile(`(TOOK +)[0-9.a-zµ]+`), "${1}TIME"},
	{regexp.MustCompile(` *\((\d+(\.\d+)?(µs|ms|s))\)`), ""}, // absent where it took less than a millisecond
	{regexp.MustCompile(`(?m) +$`), ""},
	{regexp.MustCompile(`dial tcp [^\n]*`), "dial tcp ADDRESS: connection refused"},
	{regexp.MustCompile(`go1\.[0-9.]+, [a-z]+/[a-z0-9]+`), "GO"},
}

// TestScenarios types the commands of each file of testdata and compares what they print: first stdout, then stderr with "! " before each line,
// then the exit code if it is not 0. "NAME=$(…)" keeps stdout for later commands, as $NAME; "NAME=value" before a command is for its environment;
// "<<< text" is stdin; "(until TEXT)" repeats a command until its output has the text. The folder has the files of testdata/files, and is the home.
// $PLATFORM is the platform, for which oaas has OAAS_URL and oprc-cli has not; $ZENOH is a Zenoh network with a data grid.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	checked, ran := loadSchemas(t), 0
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			url, dir := platform(t)
			here := t.TempDir()
			t.Chdir(here)
			if err := os.CopyFS(here, os.DirFS(filepath.Join(packageDir, "testdata", "files"))); err != nil {
				t.Fatal(err)
			}
			s := &scenario{t: t, url: url, schemas: checked, vars: map[string]string{"SHOP": dir, "HERE": here, "PLATFORM": url}}
			if strings.Contains(string(text), "$ZENOH") {
				s.vars["ZENOH"] = meshtest.Serve(t)
			}
			got := s.run(string(text))
			if *rewrite {
				if err := os.WriteFile(filepath.Join(packageDir, file), []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			compare(t, string(text), got)
			ran++
		})
	}
	if ran == len(files) {
		checked.all(t)
	}
}

// packageDir is the folder of this package; scenarios run in another one.
var packageDir = func() string {
	dir, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	return dir
}()

// compare reports the first lines that differ.
func compare(t *testing.T, want, got string) {
	t.Helper()
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(a), len(b)) {
		var x, y string
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			t.Fatalf("line %d:\nwant %q\ngot  %q\nall of it (go test -rewrite takes it):\n%s", i+1, x, y, got)
		}
	}
}

type scenario struct {
	t       *testing.T
	url     string
	schemas *schemas
	vars    map[string]string
}

// run gives the text with the outputs replaced by what the commands print now.
func (s *scenario) run(text string) string {
	var b strings.Builder
	for line := range strings.SplitSeq(text, "\n") {
		switch {
		case strings.HasPrefix(line, "#"), line == "" && b.Len() == 0:
			fmt.Fprintln(&b, line)
		case strings.HasPrefix(line, "$ "):
			if b.Len() > 0 && !strings.HasSuffix(b.String(), "\n\n") && !strings.HasSuffix(lastLine(b.String()), "#") {
				if last := lastLine(b.String()); !strings.HasPrefix(last, "#") {
					b.WriteByte('\n')
				}
			}
			fmt.Fprintln(&b, line)
			b.WriteString(s.step(strings.TrimPrefix(line, "$ ")))
		}
	}
	return b.String()
}

func lastLine(text string) string {
	text = strings.TrimRight(text, "\n")
	return text[strings.LastIndexByte(text, '\n')+1:]
}

var (
	keepForm  = regexp.MustCompile(`^([A-Z]+)=\$\((.*)\)$`)
	untilForm = regexp.MustCompile(`^(.*) \(until (.*)\)$`)
)

// step runs one line and gives what it prints.
func (s *scenario) step(line string) string {
	keep, until := "", ""
	if m := keepForm.FindStringSubmatch(line); m != nil {
		keep, line = m[1], m[2]
	}
	if m := untilForm.FindStringSubmatch(line); m != nil {
		line, until = m[1], m[2]
	}
	line, input, _ := strings.Cut(line, " <<< ")
	for name, value := range s.vars {
		line = strings.ReplaceAll(line, "$"+name, value)
	}
	args, env := words(line), []string(nil)
	for strings.Contains(args[0], "=") {
		env, args = append(env, args[0]), args[1:]
	}
	env = append(env, "HOME="+s.vars["HERE"])
	if args[0] == "oaas" {
		env = append(env, "OAAS_URL="+s.url)
	}
	deadline := time.Now().Add(30 * time.Second)
	for {
		done := program(s.t, args[0], input, env, args[1:]...)
		if until != "" && time.Now().After(deadline) {
			s.t.Errorf("%s: no %q within 30 s", line, until)
		}
		if until == "" || strings.Contains(done.out+done.err, until) || time.Now().After(deadline) {
			if keep != "" {
				s.vars[keep] = strings.TrimSpace(done.out)
			}
			s.schemas.check(s.t, args, done)
			return s.normal(done)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// normal gives an outcome with everything that changes replaced.
func (s *scenario) normal(o outcome) string {
	var b strings.Builder
	if o.out != "" {
		b.WriteString(strings.TrimSuffix(o.out, "\n") + "\n")
	}
	if o.err != "" {
		for line := range strings.SplitSeq(strings.TrimRight(o.err, "\n"), "\n") {
			b.WriteString(strings.TrimRight("! "+line, " ") + "\n")
		}
	}
	if o.code != 0 {
		fmt.Fprintf(&b, "exit %d\n", o.code)
	}
	text := b.String()
	for _, c := range changing {
		text = c.pattern.ReplaceAllString(text, c.with)
	}
	for name, value := range s.vars {
		text = strings.ReplaceAll(text, value, "$"+name)
	}
	// Empty lines separate commands in the files.
	return strings.ReplaceAll(text, "\n\n", "\n·\n")
}

// words splits a line as a shell does, with single quotes.
func words(line string) []string {
	var all []string
	var word strings.Builder
	quoted, any := false, false
	for _, r := range line {
		switch {
		case r == '\'':
			quoted, any = !quoted, true
		case r == ' ' && !quoted:
			if any {
				all = append(all, word.String())
				word.Reset()
				any = false
			}
		default:
			word.WriteRune(r)
			any = true
		}
	}
	if any {
		all = append(all, word.String())
	}
	return all
}
