package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// BenchmarkOneWay sends messages through a TCP connection on loopback, both sides in this process, until the last is handed on.
func BenchmarkOneWay(b *testing.B) {
	for _, size := range []int{8, 1 << 10, 1 << 16} {
		b.Run(fmt.Sprintf("payload=%d", size), func(b *testing.B) { oneWay(b, size) })
	}
}

func oneWay(b *testing.B, size int) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer listener.Close()
	var sides sync.WaitGroup
	received := make(chan struct{})
	sides.Go(func() {
		conn, err := listener.Accept()
		if err != nil {
			b.Error(err)
			return
		}
		router, err := Accept(context.Background(), NewStreamLink(conn), Config{WhatAmI: wire.Router})
		if err != nil {
			b.Error(err)
			return
		}
		n := 0
		_ = router.Serve(context.Background(), func(wire.Network) error { // ends with the client
			if n++; n == b.N {
				close(received)
			}
			return nil
		})
	})
	client, err := Dial(context.Background(), "tcp/"+listener.Addr().String(), Config{})
	if err != nil {
		b.Fatal(err)
	}
	sides.Go(func() {
		if err := client.Serve(context.Background(), func(wire.Network) error { return nil }); !errors.Is(err, ErrClosed) {
			b.Error(err)
		}
	})
	m := &wire.Push{Key: wire.WireExpr{Scope: 1}, Data: wire.Data{Payload: make([]byte, size)}}
	b.ReportAllocs()
	b.SetBytes(int64(size))
	b.ResetTimer()
	for range b.N {
		if err := client.Send(context.Background(), m, reliably); err != nil {
			b.Fatal(err)
		}
	}
	<-received
	b.StopTimer()
	if err := client.Close(context.Background()); err != nil {
		b.Error(err)
	}
	sides.Wait()
}
