package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/hpcclab/oaas-go/dev/control"
)

// every walks all commands.
func every(cmd *cobra.Command, each func(*cobra.Command)) {
	each(cmd)
	for _, sub := range cmd.Commands() {
		if sub.Name() != "help" && sub.Name() != "completion" {
			every(sub, each)
		}
	}
}

func TestEveryCommandHelps(t *testing.T) {
	root := (&app{env: lookup(nil)}).root()
	every(root, func(cmd *cobra.Command) {
		if cmd.Short == "" || !strings.Contains(cmd.Example, "oaas "+strings.TrimPrefix(cmd.CommandPath(), "oaas ")) && cmd != root {
			t.Errorf("%q has no short text, or no example of itself:\n%s", cmd.CommandPath(), cmd.Example)
		}
		if cmd.Args == nil {
			t.Errorf("%q does not check its arguments", cmd.CommandPath())
		}
		for _, line := range strings.Split(cmd.Long, "\n") {
			if len(line) > 140 {
				t.Errorf("%q: a line of its help has %d characters", cmd.CommandPath(), len(line))
			}
		}
	})
}

// The help of every command, under both names, is in files.
func TestHelp(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"oaas", "oprc-cli"} {
		a := &app{env: lookup(nil), called: name, compat: isCompat(name)}
		root := a.root()
		if a.compat {
			root = a.compatRoot()
		}
		s := &scenario{t: t}
		var got strings.Builder
		every(root, func(cmd *cobra.Command) {
			args := append(strings.Fields(cmd.CommandPath())[1:], "--help")
			fmt.Fprintf(&got, "$ %s %s\n%s\n", name, strings.Join(args, " "), s.normal(program(t, name, "", nil, args...)))
		})
		file := filepath.Join(packageDir, "testdata", "help", name+".golden")
		if *rewrite {
			if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		compare(t, string(want), got.String())
	}
}

// What is documented is what is printed: each block of JSON.md is one of the scenarios.
func TestJSONIsAsDocumented(t *testing.T) {
	text, err := os.ReadFile("JSON.md")
	if err != nil {
		t.Fatal(err)
	}
	var scenarios strings.Builder
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		one, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		scenarios.Write(one)
		scenarios.WriteByte('\n')
	}
	blocks := strings.Split(string(text), "```")
	if len(blocks) < 10 {
		t.Fatal("JSON.md has no examples")
	}
	for i := 1; i < len(blocks); i += 2 {
		_, block, _ := strings.Cut(blocks[i], "\n")
		if strings.HasPrefix(block, "$ ") && !strings.Contains(scenarios.String(), block) {
			t.Errorf("JSON.md shows what no scenario prints:\n%s", block)
		}
	}
}

// Each document on stdout is one that a parser takes, and YAML says the same as JSON.
func TestMachineForms(t *testing.T) {
	url, dir := platform(t)
	env := []string{"OAAS_URL=" + url}
	if o := command(t, "", env, "object", "set", "shop.cart", "alice", "total=12", "text=a: b\n- c", "photo=\x00\xff"); o.code != 0 {
		t.Fatalf("%+v", o)
	}
	for _, args := range [][]string{
		{"object", "get", "shop.cart", "alice"}, {"object", "list", "shop.cart"}, {"object", "entries", "shop.cart", "alice"},
		{"func", "list"}, {"func", "describe", "fn"}, {"func", "deploy", dir}, {"trigger", "list", "shop.cart"}, {"trigger", "dead", "shop.cart"},
		{"invoke", "shop.cart", "alice", "total"}, {"version"}, {"func", "build", dir},
	} {
		asJSON := command(t, "", append(env, "OAAS_OUTPUT=json"), args...)
		asYAML := command(t, "", env, append(args, "-o", "yaml")...)
		var fromJSON, fromYAML any
		if err := json.Unmarshal([]byte(asJSON.out), &fromJSON); err != nil || asJSON.code != 0 {
			t.Errorf("%v as JSON: %v, %+v", args, err, asJSON)
		}
		if err := yaml.Unmarshal([]byte(asYAML.out), &fromYAML); err != nil || asYAML.code != 0 {
			t.Errorf("%v as YAML: %v, %+v", args, err, asYAML)
		}
		again, err := json.Marshal(fromYAML)
		if err != nil {
			t.Errorf("%v: %v", args, err)
		}
		var both any
		if err := json.Unmarshal(again, &both); err != nil || !sameBut(fromJSON, both, "ms") {
			t.Errorf("%v: YAML and JSON differ:\n%s\n%s", args, asJSON.out, asYAML.out)
		}
	}
}

// sameBut compares two documents without the values of one key.
func sameBut(a, b any, key string) bool {
	strip := func(v any) string {
		if m, ok := v.(map[string]any); ok {
			delete(m, key)
		}
		text, _ := json.Marshal(v)
		return string(text)
	}
	return strip(a) == strip(b)
}

