package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// walk is the state of the tour: where the platform listens, and its process.
type walk struct {
	program string
	dir     string
	listen  string

	platform *exec.Cmd
	ended    chan struct{} // closed when the platform's process has ended
	log      *os.File
}

func newWalk(program, dir string) (*walk, error) {
	// The port is free again when the platform takes it; nobody else on this machine is likely to take it in between.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	listen := l.Addr().String()
	if err := l.Close(); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "dev.log"))
	if err != nil {
		return nil, err
	}
	return &walk{program: program, dir: dir, listen: listen, log: log}, nil
}

func (w *walk) url() string { return "http://" + w.listen }

// environ is the user's environment, without what would lead the commands to another platform.
func (w *walk) environ() []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "OAAS_") && !strings.HasPrefix(kv, "K_SINK=") {
			env = append(env, kv)
		}
	}
	return append(env, "OAAS_URL="+w.url())
}

// start starts the platform.
func (w *walk) start() error {
	cmd := exec.Command(w.program, "dev", "--listen", w.listen, "--data", "data", "--scale-to-zero-grace", "1s")
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = w.dir, w.environ(), w.log, w.log
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	w.platform, w.ended = cmd, ended
	go func() {
		defer close(ended)
		_ = cmd.Wait() // how it ended is in its ProcessState
	}()
	return nil
}

// ready waits until the platform takes requests.
func (w *walk) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, soon)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url()+"/readyz", nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("expected %s/readyz to say 200 within %s; it did not", w.url(), soon)
		case <-w.ended:
			return errors.New("expected oaas dev to run; it has ended")
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// stop ends the platform, however it stands.
func (w *walk) stop() error {
	if w.platform != nil {
		_ = w.platform.Process.Signal(os.Interrupt) // ended already, most likely
		select {
		case <-w.ended:
		case <-time.After(10 * time.Second):
			_ = w.platform.Process.Kill() // the same
			<-w.ended
		}
	}
	return w.log.Close()
}

// platformLog gives the end of what the platform wrote, to be shown with a failure.
func (w *walk) platformLog() error {
	text, err := os.ReadFile(w.log.Name())
	if err != nil || len(text) == 0 {
		return err
	}
	const most = 4000
	if len(text) > most {
		text = append([]byte("…"), text[len(text)-most:]...)
	}
	return fmt.Errorf("the platform wrote:\n%s", text)
}

func (w *walk) timed(begun time.Time) { fmt.Printf("  (%s)\n", short(time.Since(begun))) }

func short(d time.Duration) time.Duration {
	if d > time.Second {
		return d.Round(10 * time.Millisecond)
	}
	return d.Round(time.Millisecond)
}

// oaas runs one command, shows it with its output and time, and checks that the output has what is expected.
func (w *walk) oaas(ctx context.Context, want string, args ...string) error {
	fmt.Println("$ oaas " + typed(args))
	begun := time.Now()
	out, err := w.command(ctx, args)
	show(out)
	w.timed(begun)
	if err != nil {
		return err
	}
	return expect(want, out)
}

// eventually runs one command again and again until its output has what is expected, and shows it then.
func (w *walk) eventually(ctx context.Context, within time.Duration, want string, args ...string) error {
	fmt.Println("$ oaas " + typed(args))
	begun := time.Now()
	for {
		out, err := w.command(ctx, args)
		over := time.Since(begun) > within
		if err == nil && strings.Contains(out, want) || over {
			show(out)
			w.timed(begun)
			if err != nil {
				return err
			}
			return expect(want, out)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// command runs oaas as a user would, and gives what it wrote.
func (w *walk) command(ctx context.Context, args []string) (string, error) {
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, w.program, args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = w.dir, w.environ(), &out, &out
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("expected the command to succeed; %w, and it wrote:\n%s", err, out.String())
	}
	return out.String(), nil
}

func expect(want, seen string) error {
	if strings.Contains(seen, want) {
		return nil
	}
	return fmt.Errorf("expected output with %q; seen:\n%s", want, seen)
}

// typed gives the arguments as they would be typed in a shell.
func typed(args []string) string {
	words := make([]string, len(args))
	for i, a := range args {
		words[i] = a
		if strings.ContainsAny(a, "{}\"$ *") {
			words[i] = "'" + a + "'"
		}
	}
	return strings.Join(words, " ")
}

// show prints what a command wrote.
func show(out string) {
	for line := range strings.SplitSeq(strings.TrimRight(out, "\n"), "\n") {
		fmt.Println("  " + line)
	}
}

// cloudEvent calls a method with a CloudEvent in binary mode, twice with the same id.
func (w *walk) cloudEvent(ctx context.Context) error {
	address := w.url() + "/api/class/" + class + "/_/objects/" + object + "/invokes/add"
	fmt.Printf("$ curl %s -d '{\"by\":3}' -H 'Content-Type: application/json' \\\n", address)
	fmt.Println("    -H 'Ce-Specversion: 1.0' -H 'Ce-Type: demo' -H 'Ce-Source: /demo' -H 'Ce-Id: 1'   # and the same again")
	for range 2 {
		begun := time.Now()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(`{"by":3}`))
		if err != nil {
			return err
		}
		for name, value := range map[string]string{
			"Content-Type": "application/json", "Ce-Specversion": "1.0", "Ce-Type": "demo", "Ce-Source": "/demo", "Ce-Id": "1",
		} {
			req.Header.Set(name, value)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			return err
		}
		show(string(body))
		w.timed(begun)
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("expected status 200; seen %s: %s", resp.Status, body)
		}
		if err := expect(`"count":5`, string(body)); err != nil {
			return err
		}
	}
	return nil
}
