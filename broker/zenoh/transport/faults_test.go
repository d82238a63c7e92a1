package transport

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh/internal/zproxy"
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// through opens a transport through a proxy, and gives the errors of both sides.
func through(t *testing.T, up, down zproxy.Way, client, router Config) (p *zproxy.Proxy, c, r *Transport, errC, errR error) {
	t.Helper()
	l := listen(t, "tcp/127.0.0.1:0", LinkConfig{})
	p, err := zproxy.Listen(l.Endpoint())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	p.Set(up, down)
	var side sync.WaitGroup
	side.Go(func() {
		var link Link
		if link, errR = l.Accept(); errR == nil {
			router.WhatAmI = wire.Router
			r, errR = Accept(context.Background(), link, router)
		}
	})
	c, errC = Dial(context.Background(), p.Endpoint(), client)
	side.Wait()
	return p, c, r, errC, errR
}

func openThrough(t *testing.T, up, down zproxy.Way, client, router Config) (p *zproxy.Proxy, c, r *end) {
	t.Helper()
	p, ct, rt, errC, errR := through(t, up, down, client, router)
	if errC != nil || errR != nil {
		t.Fatalf("open: %v, accept: %v", errC, errR)
	}
	return p, serve(t, ct), serve(t, rt)
}

// Where the network splits the stream, and how slow it is, changes nothing.
func TestSplitAndDelayed(t *testing.T) {
	for _, way := range []zproxy.Way{{Chunk: 1}, {Chunk: 1000, Delay: time.Millisecond}} {
		_, c, r := openThrough(t, way, way, Config{BatchSize: 1000}, Config{})
		for _, size := range []int{1, 900, 5000} {
			want := strings.Repeat("x", size)
			for _, way := range [][2]*end{{c, r}, {r, c}} {
				if err := way[0].Send(t.Context(), put(want), reliably); err != nil {
					t.Fatal(err)
				}
				if got := way[1].next(t); got != want {
					t.Errorf("got %d bytes, want %d", len(got), size)
				}
			}
		}
	}
}

// Wherever the handshake is cut, both sides see an error, or a transport that ends at once, and nobody hangs.
func TestCutHandshake(t *testing.T) {
	for cut := 1; cut < 70; cut++ {
		for _, ways := range [][2]zproxy.Way{{{CutAfter: cut}, {}}, {{}, {CutAfter: cut}}} {
			_, c, r, errC, errR := through(t, ways[0], ways[1], Config{}, Config{})
			if errC == nil && errR == nil { // the cut is behind the handshake
				serve(t, c)
				serve(t, r)
				return
			}
			for _, tr := range []*Transport{c, r} {
				if tr == nil {
					continue
				}
				if err := serve(t, tr).wait(t); errors.Is(err, ErrExpired) || errors.Is(err, ErrProtocol) {
					t.Errorf("cut after %d bytes: %v", cut, err)
				}
			}
		}
	}
	t.Error("the handshake never went well")
}

// A cut in the middle of a batch is not the end of the stream.
func TestCutBatch(t *testing.T) {
	p, c, r := openThrough(t, zproxy.Way{}, zproxy.Way{}, Config{}, Config{})
	p.Set(zproxy.Way{CutAfter: 2000}, zproxy.Way{})
	if err := c.Send(t.Context(), put(strings.Repeat("x", 10_000)), reliably); err != nil {
		t.Fatal(err)
	}
	if err := r.wait(t); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("router: %v", err)
	}
	c.wait(t)
}

// The side that hears nothing ends the transport after the lease of the other, whichever it is.
func TestHalfOpen(t *testing.T) {
	short := Config{Lease: 200 * time.Millisecond}
	silence := zproxy.Way{Swallow: true}
	for _, tt := range []struct {
		name     string
		up, down zproxy.Way
	}{{"the router hears nothing", silence, zproxy.Way{}}, {"the client hears nothing", zproxy.Way{}, silence}} {
		p, c, r := openThrough(t, zproxy.Way{}, zproxy.Way{}, short, short)
		p.Set(tt.up, tt.down)
		deaf, other := r, c
		if tt.down.Swallow {
			deaf, other = c, r
		}
		if err := deaf.wait(t); !errors.Is(err, ErrExpired) {
			t.Errorf("%s: got %v", tt.name, err)
		}
		if closed, ok := errors.AsType[*CloseError](other.wait(t)); !ok || closed.Reason != wire.CloseExpired {
			t.Errorf("%s: the other side got %v", tt.name, other.Err())
		}
	}
}

