package transport

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// A udp listener keeps nothing for datagrams that do not begin a transport, and little for those that only do that.
func TestUDPHalfOpen(t *testing.T) {
	l := listen(t, "udp/127.0.0.1:0", LinkConfig{HalfOpen: 2}).(*udpListener)
	dial := func(first ...byte) Link {
		link, err := DialLink(t.Context(), l.Endpoint(), LinkConfig{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { link.Close() })
		for range 10 * udpDepth {
			if err := link.WriteBatch(append(make([]byte, prefix), first...)); err != nil {
				t.Fatal(err)
			}
		}
		return link
	}
	accept := func() Link {
		link, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { link.Close() })
		return link
	}
	dial(0x25, 1)
	dial(0x41, 9)
	a := accept()
	dial(0x01, 9)
	accept()
	dial(0x01, 9)
	deadline := time.Now().Add(50 * time.Millisecond)
	n, err := 0, error(nil)
	for ; err == nil; n++ {
		_, err = a.ReadBatch(deadline)
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) || n > udpHalf+1 {
		t.Errorf("read %d datagrams, %v", n, err)
	}
	l.mu.Lock()
	if len(l.peers) != 2 || l.half != 2 {
		t.Errorf("%d peers, %d of them half open", len(l.peers), l.half)
	}
	l.mu.Unlock()
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	dial(0x01, 9) // there is room again
	accept()
}

// Many peers share the socket of a listener, and each gets its own.
func TestUDPPeers(t *testing.T) {
	l := listen(t, "udp/127.0.0.1:0", LinkConfig{})
	for _, name := range []string{"a", "b", "c"} {
		accepted := make(chan *Transport, 1)
		go func() {
			link, err := l.Accept()
			if err != nil {
				t.Error(err)
			}
			tr, err := Accept(context.Background(), link, Config{WhatAmI: wire.Router})
			if err != nil {
				t.Error(err)
			}
			accepted <- tr
		}()
		tr, err := Dial(t.Context(), l.Endpoint(), Config{})
		if err != nil {
			t.Fatal(err)
		}
		c, r := serve(t, tr), serve(t, <-accepted)
		want := strings.Repeat(name, 100_000)
		for _, way := range [][2]*end{{c, r}, {r, c}} {
			if err := way[0].Send(t.Context(), put(want), reliably); err != nil {
				t.Fatal(err)
			}
			if got := way[1].next(t); got != want {
				t.Errorf("%s: got %d bytes", name, len(got))
			}
		}
	}
}
