package gateway

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/function"
)

func TestDrain(t *testing.T) {
	faulty := &faultyGrid{}
	entered, release := make(chan struct{}), make(chan struct{})
	faulty.get = func(context.Context) error {
		close(entered)
		<-release
		return nil
	}
	r := newRig(t, rigOptions{wrap: func(g Grid) Grid { faulty.Grid = g; return faulty }})
	r.must(http.StatusOK, http.MethodGet, "/readyz", "")
	done := make(chan answer, 1)
	go func() {
		got, err := r.try(http.MethodGet, putPath, http.NoBody)
		if err != nil {
			t.Error(err)
		}
		done <- got
	}()
	<-entered
	r.stop()
	<-r.gateway.Stopping()
	until(t, "the listener is closed", func() bool {
		conn, err := net.Dial("tcp", strings.TrimPrefix(r.base, "http://"))
		if err != nil {
			return true
		}
		conn.Close()
		return false
	})
	select {
	case err := <-r.served:
		t.Fatalf("served no longer than this: %v", err)
	default:
	}
	close(release)
	if got := <-done; got.status != http.StatusNotFound {
		t.Errorf("the request in flight: %d %s", got.status, got.body)
	}
	if err := <-r.served; err != nil {
		t.Errorf("serve: %v", err)
	}
}

func TestNotReadyFirst(t *testing.T) {
	faulty := &faultyGrid{}
	r := newRig(t, rigOptions{
		cfg:  func(c *Config) { c.DrainDelay = 200 * time.Millisecond },
		wrap: func(g Grid) Grid { faulty.Grid = g; return faulty },
	})
	faulty.ready = fault.New(fault.Unavailable, "starting")
	if got := r.do(http.MethodGet, "/readyz", ""); got.status != 503 || got.code() != "UNAVAILABLE" || !strings.Contains(got.body, "starting") {
		t.Errorf("grid not ready: %d %s", got.status, got.body)
	}
	faulty.ready = nil
	r.must(http.StatusOK, http.MethodGet, "/readyz", "")
	r.stop()
	<-r.gateway.Stopping()
	got := r.do(http.MethodGet, "/readyz", "")
	if got.status != 503 || !strings.Contains(got.body, "stopping") {
		t.Errorf("stopping: %d %s", got.status, got.body)
	}
	r.must(http.StatusOK, http.MethodGet, "/healthz", "")
}

func TestDrainIsBounded(t *testing.T) {
	faulty := &faultyGrid{}
	entered := make(chan struct{})
	faulty.get = func(ctx context.Context) error {
		close(entered)
		<-ctx.Done() // ends when the connection is cut
		return ctx.Err()
	}
	r := newRig(t, rigOptions{
		cfg:  func(c *Config) { c.DrainTimeout = 20 * time.Millisecond },
		wrap: func(g Grid) Grid { faulty.Grid = g; return faulty },
	})
	done := make(chan error, 1)
	go func() {
		_, err := r.try(http.MethodGet, putPath, http.NoBody)
		done <- err
	}()
	<-entered
	r.stop()
	if err := <-r.served; err == nil || !strings.Contains(err.Error(), "1 requests cut off") {
		t.Errorf("serve: %v", err)
	}
	if err := <-done; err == nil {
		t.Error("the request was answered")
	}
	until(t, "the handler has ended", func() bool { return r.gateway.inFlight.Load() == 0 })
}

func TestWaitingForAResultEndsWithTheGateway(t *testing.T) {
	release := make(chan struct{})
	started := make(chan struct{}, 1)
	r := newRig(t, rigOptions{methods: map[string]method{
		"slow": func(q *http.Request, _ *function.Call) (*function.Reply, error) {
			started <- struct{}{}
			select {
			case <-release:
			case <-q.Context().Done():
			}
			return &function.Reply{}, nil
		},
	}})
	t.Cleanup(func() { close(release) })
	location := r.must(http.StatusAccepted, http.MethodPost, record0+"/objects/o/invokes/slow", "", "Prefer: respond-async").header.Get("Location")
	<-started
	done := make(chan answer, 1)
	go func() {
		got, err := r.try(http.MethodGet, location+"?wait=10m", http.NoBody)
		if err != nil {
			t.Error(err)
		}
		done <- got
	}()
	until(t, "the client waits", func() bool { return r.gateway.inFlight.Load() == 1 })
	r.stop()
	if got := <-done; got.status != http.StatusOK || !strings.Contains(got.body, `"status":"pending"`) {
		t.Errorf("got %d %s", got.status, got.body)
	}
}
