package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestSamples deploys every sample and runs the commands of its README, as a user would.
func TestSamples(t *testing.T) {
	dirs, err := filepath.Glob(filepath.Join(root, "functions", "*", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	p := newPlatform(t)
	for i, readme := range dirs {
		dirs[i] = filepath.Dir(readme)
	}
	p.args = dirs // `oaas dev functions/…`, all at once
	p.start()
	p.until("every sample is deployed", func() bool {
		return len(p.deployed()) == 8
	})
	for _, c := range []struct {
		sample string
		want   []string // what the commands print, one after the other; a part of it
		check  func(t *testing.T, p *platform)
	}{
		{"counter", []string{`{"count":2}`}, checkCounter("counter.counter")},
		{"python-counter", []string{`{"count": 2}`}, checkCounter("python.counter")},
		{"shell-counter", []string{`{"count":2}`}, checkCounter("shell.counter")},
		{"echo", []string{"hello"}, checkEcho},
		{"shop", []string{`"left":5`, `"apple":2`, `"id":"ann-1"`, "reserved"}, checkShop},
		{"sensor", []string{`"temperature":35`, ""}, checkSensor},
	} {
		t.Run(c.sample, func(t *testing.T) {
			p := p.in(t)
			commands := readmeCommands(t, filepath.Join(root, "functions", c.sample, "README.md"))
			if len(commands) != len(c.want) {
				t.Fatalf("the README has %d commands, the test expects %d: %q", len(commands), len(c.want), commands)
			}
			for i, command := range commands {
				if out := p.shell(command); !strings.Contains(normal(out), normal(c.want[i])) {
					t.Errorf("%s\nprints %q, without %q", command, out, c.want[i])
				}
			}
			c.check(t, p)
		})
	}
	for _, dir := range dirs {
		if left, _ := filepath.Glob(filepath.Join(dir, ".oaas*")); len(left) > 0 {
			t.Errorf("the platform has left %v in a project", left)
		}
	}
}

// deployed gives the names of the classes.
func (p *platform) deployed() []string {
	p.t.Helper()
	var document struct{ Classes []struct{ Name string } }
	if err := json.Unmarshal(p.must(http.MethodGet, "/api/class", nil).body, &document); err != nil {
		p.t.Fatal(err)
	}
	var names []string
	for _, c := range document.Classes {
		names = append(names, c.Name)
	}
	return names
}

func normal(text string) string { return strings.ReplaceAll(text, " ", "") }

// in gives the platform for a test of its own.
func (p *platform) in(t *testing.T) *platform {
	return &platform{t: t, dir: p.dir, addr: p.addr, cmd: p.cmd, output: p.output}
}

// readmeCommands gives the commands of a README's blocks, without those that start the platform.
func readmeCommands(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var commands []string
	inside := false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "```"):
			inside = line == "```sh"
		case inside && !strings.HasPrefix(line, "oaas dev"):
			commands = append(commands, line)
		}
	}
	return commands
}

// shell runs a command of a page against this platform.
func (p *platform) shell(command string) string {
	p.t.Helper()
	cmd := exec.CommandContext(p.t.Context(), "bash", "-c", strings.ReplaceAll(command, "127.0.0.1:8080", p.addr))
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(binary)+string(os.PathListSeparator)+os.Getenv("PATH"), "OAAS_URL="+p.url(""), "NO_COLOR=1")
	out, err := cmd.Output()
	if err != nil {
		p.t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return string(out)
}

func checkCounter(class string) func(*testing.T, *platform) {
	return func(t *testing.T, p *platform) {
		for _, c := range []struct {
			method, payload string
			status          int
			want            string
		}{
			{"add", "", 200, `{"count":3}`},
			{"add", `{"by":-1}`, 200, `{"count":2}`},
			{"get", "", 200, `{"count":2}`},
			{"add", `{"by":-5}`, 400, "below zero"},
			{"add", `{"by":"x"}`, 400, ""},
			{"add", `[`, 400, ""},
			{"multiply", "", 404, "NO_FUNCTION"},
			{"get", "", 200, `{"count":2}`},
		} {
			a := p.do(http.MethodPost, methodPath(class, "c1", c.method), []byte(c.payload), "Content-Type", "application/json")
			sameKind := a.status == c.status || c.status == 400 && a.status == 409 // some call it a conflict
			if !sameKind || !strings.Contains(normal(string(a.body)), normal(c.want)) {
				t.Errorf("%s %s of %s: %s; want %d %s", c.method, c.payload, class, a, c.status, c.want)
			}
		}
		if state := p.object(class, "c1"); len(state) != 1 || state["count"] != "2" {
			t.Errorf("%s/c1 is %v", class, state)
		}
		if got := p.version(class, "c1"); got != 3 {
			t.Errorf("%s/c1 has version %d, three calls have changed it", class, got)
		}
	}
}

func checkEcho(t *testing.T, p *platform) {
	body := []byte("\x00\xff any bytes")
	a := p.must(http.MethodPost, "/api/class/echo.echo/_/invokes/echo", body, "Content-Type", "image/x-any")
	if !slices.Equal(a.body, body) || a.header.Get("Content-Type") != "image/x-any" {
		t.Errorf("echo gives %s of type %s", a, a.header.Get("Content-Type"))
	}
}

func checkShop(t *testing.T, p *platform) {
	if stock := p.object("shop.stock", "apple"); stock["left"] != "3" || stock["reserved"] != "2" {
		t.Errorf("stock %v", stock)
	}
	// Ten carts want the last three.
	answers := make(chan *answer, 10)
	for n := range cap(answers) {
		cart := fmt.Sprintf("cart-%d", n)
		if a := p.call("shop.cart", cart, "add", map[string]any{"item": "apple", "amount": 1}); a.status != http.StatusOK {
			t.Fatal(a)
		}
		go func() {
			a, err := p.send(http.MethodPost, methodPath("shop.cart", cart, "checkout"), nil)
			if err != nil {
				a = &answer{body: []byte(err.Error())}
			}
			answers <- a
		}()
	}
	sold := 0
	for range cap(answers) {
		switch a := <-answers; a.status {
		case http.StatusOK:
			sold++
		case http.StatusConflict:
		default:
			t.Errorf("checkout: %s", a)
		}
	}
	if stock := p.object("shop.stock", "apple"); sold != 3 || stock["left"] != "0" || stock["reserved"] != "5" {
		t.Errorf("sold %d of three; the stock is %v", sold, stock)
	}
}

func checkSensor(t *testing.T, p *platform) {
	p.until("the alarm is raised", func() bool { return p.object("sensor.alarm", "main")["hot:roof"] != "" })
	for _, value := range []string{"36", "29", "31", "12"} { // a device writes; two crossings up in all, with the first reading
		p.must(http.MethodPut, objectPath("sensor.sensor", "roof")+"/entries/temperature", []byte(value))
	}
	p.drained()
	if state := p.object("sensor.alarm", "main"); state["raised"] != "2" || state["hot:roof"] != "" {
		t.Errorf("the alarm is %v", state)
	}
}
