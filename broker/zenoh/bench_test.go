package zenoh

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// benchPeers gives two peers over a link of that protocol.
func benchPeers(b *testing.B, listen string) (one, two *Session) {
	b.Helper()
	open := func(config Config) *Session {
		s, err := Open(b.Context(), config)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			if err := s.Close(context.Background()); err != nil {
				b.Error(err)
			}
		})
		return s
	}
	one = open(peerConfig([]string{listen}, nil))
	two = open(peerConfig([]string{}, one.Locators()))
	for len(one.PeersZID()) == 0 {
		time.Sleep(time.Millisecond)
	}
	return one, two
}

// matching waits until a publisher or querier has somebody.
func matching(b *testing.B, status func() MatchingStatus) {
	b.Helper()
	for !status().Matching {
		time.Sleep(time.Millisecond)
	}
}

// BenchmarkOneWay publishes from one session to a closure of another, in the same process, until the last has come.
func BenchmarkOneWay(b *testing.B) {
	for _, protocol := range []string{"tcp/127.0.0.1:0", "inproc/bench"} {
		for _, size := range []int{8, 1 << 10, 1 << 16} {
			b.Run(fmt.Sprintf("%.3s/payload=%d", protocol, size), func(b *testing.B) {
				one, two := benchPeers(b, protocol)
				n, done := 0, make(chan struct{})
				if _, err := two.DeclareSubscriber(b.Context(), MustKeyExpr("bench/**"), Closure[Sample]{Call: func(Sample) {
					if n++; n == b.N {
						close(done)
					}
				}}, nil); err != nil {
					b.Fatal(err)
				}
				pub, err := one.DeclarePublisher(b.Context(), MustKeyExpr("bench/one/way"), &PublisherOptions{CongestionControl: CongestionControlBlock})
				if err != nil {
					b.Fatal(err)
				}
				matching(b, pub.MatchingStatus)
				payload := make([]byte, size)
				b.ReportAllocs()
				b.SetBytes(int64(size))
				b.ResetTimer()
				for range b.N {
					if err := pub.Put(b.Context(), payload, nil); err != nil {
						b.Fatal(err)
					}
				}
				<-done
			})
		}
	}
}

// BenchmarkPingPong sends a sample there and back.
func BenchmarkPingPong(b *testing.B) {
	one, two := benchPeers(b, "tcp/127.0.0.1:0")
	ctx := b.Context()
	pong, err := two.DeclarePublisher(ctx, MustKeyExpr("pong"), &PublisherOptions{CongestionControl: CongestionControlBlock})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := two.DeclareSubscriber(ctx, MustKeyExpr("ping"), Closure[Sample]{Call: func(s Sample) { _ = pong.Put(ctx, s.Payload(), nil) }}, nil); err != nil {
		b.Fatal(err)
	}
	back, err := one.DeclareSubscriber(ctx, MustKeyExpr("pong"), NewFifoChannel[Sample](1), nil)
	if err != nil {
		b.Fatal(err)
	}
	ping, err := one.DeclarePublisher(ctx, MustKeyExpr("ping"), &PublisherOptions{CongestionControl: CongestionControlBlock})
	if err != nil {
		b.Fatal(err)
	}
	matching(b, ping.MatchingStatus)
	matching(b, pong.MatchingStatus)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if err := ping.Put(ctx, []byte("12345678"), nil); err != nil {
			b.Fatal(err)
		}
		<-back.Handler()
	}
}

// BenchmarkGet asks a queryable that has one reply, one question after another, and many at once.
func BenchmarkGet(b *testing.B) {
	one, two := benchPeers(b, "tcp/127.0.0.1:0")
	ctx := b.Context()
	key := MustKeyExpr("bench/get")
	if _, err := two.DeclareQueryable(ctx, key, Closure[*Query]{Call: func(q *Query) { _ = q.Reply(ctx, key, q.Payload(), nil) }}, nil); err != nil {
		b.Fatal(err)
	}
	querier, err := one.DeclareQuerier(ctx, key, nil)
	if err != nil {
		b.Fatal(err)
	}
	matching(b, querier.MatchingStatus)
	get := func(b *testing.B) {
		replies, err := querier.Get(ctx, "", NewFifoChannel[Reply](1), &QuerierGetOptions{Payload: []byte("12345678")})
		if err != nil {
			b.Fatal(err)
		}
		n := 0
		for r := range replies {
			if r.Err() != nil {
				b.Fatal(r.Err())
			}
			n++
		}
		if n != 1 {
			b.Fatalf("%d replies", n)
		}
	}
	b.Run("sequential", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			get(b)
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(32)
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				get(b)
			}
		})
	})
}
