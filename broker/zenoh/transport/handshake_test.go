package transport

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

func TestUserAndPassword(t *testing.T) {
	router := Config{PasswordOf: func(user string) (string, bool) {
		password, ok := map[string]string{"alice": "secret"}[user]
		return password, ok
	}}
	c, r := pair(t, Config{User: "alice", Password: "secret"}, router)
	if r.Peer().User != "alice" || c.Peer().User != "" {
		t.Errorf("got %+v", r.Peer())
	}
	for _, bad := range []Config{{}, {User: "alice", Password: "wrong"}, {User: "bob", Password: "secret"}, {User: "bob"}} {
		_, _, errC, errR := handshakes(t, bad, router)
		if _, ok := errors.AsType[*CloseError](errC); !ok || !errors.Is(errR, ErrAuth) {
			t.Errorf("%q, %q: open: %v, accept: %v", bad.User, bad.Password, errC, errR)
		}
	}
	if _, _, errC, _ := handshakes(t, Config{User: "alice", Password: "secret"}, Config{}); !errors.Is(errC, ErrAuth) {
		t.Errorf("a router without users: %v", errC)
	}
}

func TestProof(t *testing.T) {
	const want = "9e98027f3b475b0e1abc71973f4266b3c02a368ad86d8deaf1c470be4b201c31"
	if got := hex.EncodeToString(proof(0x0102030405060708, "secret")); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestRefusals(t *testing.T) {
	self := wire.NewZID()
	for _, tt := range []struct {
		name           string
		client, router Config
		reason         wire.CloseReason
	}{
		{"itself", Config{ZID: self}, Config{ZID: self}, wire.CloseConnectionToSelf},
		{"too many", Config{}, Config{Admit: func(Peer) error { return &CloseError{Reason: wire.CloseMaxSessions} }}, wire.CloseMaxSessions},
		{"another reason", Config{}, Config{Admit: func(Peer) error { return io.EOF }}, wire.CloseGeneric},
	} {
		_, _, errC, errR := handshakes(t, tt.client, tt.router)
		if closed, ok := errors.AsType[*CloseError](errC); !ok || closed.Reason != tt.reason || errR == nil {
			t.Errorf("%s: open: %v, accept: %v", tt.name, errC, errR)
		}
	}
}

// What a dialler may say wrong is answered by the reason, and does not keep the acceptor waiting.
func TestBadHandshakes(t *testing.T) {
	for name, batches := range map[string][]string{
		"another version":     {"01080201"},
		"no init":             {"04"},
		"an ack":              {"21090201" + "00"},
		"two messages":        {"01090201" + "04"},
		"tiny batches":        {"410902010a1000"},
		"open without cookie": {"01090201", "420a0000"},
		"no open":             {"01090201", "04"},
		"no lease":            {"01090201", "420000" + "00"},
		"rubbish":             {"ffffff"},
	} {
		dialled, accepted := sockets(t)
		link := NewStreamLink(dialled)
		over := make(chan error, 1)
		go func() {
			_, err := Accept(t.Context(), NewStreamLink(accepted), Config{WhatAmI: wire.Router})
			over <- err
		}()
		for i, s := range batches {
			b, err := hex.DecodeString(s)
			if err != nil {
				t.Fatal(err)
			}
			if i > 0 { // the InitAck
				if _, err := link.ReadBatch(time.Now().Add(20 * time.Second)); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
			}
			if err := link.WriteBatch(append(make([]byte, prefix), b...)); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-over; err == nil {
			t.Errorf("%s: accepted", name)
		}
		wantClose(t, link, wire.CloseInvalid)
	}
}

func TestHandshakeTimesOut(t *testing.T) {
	dialled, _ := sockets(t)
	if _, err := Open(t.Context(), NewStreamLink(dialled), Config{OpenTimeout: 20 * time.Millisecond}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestBadConfig(t *testing.T) {
	for _, c := range []Config{{BatchSize: 10}, {Lease: -1}, {KeepAlives: -1}, {QueueSize: -1}, {MaxMessageSize: -1}} {
		dialled, _ := sockets(t)
		if _, err := Open(t.Context(), NewStreamLink(dialled), c); err == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
}

func TestDialLink(t *testing.T) {
	for _, endpoint := range []string{"", "tcp", "quic_datagram/localhost:1", "tcp/127.0.0.1:1", "unixsock-stream//nowhere"} {
		if _, err := Dial(t.Context(), endpoint, Config{}); err == nil {
			t.Errorf("%q: got nil", endpoint)
		}
	}
}
