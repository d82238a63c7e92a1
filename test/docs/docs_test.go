// Package docs runs every command that the README and the pages of docs/ show, and compares what it prints with what they say.
//
// A block ```console holds commands, each after "$ ", and what they print; "…" stands for anything within a line, and a line "…" for any
// lines. The commands of a page run one after the other in one empty folder. `oaas dev` runs in the background until the page ends.
package docs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

const pageAddress = "127.0.0.1:8080" // what pages show; the test uses a free port instead

var root, _ = filepath.Abs("../..")

// step is a command of a page with the output that the page shows.
type step struct {
	line    int
	command string
	output  []string
}

// goesOn reports whether the next line still belongs to the command: after a backslash, and inside a here-document that END ends.
func (s *step) goesOn() bool {
	return strings.HasSuffix(s.command, `\`) || (strings.Contains(s.command, "<<'END'\n") || strings.HasSuffix(s.command, "<<'END'")) && !strings.HasSuffix(s.command, "\nEND")
}

func TestPages(t *testing.T) {
	bin := t.TempDir()
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(bin, "oaas"), "./cmd/oaas")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0") // as make build, so that the build cache serves both
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build oaas: %v\n%s", err, out)
	}
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(pages, filepath.Join(root, "README.md")) {
		steps := read(t, page)
		if len(steps) == 0 {
			continue
		}
		t.Run(filepath.Base(page), func(t *testing.T) { play(t, bin, steps) })
	}
}

// read gives the commands of a page.
func read(t *testing.T, page string) []step {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var steps []step
	inside := false
	for i, line := range strings.Split(string(text), "\n") {
		command, isCommand := strings.CutPrefix(line, "$ ")
		switch {
		case line == "```console":
			inside = true
		case strings.HasPrefix(line, "```"):
			inside = false
		case !inside:
		case isCommand:
			steps = append(steps, step{line: i + 1, command: command})
		case len(steps) > 0 && steps[len(steps)-1].goesOn():
			steps[len(steps)-1].command += "\n" + line
		case len(steps) > 0:
			last := &steps[len(steps)-1]
			last.output = append(last.output, line)
		}
	}
	return steps
}

// play runs the commands of a page.
func play(t *testing.T, bin string, steps []step) {
	dir := t.TempDir()
	address := freeAddress(t)
	env := append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "HOME="+dir, "NO_COLOR=1",
		"OAAS_LISTEN="+address, "OAAS_URL=http://"+address, "GOCACHE="+goCache(t), "GOFLAGS=-mod=mod")
	cwd := dir
	for _, s := range steps {
		command := strings.ReplaceAll(s.command, pageAddress, address)
		if strings.HasPrefix(command, "oaas dev") {
			background(t, cwd, env, command, address)
			continue
		}
		// The shell tells where it ended up, so that cd lasts for the commands that follow.
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		cmd := exec.CommandContext(ctx, "bash", "-c", command+"\nstatus=$?; pwd >&3; exit $status")
		cmd.Dir, cmd.Env = cwd, env
		where, output := &bytes.Buffer{}, &bytes.Buffer{}
		pipe, write, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = output, output, []*os.File{write}
		err = cmd.Run()
		write.Close()
		_, _ = where.ReadFrom(pipe)
		pipe.Close()
		cancel()
		if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
			t.Fatalf("line %d: %s: %v", s.line, s.command, err)
		}
		if text := strings.TrimSpace(where.String()); text != "" {
			cwd = text
		}
		got := strings.ReplaceAll(output.String(), address, pageAddress)
		if !matches(s.output, got) {
			t.Fatalf("line %d: $ %s\nprints:\n%s\nthe page says:\n%s", s.line, s.command, got, strings.Join(s.output, "\n"))
		}
	}
}

// background starts oaas dev and waits until it is ready; it is interrupted when the page ends.
func background(t *testing.T, dir string, env []string, command, address string) {
	t.Helper()
	output := &bytes.Buffer{}
	cmd := exec.Command("bash", "-c", "exec "+command)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, env, output, output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			_ = cmd.Process.Kill()
			t.Errorf("oaas dev does not stop when it is interrupted; it printed:\n%s", output)
		}
	})
	deadline := time.Now().Add(time.Minute)
	for {
		response, err := http.Get("http://" + address + "/readyz")
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case err := <-done:
			done <- err
			t.Fatalf("%s ended: %v\n%s", command, err, output)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is not ready after a minute", command)
		}
	}
}

// matches compares what a command printed with what a page shows; a page that shows nothing expects nothing in particular.
func matches(page []string, got string) bool {
	for len(page) > 0 && page[len(page)-1] == "" {
		page = page[:len(page)-1]
	}
	if len(page) == 0 {
		return true
	}
	var pattern strings.Builder
	pattern.WriteString(`^\s*`)
	for _, line := range page {
		if strings.TrimSpace(line) == "…" {
			pattern.WriteString(`(?:[^\n]*\n)*?`)
			continue
		}
		parts := strings.Split(line, "…")
		for i, part := range parts {
			parts[i] = regexp.QuoteMeta(part)
		}
		fmt.Fprintf(&pattern, `%s[ \t]*\n`, strings.Join(parts, `[^\n]*`))
	}
	pattern.WriteString(`\s*$`)
	return regexp.MustCompile(pattern.String()).MatchString(strings.TrimRight(got, "\n") + "\n")
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// goCache keeps the build cache of the user who runs the test, as the home folder is another one.
func goCache(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		page, got string
		want      bool
	}{
		{"", "anything", true},
		{"a\nb", "a\nb\n", true},
		{"a\nb", "a\n", false},
		{"took … ms", "took 12 ms\n", true},
		{"took … ms", "took 12 s\n", false},
		{"first\n…\nlast", "first\n1\n2\nlast\n", true},
		{"…", "", true},
		{"a (x)", "a (x)", true},
	} {
		if got := matches(strings.Split(c.page, "\n"), c.got); got != c.want {
			t.Errorf("page %q and output %q: %v", c.page, c.got, got)
		}
	}
}
