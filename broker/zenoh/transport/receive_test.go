package transport

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// receiverOf gives a receiver of a transport without link, whose first number is sn, and what it handed on.
func receiverOf(t testing.TB, sn uint32, more func(*Transport)) (feed func(...wire.Message) error, got *[]string) {
	t.Helper()
	config, err := Config{}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	tr := &Transport{config: config, mask: wire.Resolution(0).Mask(), patch: 1}
	if more != nil {
		more(tr)
	}
	tr.in.init(tr, sn)
	got = new([]string)
	return func(messages ...wire.Message) error {
		var b []byte
		for _, m := range messages {
			if b, err = m.AppendBinary(b); err != nil {
				t.Fatal(err)
			}
		}
		return tr.in.batch(b, func(m wire.Network) error {
			*got = append(*got, string(m.(*wire.Push).Data.Payload))
			return nil
		})
	}, got
}

func TestSequenceNumbers(t *testing.T) {
	for _, tt := range []struct {
		first uint32
		sent  []uint32
		want  string
	}{
		{0, []uint32{0, 1, 2}, "0 1 2"},
		{127, []uint32{127, 0, 1}, "127 0 1"},
		{5, []uint32{5, 5, 6, 5, 6, 7}, "5 6 7"},
		{5, []uint32{5, 10, 7, 11}, "5 10 11"},
		{5, []uint32{67, 5}, "67"},       // 62 numbers are passed over
		{5, []uint32{68, 5}, "5"},        // one more would be in the past
		{0, []uint32{1, 0, 2}, "1 2"},    // the number before all
		{100, []uint32{30, 31}, "30 31"}, // across the end of the numbers
	} {
		feed, got := receiverOf(t, tt.first, nil)
		for _, sn := range tt.sent {
			if err := feed(&wire.Frame{Reliable: true, SN: sn}, put(fmt.Sprint(sn))); err != nil {
				t.Fatal(err)
			}
		}
		if s := strings.Join(*got, " "); s != tt.want {
			t.Errorf("first %d, then %v: got %s, want %s", tt.first, tt.sent, s, tt.want)
		}
	}
}

func TestLanesHaveTheirOwnNumbers(t *testing.T) {
	feed, got := receiverOf(t, 0, func(tr *Transport) { tr.qos = true })
	for i, f := range []*wire.Frame{{Reliable: true}, {}, {Reliable: true, Priority: wire.PriorityControl}, {Priority: wire.PriorityBackground}} {
		if err := feed(f, put(fmt.Sprint(i)), &wire.KeepAlive{}, f, put("again")); err != nil {
			t.Fatal(err)
		}
	}
	if s := strings.Join(*got, " "); s != "0 1 2 3" {
		t.Errorf("got %s", s)
	}
	feed, _ = receiverOf(t, 0, nil)
	if err := feed(&wire.Frame{Priority: wire.PriorityControl}); err == nil {
		t.Error("a lane without agreement on QoS is accepted")
	}
}

func TestFragments(t *testing.T) {
	whole, err := put("0123456789").AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	cut := slices.Collect(slices.Chunk(whole, 8))
	if len(cut) != 3 {
		t.Fatalf("%d pieces", len(cut))
	}
	piece := func(sn uint32, i int) *wire.Fragment {
		return &wire.Fragment{Reliable: true, More: i < 2, SN: sn, First: i == 0, Payload: cut[i]}
	}
	drop := func(sn uint32) *wire.Fragment { return &wire.Fragment{Reliable: true, SN: sn, Drop: true} }
	for _, tt := range []struct {
		name string
		sent []*wire.Fragment
		want int
	}{
		{"in order", []*wire.Fragment{piece(0, 0), piece(1, 1), piece(2, 2)}, 1},
		{"twice", []*wire.Fragment{piece(0, 0), piece(1, 1), piece(2, 2), piece(3, 0), piece(4, 1), piece(5, 2)}, 2},
		{"one missing", []*wire.Fragment{piece(0, 0), piece(2, 2)}, 0},
		{"one missing, then another message", []*wire.Fragment{piece(0, 0), piece(2, 2), piece(3, 0), piece(4, 1), piece(5, 2)}, 1},
		{"first missing", []*wire.Fragment{piece(1, 1), piece(2, 2)}, 0},
		{"begun anew", []*wire.Fragment{piece(0, 0), piece(1, 0), piece(2, 1), piece(3, 2)}, 1},
		{"given up", []*wire.Fragment{piece(0, 0), drop(1), piece(2, 1), piece(3, 2)}, 0},
		{"repeated", []*wire.Fragment{piece(0, 0), piece(0, 0), piece(1, 1), piece(1, 1), piece(2, 2)}, 1},
	} {
		feed, got := receiverOf(t, 0, nil)
		for _, f := range tt.sent {
			if err := feed(f); err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
		}
		if len(*got) != tt.want || (tt.want > 0 && (*got)[0] != "0123456789") {
			t.Errorf("%s: got %q", tt.name, *got)
		}
	}
}

func TestFragmentsWithoutPatch(t *testing.T) {
	whole, _ := put("0123456789").AppendBinary(nil)
	feed, got := receiverOf(t, 0, func(tr *Transport) { tr.patch = 0 })
	for i, part := range [][]byte{whole[:5], whole[5:]} {
		if err := feed(&wire.Fragment{Reliable: true, More: i == 0, SN: uint32(i), Payload: part}); err != nil {
			t.Fatal(err)
		}
	}
	if err := feed(&wire.Fragment{Reliable: true, SN: 9, Payload: whole[5:]}); err != nil {
		t.Errorf("the rest of a message of which the beginning is missing: %v", err)
	}
	if len(*got) != 1 {
		t.Errorf("got %q", *got)
	}
}

func TestMaxMessageSize(t *testing.T) {
	feed, got := receiverOf(t, 0, func(tr *Transport) { tr.config.MaxMessageSize, tr.qos = 100, true })
	for i := range 8 { // the limit is for all lanes together
		f := &wire.Fragment{Reliable: true, More: true, First: true, Priority: wire.PriorityOf(uint64(i)), Payload: make([]byte, 60)}
		if err := feed(f); err != nil {
			t.Fatal(err)
		}
	}
	if err := feed(&wire.Fragment{Reliable: true, SN: 1, Payload: make([]byte, 60)}); err != nil || len(*got) != 0 {
		t.Errorf("got %q, %v", *got, err)
	}
}

func FuzzReceiver(f *testing.F) {
	frame, _ := (&wire.Frame{Reliable: true}).AppendBinary(nil)
	frame, _ = put("x").AppendBinary(frame)
	fragment, _ := (&wire.Fragment{Reliable: true, More: true, First: true, Payload: frame[3:]}).AppendBinary(nil)
	f.Add(frame, fragment)
	f.Add(fragment, frame)
	f.Fuzz(func(t *testing.T, a, b []byte) {
		config, err := Config{MaxMessageSize: 1 << 10}.withDefaults()
		if err != nil {
			t.Fatal(err)
		}
		tr := &Transport{config: config, mask: 0x7f, patch: 1, qos: true}
		tr.in.init(tr, 0)
		for _, batch := range [][]byte{a, b, a, b} {
			if err := tr.in.batch(batch, func(wire.Network) error { return nil }); err != nil {
				return
			}
			if tr.in.held < 0 || tr.in.held > config.MaxMessageSize {
				t.Fatalf("%d bytes held", tr.in.held)
			}
		}
	})
}