// A reader that stops holds up who must not lose anything, for a while; when it goes on, all is there.
func TestSlowReader(t *testing.T) {
	p, c, r := openThrough(t, zproxy.Way{}, zproxy.Way{}, Config{Lease: time.Minute}, Config{Lease: time.Minute, QueueSize: 2, BlockTimeout: 20 * time.Second})
	p.Set(zproxy.Way{}, zproxy.Way{Stall: true})
	const n = 40 // MiB, more than what all the sockets buffer
	sent := make(chan error, 1)
	go func() {
		for range n {
			if err := r.Send(context.Background(), put(strings.Repeat("x", 1<<20)), reliably); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	for err := error(nil); !errors.Is(err, ErrCongested); { // until it is held up
		err = r.Send(t.Context(), put("drop"), Delivery{})
		if err != nil && !errors.Is(err, ErrCongested) {
			t.Fatal(err)
		}
	}
	p.Set(zproxy.Way{}, zproxy.Way{})
	for whole := 0; whole < n; {
		if len(c.next(t)) == 1<<20 {
			whole++
		}
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

func TestOversizedBatch(t *testing.T) {
	link, r := raw(t, time.Minute, Config{BatchSize: 2048})
	frame, err := (&wire.Frame{Reliable: true, SN: 1}).AppendBinary(make([]byte, prefix))
	if err != nil {
		t.Fatal(err)
	}
	if err := link.WriteBatch(append(frame, make([]byte, 3000)...)); err != nil {
		t.Fatal(err)
	}
	if err := r.wait(t); !errors.Is(err, ErrProtocol) || !strings.Contains(err.Error(), "2048") {
		t.Errorf("got %v", err)
	}
	wantClose(t, link, wire.CloseInvalid)
}

// script is a connection on which the other side says what it said beforehand, and hears nothing.
type script struct{ io.Reader }

func (script) Write(b []byte) (int, error)      { return len(b), nil }
func (script) Close() error                     { return nil }
func (script) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (script) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (script) SetDeadline(time.Time) error      { return nil }
func (script) SetReadDeadline(time.Time) error  { return nil }
func (script) SetWriteDeadline(time.Time) error { return nil }

// stream puts batches behind each other, with their lengths.
func stream(batches ...[]byte) []byte {
	var b []byte
	for _, batch := range batches {
		b = append(binary.LittleEndian.AppendUint16(b, uint16(len(batch))), batch...)
	}
	return b
}

// Whatever the other side says, a handshake ends, and so does the transport if there is one.
func FuzzHandshake(f *testing.F) {
	encode := func(m wire.Message) []byte {
		b, err := m.AppendBinary(nil)
		if err != nil {
			f.Fatal(err)
		}
		return b
	}
	id := wire.ZID{7}
	auth := wire.AppendExtensions(nil, []wire.Extension{{ID: authNonce, Value: 5}})
	ack := encode(&wire.Init{Ack: true, WhatAmI: wire.Router, ZID: id, Cookie: []byte{1}, QoS: true, Auth: auth, Patch: 1})
	opened := encode(&wire.Open{Ack: true, Lease: time.Second, InitialSN: 0, Auth: []byte{authOffer}})
	said, err := (&wire.Frame{Reliable: true}).AppendBinary(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(stream(ack, opened, append(said, encode(put("x"))...)))
	f.Add(stream(encode(&wire.Init{WhatAmI: wire.Client, ZID: id, QoS: true, Auth: []byte{authOffer}}), encode(&wire.Open{Lease: time.Second})))
	f.Add(stream(encode(&wire.Close{Session: true})))
	f.Fuzz(func(t *testing.T, b []byte) {
		config := Config{
			ZID: wire.ZID{1}, User: "u", Password: "p", MaxMessageSize: 1 << 12, OpenTimeout: 5 * time.Second,
			PasswordOf: func(string) (string, bool) { return "p", true },
		}
		for _, open := range []func(context.Context, Link, Config) (*Transport, error){Open, Accept} {
			tr, err := open(context.Background(), NewStreamLink(script{bytes.NewReader(b)}), config)
			if err != nil {
				continue
			}
			if err := tr.Serve(context.Background(), func(wire.Network) error { return nil }); err == nil {
				t.Error("served without end")
			}
		}
	})
}
