package transport

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// What a transport needed when it was busy is given back when it is idle.
func TestIdleMemory(t *testing.T) {
	const n, each = 100, 32 << 10
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	config := Config{Lease: 400 * time.Millisecond}
	for range n / 2 {
		c, r := connect(t, "tcp/127.0.0.1:0", config, config)
		var sides sync.WaitGroup
		for _, tr := range []*Transport{c, r} {
			sides.Go(func() { _ = tr.Serve(context.Background(), func(wire.Network) error { return nil }) }) // ends with the test
			if err := tr.Send(t.Context(), put("x"), reliably); err != nil {
				t.Fatal(err)
			}
		}
		t.Cleanup(func() { c.Abort(wire.CloseGeneric); sides.Wait() })
	}
	deadline := time.Now().Add(20 * time.Second)
	for got := heap(); got > before+n*each; got = heap() {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes a transport, want at most %d", (got-before)/n, each)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
