// Package remotetest puts a network between a grid and those who test with it, so that the same tests hold for a grid in this process and for
// one in another: a router on a socket, a session with the grid, and a session with the client.
package remotetest

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hpcclab/oaas-go/broker/zenoh"
	"github.com/hpcclab/oaas-go/broker/zenoh/router"
	"github.com/hpcclab/oaas-go/odgm"
	"github.com/hpcclab/oaas-go/odgm/remote"
)

// variable says which grid the tests of BothWays run with: local, remote, or by default both.
const variable = "OAAS_TEST_GRID"

var remotely bool

// Remotely tells whether tests are to run with a grid behind a network now.
func Remotely() bool { return remotely }

// BothWays is a test binary that runs its tests twice: with a grid in process, and over Zenoh. Benchmarks and fuzzing run in process, unless
// the variable says remote.
type BothWays struct{ M goleak.TestingM }

// Run runs the tests and gives the exit code.
func (b BothWays) Run() int {
	flag.Parse()
	which := os.Getenv(variable)
	once := which != "" || flag.Lookup("test.fuzz").Value.String() != "" || flag.Lookup("test.bench").Value.String() != ""
	remotely = which == "remote"
	code := b.M.Run()
	if once || code != 0 {
		return code
	}
	remotely = true
	if code = b.M.Run(); code != 0 {
		fmt.Fprintln(os.Stderr, "FAIL: with a grid over Zenoh; OAAS_TEST_GRID=remote runs only that")
	}
	return code
}

// timeout bounds what is done to set the network up and to take it down.
const timeout = 20 * time.Second

// Router opens a router on a free port until the test ends, and gives where it listens.
func Router(t testing.TB) (endpoint string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	r, err := router.Open(ctx, router.Config{Listen: []string{"tcp/127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, r.Close) })
	return r.Locators()[0]
}

// Session opens a client of a router until the test ends.
func Session(t testing.TB, endpoint string) *zenoh.Session {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	s, err := zenoh.Open(ctx, zenoh.Config{Mode: zenoh.Client, Connect: zenoh.ConnectConfig{Endpoints: []string{endpoint}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, s.Close) })
	return s
}

// Serve puts a grid on a session until the test ends.
func Serve(t testing.TB, s *zenoh.Session, grid *odgm.Grid) *remote.Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	server, err := remote.NewServer(ctx, s, grid, remote.ServerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, server.Close) })
	return server
}

// Client makes a client on a session until the test ends.
func Client(t testing.TB, s *zenoh.Session) *remote.Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	c, err := remote.NewClient(ctx, s, remote.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, c.Close) })
	return c
}

// Link gives a client of a grid with a router between them, which knows the classes of the grid.
func Link(t testing.TB, grid *odgm.Grid) *remote.Client {
	t.Helper()
	endpoint := Router(t)
	Serve(t, Session(t, endpoint), grid)
	c := Client(t, Session(t, endpoint))
	deadline := time.Now().Add(timeout)
	for len(c.Classes()) < len(grid.Classes()) {
		if time.Now().After(deadline) {
			t.Fatal("the client does not get to know the classes")
		}
		time.Sleep(time.Millisecond)
	}
	return c
}

func closed(t testing.TB, close func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := close(ctx); err != nil {
		t.Error(err)
	}
}
