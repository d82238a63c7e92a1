package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh/transport"
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// asRouter makes the test binary the command itself.
const asRouter = "OAAS_ROUTER_TEST_RUNS_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asRouter) != "" {
		main()
	}
	os.Exit(m.Run())
}

func lookupIn(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		v, ok := env[name]
		return v, ok
	}
}

func TestExitCodes(t *testing.T) {
	taken, err := transport.ListenLink(t.Context(), "tcp/127.0.0.1:0", transport.LinkConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	quiet := map[string]string{"OPRC_ZENOH_SCOUTING_MULTICAST_ENABLED": "false"}
	interrupted, stop := context.WithCancel(t.Context())
	stop()
	for _, c := range []struct {
		name      string
		ctx       context.Context
		args      []string
		env       map[string]string
		code      int
		out, said string
	}{
		{"help", t.Context(), []string{"--help"}, nil, exitOK, "", "OPRC_ZENOH_PEERS"},
		{"print", t.Context(), []string{"--print-config", "-e", "tcp/a:1"}, nil, exitOK, `"connect/endpoints": "--connect"`, ""},
		{"unknown flag", t.Context(), []string{"--nonsense"}, nil, exitUsage, "", "nonsense"},
		{"argument", t.Context(), []string{"start"}, nil, exitUsage, "", `"start"`},
		{"bad variable", t.Context(), nil, map[string]string{"OPRC_ZENOH_PORT": "x"}, exitUsage, "", "OPRC_ZENOH_PORT"},
		{"bad endpoint", t.Context(), []string{"-l", "tcp"}, nil, exitUsage, "", "listen/endpoints"},
		{"bad policy", t.Context(), []string{"--slow-sessions", "wait"}, nil, exitUsage, "", "slow-sessions"},
		{"bad level", t.Context(), nil, map[string]string{"LOG_LEVEL": "loud"}, exitUsage, "", "LOG_LEVEL"},
		{"taken port", t.Context(), []string{"-l", taken.Endpoint()}, quiet, exitFailed, "", "address already in use"},
		{"taken metrics", t.Context(), []string{"-l", "tcp/127.0.0.1:0", "--metrics", strings.TrimPrefix(taken.Endpoint(), "tcp/")}, quiet, exitFailed, "", "metrics"},
		{"interrupted", interrupted, []string{"-l", "tcp/127.0.0.1:0"}, quiet, exitInterrupted, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out, errOut bytes.Buffer
			if code := run(c.ctx, c.args, lookupIn(c.env), &out, &errOut); code != c.code {
				t.Errorf("exit code %d, want %d: %s", code, c.code, errOut.String())
			}
			if !strings.Contains(out.String(), c.out) || !strings.Contains(errOut.String(), c.said) {
				t.Errorf("out %s, said %s", out.String(), errOut.String())
			}
		})
	}
}

// TestProcess runs the command as a process, uses it, and ends it by a signal.
func TestProcess(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		cmd := exec.CommandContext(ctx, os.Args[0], "--listen", "tcp/127.0.0.1:0", "--metrics", "127.0.0.1:0")
		cmd.Env = []string{asRouter + "=1", "OPRC_ZENOH_SCOUTING_MULTICAST_ENABLED=false", "OPRC_ZENOH_ADMINSPACE_ENABLED=true"}
		said, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(said)
		endpoint := find(t, lines, `locators=\[(\S+)\]`)
		metrics := find(t, lines, `address=(\S+)`)
		client, err := transport.Dial(ctx, endpoint, transport.Config{})
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- client.Serve(ctx, func(wire.Network) error { return nil }) }()
		for !strings.Contains(fetch(t, "http://"+metrics+"/metrics"), "zenoh_router_sessions 1\n") {
			if ctx.Err() != nil {
				t.Fatal("no session in the metrics")
			}
		}
		if got := fetch(t, "http://"+metrics+"/healthz"); got != "ok\n" {
			t.Errorf("health is %q", got)
		}
		if err := cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; !strings.Contains(fmt.Sprint(err), "transport closed") { // it was told, not cut off
			t.Errorf("the session ended with %v", err)
		}
		for lines.Scan() {
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("after %v: %v", signal, err)
		}
	}
}

// find reads lines until one has a match, and gives its group or all of it.
func find(t *testing.T, lines *bufio.Scanner, pattern string) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	for lines.Scan() {
		if found := re.FindStringSubmatch(lines.Text()); found != nil {
			return found[len(found)-1]
		}
	}
	t.Fatalf("nothing like %s was said", pattern)
	return ""
}

func fetch(t *testing.T, url string) string {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
