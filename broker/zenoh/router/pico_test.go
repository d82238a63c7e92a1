package router

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pico is an example program of zenoh-pico. No package carries them, so tests with them run when OAAS_INTEROP_PICO names the folder in which
// they were built from source.
type pico struct {
	t     *testing.T
	lines chan string
}

func startPico(t *testing.T, r *Router, program string, args ...string) *pico {
	t.Helper()
	folder := os.Getenv("OAAS_INTEROP_PICO")
	if folder == "" {
		t.Skip("OAAS_INTEROP_PICO does not name the example programs of zenoh-pico")
	}
	args = append([]string{"-oL", filepath.Join(folder, program), "-m", "client", "-e", r.Locators()[0]}, args...)
	cmd := exec.Command("stdbuf", args...) // a pipe would keep what they say
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	reader, writer := io.Pipe()
	cmd.Stdout, cmd.Stderr = writer, writer
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &pico{t, make(chan string, 1000)}
	go func() {
		defer close(p.lines)
		for lines := bufio.NewScanner(reader); lines.Scan(); {
			p.lines <- lines.Text()
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = in.Close()
		_ = cmd.Wait()
		_ = writer.Close()
		for range p.lines {
		}
	})
	return p
}

// says waits for a line with that in it.
func (p *pico) says(want string) {
	p.t.Helper()
	var said []string
	for deadline := time.After(20 * time.Second); ; {
		select {
		case line, ok := <-p.lines:
			if strings.Contains(line, want) {
				return
			}
			if said = append(said, line); !ok {
				p.t.Fatalf("pico ended without %q: %q", want, said)
			}
		case <-deadline:
			p.t.Fatalf("pico does not say %q but %q", want, said)
		}
	}
}

func TestInteropPico(t *testing.T) { // rows 1, 3, 4 and 8
	t.Run("publish and subscribe", func(t *testing.T) {
		r := start(t, Config{})
		publisher := startPico(t, r, "z_pub", "-k", "pico/a", "-v", "hi", "-n", "100", "-a")
		publisher.says("Putting Data")
		for range 2 { // a subscriber comes later, leaves and comes back
			t.Run("", func(t *testing.T) {
				subscriber := startPico(t, r, "z_sub", "-k", "pico/**")
				subscriber.says("('pico/a': '[")
				publisher.says("Publisher has matching subscribers")
			})
			publisher.says("NO MORE matching subscribers")
		}
		subscriber := startPico(t, r, "z_sub", "-k", "pico/*")
		await(t, r, func(s Statistics) bool { return s.Subscribers == 1 })
		startPico(t, r, "z_put", "-k", "pico/b", "-v", "once").says("Putting Data")
		subscriber.says("('pico/b': 'once')")
	})
	t.Run("queries", func(t *testing.T) {
		r := start(t, Config{})
		startPico(t, r, "z_get", "-k", "nobody/**").says("final notification")
		startPico(t, r, "z_queryable", "-k", "ask/pico", "-v", "answer").says("CTRL-C")
		await(t, r, func(s Statistics) bool { return s.Queryables == 1 })
		asker := startPico(t, r, "z_get", "-k", "ask/pico")
		asker.says("'ask/pico': 'answer'")
		asker.says("final notification")
	})
	t.Run("liveliness", func(t *testing.T) {
		r := start(t, Config{})
		watcher := startPico(t, r, "z_sub_liveliness", "-k", "live/**")
		watcher.says("CTRL-C")
		t.Run("", func(t *testing.T) {
			startPico(t, r, "z_liveliness", "-k", "live/a").says("CTRL-C")
			startPico(t, r, "z_liveliness", "-k", "live/b").says("CTRL-C")
			await(t, r, func(s Statistics) bool { return s.Tokens == 2 })
			late := startPico(t, r, "z_sub_liveliness", "-k", "live/**", "-h")
			late.says("New alive token")
			late.says("New alive token")
			get := startPico(t, r, "z_get_liveliness", "-k", "live/**")
			get.says("Alive token")
			get.says("Alive token")
		})
		watcher.says("Dropped token")
		watcher.says("Dropped token")
	})
}
