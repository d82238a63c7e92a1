package transport

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

var benchEndpoints = []string{"tcp/127.0.0.1:0", "inproc/bench"}

// BenchmarkOneWay sends messages through a link, both sides in this process, until the last is handed on.
func BenchmarkOneWay(b *testing.B) {
	for _, endpoint := range benchEndpoints {
		for _, size := range []int{8, 1 << 10, 1 << 16} {
			b.Run(fmt.Sprintf("%.3s/payload=%d", endpoint, size), func(b *testing.B) {
				received := make(chan struct{})
				n := 0
				c, _ := benchPair(b, endpoint, func(*Transport, *wire.Push) {
					if n++; n == b.N {
						close(received)
					}
				})
				m := &wire.Push{Key: wire.WireExpr{Scope: 1}, Data: wire.Data{Payload: make([]byte, size)}}
				b.ReportAllocs()
				b.SetBytes(int64(size))
				b.ResetTimer()
				for range b.N {
					if err := c.Send(context.Background(), m, reliably); err != nil {
						b.Fatal(err)
					}
				}
				<-received
			})
		}
	}
}

// BenchmarkPingPong measures the round trip of a message of 64 bytes.
func BenchmarkPingPong(b *testing.B) {
	for _, endpoint := range benchEndpoints {
		b.Run(endpoint[:3], func(b *testing.B) {
			back := make(chan struct{}, 1)
			c, r := benchPair(b, endpoint, func(r *Transport, m *wire.Push) {
				if err := r.Send(context.Background(), m, Delivery{QoS: reliably.QoS, NoWait: true}); err != nil {
					b.Error(err)
				}
			}, func(*Transport, *wire.Push) { back <- struct{}{} })
			_ = r
			m := &wire.Push{Key: wire.WireExpr{Scope: 1}, Data: wire.Data{Payload: make([]byte, 64)}}
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				if err := c.Send(context.Background(), m, reliably); err != nil {
					b.Fatal(err)
				}
				<-back
			}
		})
	}
}

// benchPair opens a transport whose sides do something with each push: first the router's, then the client's.
func benchPair(b *testing.B, endpoint string, on ...func(*Transport, *wire.Push)) (c, r *Transport) {
	c, r = connect(b, endpoint, Config{}, Config{})
	var sides sync.WaitGroup
	for i, tr := range []*Transport{r, c} {
		sides.Go(func() {
			_ = tr.Serve(context.Background(), func(m wire.Network) error { // ends with the client
				if push, ok := m.(*wire.Push); ok && i < len(on) {
					on[i](tr, push)
				}
				return nil
			})
		})
	}
	b.Cleanup(func() {
		b.StopTimer()
		if err := c.Close(context.Background()); err != nil {
			b.Error(err)
		}
		sides.Wait()
	})
	return c, r
}