func TestFlagsFromEnvironment(t *testing.T) {
	url, _ := platform(t)
	env := []string{"OAAS_URL=" + url}
	if o := command(t, "", append(env, "OAAS_LIMIT=no"), "object", "list", "shop.cart"); o.code != 2 || !strings.Contains(o.err, "OAAS_LIMIT") {
		t.Errorf("a bad variable: %+v", o)
	}
	if o := command(t, "", append(env, "OAAS_OUTPUT=json"), "func", "list"); o.code != 0 || !strings.HasPrefix(o.out, "{") {
		t.Errorf("a good variable: %+v", o)
	}
	if o := command(t, "", append(env, "OAAS_OUTPUT=json"), "func", "list", "-o", "table"); o.code != 0 || strings.HasPrefix(o.out, "{") {
		t.Errorf("the command line goes before the environment: %+v", o)
	}
	// What belongs to one request is not taken from the environment: OAAS_DATA is the data folder of oaas dev.
	if o := command(t, "", append(env, "OAAS_DATA=/tmp/x", "OAAS_KEY=k"), "invoke", "shop.cart", "a", "total"); o.code != 0 {
		t.Errorf("a payload from the environment: %+v", o)
	}
}

func TestInterrupted(t *testing.T) {
	begun := make(chan struct{})
	held := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
	}))
	defer held.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-begun; cancel() }()
	var errs bytes.Buffer
	code := Run(ctx, "oaas", []string{"invoke", "a.b", "c"}, Streams{In: strings.NewReader(""), Out: io.Discard, Err: &errs}, lookup([]string{"OAAS_URL=" + held.URL}))
	if code != 130 || errs.String() != "interrupted\n" {
		t.Errorf("exit code %d, %q", code, errs.String())
	}
}

func TestTimeout(t *testing.T) {
	held := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer held.Close()
	o := command(t, "", []string{"OAAS_URL=" + held.URL}, "func", "list", "--timeout", "50ms")
	if o.code != 1 || !strings.Contains(o.err, "no answer from "+held.URL+" within 50ms") || !strings.Contains(o.err, "hint:") {
		t.Errorf("%+v", o)
	}
}

// Answers that no platform gives must not break the command line.
func TestStrangeAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		status     int
		text, want string
	}{
		"a web page":     {200, "<html>", "is this an oaas platform?"},
		"nothing":        {200, "", "is this an oaas platform?"},
		"not found page": {404, "<html>nothing here</html>", "is the address of"},
		"proxy error":    {502, "", "the platform answered 502 Bad Gateway"},
		"half an answer": {200, `{"objects":[`, "is this an oaas platform?"},
		"our error":      {503, `{"error":{"code":"UNAVAILABLE","message":"starting"}}`, "starting (UNAVAILABLE)"},
	} {
		t.Run(name, func(t *testing.T) {
			strange := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.text)
			}))
			defer strange.Close()
			want := c.want
			if name == "not found page" {
				want = "is " + strange.URL + " the address of an oaas platform?"
			}
			o := command(t, "", []string{"OAAS_URL=" + strange.URL}, "object", "list", "a.b")
			if o.code != 1 || !strings.Contains(o.err, want) {
				t.Errorf("%+v, want %q", o, want)
			}
		})
	}
}

func TestColours(t *testing.T) {
	for _, c := range []struct {
		terminal bool
		env      []string
		colour   bool
	}{
		{true, nil, true}, {false, nil, false}, {true, []string{"NO_COLOR=1"}, false}, {true, []string{"NO_COLOR="}, true},
	} {
		var errs bytes.Buffer
		Run(t.Context(), "oaas", []string{"object", "get"}, Streams{Out: io.Discard, Err: &errs, ErrTerminal: c.terminal}, lookup(c.env))
		if got := strings.Contains(errs.String(), "\x1b["); got != c.colour {
			t.Errorf("terminal %v, %v: colour %v", c.terminal, c.env, got)
		}
	}
}

// At a terminal, what takes longer than a second says so, and leaves nothing behind.
func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var errs bytes.Buffer
		a := &app{Streams: Streams{Err: &errs, ErrTerminal: true}, env: lookup(nil)}
		a.progress("quick")()
		if errs.Len() > 0 {
			t.Errorf("something quick wrote %q", errs.String())
		}
		done := a.progress("slow")
		time.Sleep(2500 * time.Millisecond)
		done()
		done()
		if text := errs.String(); !strings.Contains(text, "slow … 1s") || !strings.Contains(text, "slow … 2s") || !strings.HasSuffix(text, "\r\x1b[K") {
			t.Errorf("something slow wrote %q", text)
		}
		errs.Reset()
		a.ErrTerminal = false
		done = a.progress("slow")
		time.Sleep(3 * time.Second)
		done()
		if errs.Len() > 0 {
			t.Errorf("without a terminal it wrote %q", errs.String())
		}
	})
}

func TestStepLine(t *testing.T) {
	for want, p := range map[string]control.Progress{
		"  build    main go (1.5s)": {Step: "build", Function: "main", Message: "go", Millis: 1500},
		"  validate shop":           {Step: "validate", Message: "shop"},
	} {
		if got := stepLine(p); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestShow(t *testing.T) {
	for _, c := range []struct {
		data  string
		limit int
		want  string
	}{
		{"", 0, ""}, {"12", 0, "12"}, {"{ \"a\" : 1 }", 0, `{"a":1}`}, {"a\n\tb", 0, "a b"}, {"\x00\x01", 0, "(2 bytes)"},
		{"\xff", 0, "(1 bytes)"}, {"\x1b[31m", 0, "(5 bytes)"}, {"äöüß", 3, "äö…"}, {"abc", 3, "abc"},
	} {
		if got := show([]byte(c.data), c.limit); got != c.want {
			t.Errorf("%q: got %q, want %q", c.data, got, c.want)
		}
	}
}
