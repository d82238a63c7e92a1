package transport

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// What a handler took by Own stays as it is when what comes later uses the memory of the transport again; so does what was cut from one block.
func TestOwn(t *testing.T) {
	sizes := []int{0, 1, 8, 8, ownSmall, ownSmall + 1, 1 << 10, 1 << 10, 3, ownMax, ownMax + 1, 40_000, 65_500, 70_000, 64, 200_000, 300_000, 8, 200_000, 66_000, 1 << 20, 100}
	content := func(i, n int) []byte { return bytes.Repeat([]byte{byte(i + 1)}, n) }
	for _, endpoint := range []string{"tcp/127.0.0.1:0", "inproc/own"} {
		t.Run(endpoint[:3], func(t *testing.T) {
			c, r := connect(t, endpoint, Config{}, Config{})
			var kept [][2][]byte
			all := make(chan struct{})
			r.AfterBatch(func() {
				if len(kept) == 2*len(sizes) {
					close(all)
				}
			})
			var sides sync.WaitGroup
			sides.Go(func() { _ = c.Serve(context.Background(), func(wire.Network) error { return nil }) }) // ends with the test
			sides.Go(func() {
				_ = r.Serve(context.Background(), func(m wire.Network) error { // the same
					d := &m.(*wire.Push).Data
					own := [2][]byte{r.Own(d.Payload), r.Own(d.Attachment)}
					_ = append(own[0], "over the end"...) // must not reach a neighbour
					kept = append(kept, own)
					return nil
				})
			})
			t.Cleanup(func() { c.Abort(wire.CloseGeneric); sides.Wait() })
			for round := range 2 {
				for i, n := range sizes {
					m := put("")
					m.Data.Payload = content(i, n)
					if round == 1 {
						m.Data.Attachment = content(i, n/3)
					}
					if err := c.Send(t.Context(), m, reliably); err != nil {
						t.Fatal(err)
					}
				}
			}
			select {
			case <-all:
			case <-time.After(20 * time.Second):
				t.Fatal("not all came")
			}
			for i, got := range kept {
				n, attached := sizes[i%len(sizes)], sizes[i%len(sizes)]/3
				if got[0] == nil || !bytes.Equal(got[0], content(i%len(sizes), n)) {
					t.Errorf("payload %d of %d bytes was changed", i, n)
				}
				if first := i < len(sizes); first != (got[1] == nil) || !first && !bytes.Equal(got[1], content(i%len(sizes), attached)) {
					t.Errorf("attachment %d of %d bytes was changed", i, attached)
				}
			}
		})
	}
}

// Messages of a batch arrive at one time, those of the next one later.
func TestArrival(t *testing.T) {
	var tr *Transport
	feed, _ := receiverOf(t, 0, func(it *Transport) { tr = it })
	var times []time.Time
	for sn := range uint32(2) {
		before := time.Now()
		if err := feed(&wire.Frame{Reliable: true, SN: sn}, put("a"), put("b")); err != nil {
			t.Fatal(err)
		}
		at := tr.Arrival()
		if times = append(times, at); at.Before(before) || at != tr.Arrival() {
			t.Errorf("batch %d came at %v and %v, after %v", sn, at, tr.Arrival(), before)
		}
	}
	if !times[1].After(times[0]) {
		t.Errorf("two batches came at %v", times)
	}
}
