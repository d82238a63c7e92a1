package e2e

import (
	"bytes"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long a test waits for something that must happen.
const patience = 25 * time.Second

// platform is an `oaas dev` with a data folder and an address that outlive its processes.
type platform struct {
	t    *testing.T
	dir  string
	addr string
	env  []string
	args []string

	mu     sync.Mutex
	cmd    *exec.Cmd
	output *buffer
}

// buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// newPlatform prepares a platform that is stopped, and checked for panics, when the test ends. It is started by start.
func newPlatform(t *testing.T, args ...string) *platform {
	t.Helper()
	p := &platform{t: t, dir: t.TempDir(), addr: freeAddress(t), args: args}
	t.Cleanup(p.stop)
	return p
}

// startPlatform gives a platform that serves.
func startPlatform(t *testing.T, args ...string) *platform {
	t.Helper()
	p := newPlatform(t, args...)
	p.start()
	return p
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

// start runs oaas dev and waits until it is ready.
func (p *platform) start() {
	p.t.Helper()
	p.spawn()
	p.until("the platform is ready", func() bool {
		response, err := client.Get(p.url("/readyz"))
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
}

// spawn runs oaas dev without waiting.
func (p *platform) spawn() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.output = &buffer{}
	p.cmd = exec.Command(binary, append([]string{"dev", "--listen", p.addr, "--data", filepath.Join(p.dir, "data")}, p.args...)...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = p.dir, p.output, p.output
	p.cmd.Env = append(append(os.Environ(), "HOME="+p.dir, "GOCACHE="+goCache(), "NO_COLOR=1"), p.env...)
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
}

var goCache = sync.OnceValue(func() string {
	out, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
})

func (p *platform) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd.Process.Pid
}

// kill ends the process as kill -9 does.
func (p *platform) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait() // it was killed, and says so
}

// stop interrupts the process, as Ctrl-C does, and wants it to end in time and without a panic.
func (p *platform) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil || p.cmd.Process == nil {
		return
	}
	if p.cmd.ProcessState == nil {
		if code := <-p.interruptLocked(); code != 0 && code != 130 {
			p.t.Errorf("oaas dev ended with exit code %d", code)
		}
	}
	text := p.output.String()
	if strings.Contains(text, "panic") || strings.Contains(text, "goroutine ") || strings.Contains(text, "DATA RACE") {
		p.t.Errorf("the platform panicked, or has a data race:\n%s", tail(text, 20000))
	} else if p.t.Failed() {
		p.t.Logf("the platform printed:\n%s", tail(text, 4000))
	}
}

// interrupt asks the process to stop; its exit code comes when it has ended. A process that does not end is killed: -1.
func (p *platform) interrupt() <-chan int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.interruptLocked()
}

func (p *platform) interruptLocked() <-chan int {
	cmd, code := p.cmd, make(chan int, 1)
	_ = cmd.Process.Signal(os.Interrupt) // it may have ended
	overdue := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	go func() {
		_ = cmd.Wait() // the exit code says the same
		overdue.Stop()
		code <- cmd.ProcessState.ExitCode()
	}()
	return code
}

func tail(text string, n int) string { return text[max(0, len(text)-n):] }

func (p *platform) url(path string) string { return "http://" + p.addr + path }

// until polls for something that must happen.
func (p *platform) until(what string, done func() bool) {
	p.t.Helper()
	for deadline := time.Now().Add(patience); !done(); {
		if time.Now().After(deadline) {
			p.t.Fatalf("after %s it is not so that %s; the platform printed:\n%s", patience, what, tail(p.output.String(), 3000))
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// oaas runs the command line, which must succeed, and gives what it writes to stdout.
func (p *platform) oaas(args ...string) string {
	p.t.Helper()
	out, errs, err := p.tryOaas(args...)
	if err != nil {
		p.t.Fatalf("oaas %s: %v\n%s%s", strings.Join(args, " "), err, out, errs)
	}
	return out
}

func (p *platform) tryOaas(args ...string) (out, errs string, err error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(p.t.Context(), binary, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.dir, &stdout, &stderr
	cmd.Env = append(os.Environ(), "OAAS_URL="+p.url(""), "NO_COLOR=1")
	err = cmd.Run()
	return stdout.String(), stderr.String(), err
}

// project writes a project of one file and gives its folder.
func (p *platform) project(name, packageFile string) string {
	p.t.Helper()
	dir := filepath.Join(p.dir, "projects", name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "oaas-package.yaml"), []byte(packageFile), 0o644); err != nil {
		p.t.Fatal(err)
	}
	return dir
}

// deploy deploys a project of one file.
func (p *platform) deploy(name, packageFile string) {
	p.t.Helper()
	p.oaas("func", "deploy", p.project(name, packageFile))
}
