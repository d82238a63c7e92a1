// Package native is a test kit: sessions of the native implementation of Zenoh, each in a process of Python, which publish, subscribe and scout
// as they are told. Tests with it run when OAAS_INTEROP is 1; OAAS_INTEROP_PYTHON names a Python that has the package eclipse-zenoh 1.10, or
// else python3 must.
package native

import (
	"bufio"
	"cmp"
	_ "embed" // for the script
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

//go:embed session.py
var script string

// Settings are those of Zenoh's configuration by key, such as listen/endpoints. One more, scout, with roles such as "router|peer", makes a
// process that only scouts.
type Settings map[string]any

// Router, Client and Peer are the settings for a mode and an endpoint to listen on, or to connect to.
func Router(endpoint string) Settings {
	return Settings{"mode": "router", "listen/endpoints": []string{endpoint}}
}

// Client is a client of a router.
func Client(endpoint string) Settings {
	return Settings{"mode": "client", "connect/endpoints": []string{endpoint}}
}

// Peer is a peer that listens, and connects to another.
func Peer(listen, connect string) Settings {
	return Settings{"mode": "peer", "listen/endpoints": []string{listen}, "connect/endpoints": []string{connect}}
}

// Session is such a process. It says "open" and "ready" (or "failed"), what its subscriber to to/python/** gets, as key, length and sum
// of the bytes, and whom it finds: hello, id, role, locators.
type Session struct {
	in  io.WriteCloser
	out chan string
}

// Need skips the test unless there is to be interoperation.
func Need(t testing.TB) {
	t.Helper()
	if os.Getenv("OAAS_INTEROP") != "1" {
		t.Skip("OAAS_INTEROP is not 1")
	}
}

// Python is the program that runs the sessions.
func Python() string { return cmp.Or(os.Getenv("OAAS_INTEROP_PYTHON"), "python3") }

// usable tells whether that Python has the package, so that no test waits for a process that cannot start.
var usable = sync.OnceValue(func() error {
	if out, err := exec.Command(Python(), "-c", "import zenoh").CombinedOutput(); err != nil {
		return fmt.Errorf("%s without the package eclipse-zenoh, see OAAS_INTEROP_PYTHON: %w: %s", Python(), err, out)
	}
	return nil
})

// Start starts a process that ends with the test. Multicast is off, unless settings say otherwise.
func Start(t testing.TB, settings ...Settings) *Session {
	t.Helper()
	Need(t)
	if err := usable(); err != nil {
		t.Fatal(err)
	}
	all := Settings{"scouting/multicast/enabled": false, "listen/endpoints": []string{}, "connect/timeout_ms": 3000}
	for _, s := range settings {
		maps.Copy(all, s)
	}
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), Python(), "-c", script, string(text))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &Session{in: in, out: make(chan string, 1000)}
	var wg sync.WaitGroup
	wg.Go(func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			s.out <- lines.Text()
		}
		close(s.out)
	})
	t.Cleanup(func() {
		_ = in.Close() // which ends it
		wg.Wait()
		_ = cmd.Wait()
	})
	return s
}

// Open waits until the session is open and subscribes.
func (s *Session) Open(t testing.TB) *Session {
	t.Helper()
	s.Expect(t, "open")
	s.Expect(t, "ready")
	return s
}

// Expect waits for the next thing that it says.
func (s *Session) Expect(t testing.TB, want string) {
	t.Helper()
	if got := s.Next(t); got != want {
		t.Fatalf("python said %q, want %q", got, want)
	}
}

// Next gives the next thing that it says.
func (s *Session) Next(t testing.TB) string {
	t.Helper()
	select {
	case got, running := <-s.out:
		if !running {
			t.Fatal("python has ended")
		}
		return got
	case <-time.After(20 * time.Second):
		t.Fatal("python says nothing")
		return ""
	}
}

// Put makes it publish that many bytes, which count from 0 to 250 again and again.
func (s *Session) Put(t testing.TB, key string, size int) {
	t.Helper()
	if _, err := fmt.Fprintln(s.in, key, size); err != nil {
		t.Fatal(err)
	}
}

// Payload tells whether bytes are those of Put.
func Payload(b []byte) bool {
	for i, v := range b {
		if int(v) != i%251 {
			return false
		}
	}
	return true
}

// Sum is how a session says what it got.
func Sum(key string, payload []byte) string {
	sum := 0
	for _, v := range payload {
		sum += int(v)
	}
	return strings.Join([]string{key, fmt.Sprint(len(payload)), fmt.Sprint(sum)}, " ")
}

// Said gives what it says, for those who do not only wait for that.
func (s *Session) Said() <-chan string { return s.out }
