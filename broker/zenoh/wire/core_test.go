package wire

import (
	"bytes"
	"errors"
	"math"
	"math/bits"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestZInt(t *testing.T) {
	for _, tt := range []struct {
		v   uint64
		hex string
	}{
		{0, "00"}, {127, "7f"}, {128, "80 01"}, {1000, "e8 07"}, {10000, "90 4e"}, {16383, "ff 7f"}, {16384, "80 80 01"},
		{0x0fffffff, "ff ff ff 7f"}, {1<<56 - 1, "ff ff ff ff ff ff ff 7f"}, {1 << 56, "80 80 80 80 80 80 80 80 01"},
		{1 << 63, "80 80 80 80 80 80 80 80 80"}, {math.MaxUint64, "ff ff ff ff ff ff ff ff ff"},
		{0x0102030405060708, "88 8e 98 a8 c0 e0 80 81 01"},
	} {
		b := unhex(t, tt.hex)
		if got := AppendZInt(nil, tt.v); !bytes.Equal(got, b) || ZIntLen(tt.v) != len(b) {
			t.Errorf("%d: got %x of %d bytes, want %x", tt.v, got, ZIntLen(tt.v), b)
		}
		if v, n := ReadZInt(append(b, 0xff)); v != tt.v || n != len(b) {
			t.Errorf("%x: got %d of %d bytes", b, v, n)
		}
		for i := range b {
			if _, n := ReadZInt(b[:i]); n != 0 {
				t.Errorf("%x: read %d bytes", b[:i], n)
			}
		}
	}
	if v, n := ReadZInt([]byte{0x81, 0x80, 0x00}); v != 1 || n != 3 {
		t.Errorf("the long form of 1 is read as %d of %d bytes", v, n)
	}
}

func FuzzZInt(f *testing.F) {
	f.Add(uint64(1<<56), []byte{0x80})
	f.Fuzz(func(t *testing.T, v uint64, b []byte) {
		enc := AppendZInt(nil, v)
		if got, n := ReadZInt(enc); got != v || n != len(enc) || n != ZIntLen(v) || n != min(9, max(1, (bits.Len64(v)+6)/7)) {
			t.Errorf("%d: got %d from %x", v, got, enc)
		}
		if _, n := ReadZInt(b); n > len(b) {
			t.Errorf("%x: read %d bytes", b, n)
		}
	})
}

func TestZID(t *testing.T) {
	for _, tt := range []struct{ hex, text string }{
		{"01 02 03 04", "4030201"}, {"aa bb cc dd", "ddccbbaa"}, {"01", "1"}, {"00 01 00 00", "100"},
		{"ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff 01", "1ffffffffffffffffffffffffffffff"},
	} {
		id, err := ZIDFromBytes(unhex(t, tt.hex))
		if err != nil || id.String() != tt.text {
			t.Errorf("%s: got %s, %v, want %s", tt.hex, id, err, tt.text)
		}
		if parsed, err := ParseZID(tt.text); err != nil || parsed != id {
			t.Errorf("parse %s: got %s, %v", tt.text, parsed, err)
		}
	}
	for _, s := range []string{"", "0", "01", "A", "xyz", "1g", strings.Repeat("f", 33), strings.Repeat("é", 16)} {
		if id, err := ParseZID(s); !errors.Is(err, ErrZID) {
			t.Errorf("parse %q: got %s, %v", s, id, err)
		}
	}
	for _, b := range [][]byte{nil, {0}, make([]byte, 16), make([]byte, 17), bytes.Repeat([]byte{1}, 17)} {
		if id, err := ZIDFromBytes(b); !errors.Is(err, ErrZID) {
			t.Errorf("%x: got %s, %v", b, id, err)
		}
	}
	a, b := NewZID(), NewZID()
	if a == b || a.Len() != 16 || a.Compare(a) != 0 || a.Compare(b) != -b.Compare(a) || (ZID{}).String() != "" {
		t.Errorf("got %s and %s", a, b)
	}
	if (ZID{0, 1}).Compare(ZID{255}) != 1 {
		t.Error("256 is not more than 255")
	}
}

func TestWhatAmI(t *testing.T) {
	if got := (Router | Peer | Client).String(); got != "router|peer|client" {
		t.Errorf("got %s", got)
	}
	if Router.bits() != 0 || Peer.bits() != 1 || Client.bits() != 2 {
		t.Error("roles have other numbers than those of the protocol")
	}
}

func TestEncoding(t *testing.T) {
	for _, tt := range []struct {
		text   string
		id     uint32
		schema string
	}{
		{"", 0, ""}, {"zenoh/bytes", 0, ""}, {"text/plain;utf8", 4, "utf8"}, {"application/json", 5, ""}, {"video/vp9", 52, ""},
		{"audio/aac", 38, ""}, {"text/unheard-of;v=1", EncodingCustom, "text/unheard-of;v=1"}, {"zenoh/bytes;x", 0, "x"},
	} {
		e := ParseEncoding(tt.text)
		if e.ID != tt.id || string(e.Schema) != tt.schema {
			t.Errorf("%s: got %d and %q", tt.text, e.ID, e.Schema)
		}
		if want := tt.text; want != "" && e.String() != want {
			t.Errorf("%s: written as %s", want, e)
		}
	}
	if got := (Encoding{ID: 1000, Schema: []byte("x")}).String(); got != "unknown(1000);x" {
		t.Errorf("got %s", got)
	}
}

func TestTimestamp(t *testing.T) {
	m := decodeOne(t, "25 10 3d 01 02 2f 61 21 80 80 80 80 88 80 de f3 68 04 aa bb cc dd 02 68 69").(*Push)
	stamp := m.Data.Timestamp
	when := time.Unix(1760000000, 500_000_000)
	if !stamp.When().Equal(when) || NTP64(when) != stamp.Time || stamp.ID.String() != "ddccbbaa" {
		t.Errorf("got %v of %s", stamp.When(), stamp.ID)
	}
	later := Timestamp{Time: stamp.Time + 1, ID: ZID{1}}
	same := Timestamp{Time: stamp.Time, ID: ZID{1}}
	if stamp.Compare(later) != -1 || later.Compare(stamp) != 1 || same.Compare(stamp) != -1 || stamp.Compare(stamp) != 0 {
		t.Error("timestamps are not ordered by time, then by id")
	}
	if now := time.Unix(1760000000, 123_456_789); !(Timestamp{Time: NTP64(now)}).When().Equal(now) {
		t.Errorf("a time changes to %v", Timestamp{Time: NTP64(now)}.When())
	}
}

func TestQoS(t *testing.T) {
	if (QoS{}).bits() != 0x05 || QoSRequest.bits() != 0x0d || QoSDeclare.bits() != 0x08 {
		t.Error("qualities of service have other bits than those of the protocol")
	}
	if PriorityData.Index() != 5 || PriorityControl.Index() != 0 || PriorityBackground.Index() != 7 || PriorityOf(7) != PriorityBackground {
		t.Error("priorities have other numbers than those of the protocol")
	}
}

func TestResolution(t *testing.T) {
	for code, mask := range []uint32{0x7f, 0x3fff, 0x0fffffff, 0xffffffff} {
		if got := (Resolution(code) | 0x0c).Mask(); got != mask {
			t.Errorf("resolution %d: got %x", code, got)
		}
	}
	if got := Resolution(0x0a).Min(0x06); got != 0x06 {
		t.Errorf("got %x", got)
	}
	if got := Resolution(0x09).Min(0x06); got != 0x05 {
		t.Errorf("got %x", got)
	}
}

func TestScouting(t *testing.T) {
	for _, want := range []Message{
		&Scout{What: Router | Peer},
		&Scout{What: Client, ZID: ZID{1, 2, 3}},
		&Hello{WhatAmI: Router, ZID: ZID{1}},
		&Hello{WhatAmI: Peer, ZID: ZID{1}, Locators: []string{"tcp/127.0.0.1:7447", "tls/[::1]:7448?prio=6-7"}},
	} {
		b, err := want.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeScouting(b)
		if err != nil || show(got) != show(want) {
			t.Errorf("%x: got %s, %v, want %s", b, show(got), err, show(want))
		}
		for n := range b {
			if _, err := DecodeScouting(b[:n]); !errors.Is(err, ErrTruncated) {
				t.Errorf("%x: got %v", b[:n], err)
			}
		}
		if _, err := DecodeScouting(append(b, 0)); !errors.Is(err, ErrTrailing) {
			t.Errorf("%x with another byte: got %v", b, err)
		}
	}
	for bad, want := range map[string]error{
		"": ErrTruncated, "03 09 00": ErrUnknownMessage, "01 08 03": ErrVersion, "02 09 03 01": ErrMalformed, "01 09 08 00": ErrZID,
		"81 09 03 5f 00": ErrMandatoryExtension, "22 09 00 01 01 02 ff ff": ErrUTF8, "22 09 00 01 81 02": ErrBound,
	} {
		if _, err := DecodeScouting(unhex(t, bad)); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", bad, err, want)
		}
	}
	if _, err := DecodeScouting(unhex(t, "81 09 03 4f 02 01 01")); err != nil {
		t.Errorf("an unknown extension: %v", err)
	}
}

func TestLinkStates(t *testing.T) {
	want := []LinkState{
		{PSID: 1, SN: 2, ZID: ZID{1, 2}, WhatAmI: Router, Locators: []string{"tcp/a:1"}, Gateway: true,
			Links: []uint64{3, 400}, Weights: []uint16{1, 65535}},
		{PSID: 3, SN: 1 << 40, Links: []uint64{1}},
		{PSID: 4},
	}
	b, err := AppendLinkStates(nil, want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeLinkStates(b)
	if err != nil || !slices.EqualFunc(got, want, func(a, b LinkState) bool { return show(a) == show(b) }) {
		t.Errorf("got %+v, %v", got, err)
	}
	for n := range b {
		if _, err := DecodeLinkStates(b[:n]); !errors.Is(err, ErrTruncated) {
			t.Errorf("cut to %d bytes: got %v", n, err)
		}
	}
	for _, bad := range []LinkState{
		{WhatAmI: 3}, {Links: []uint64{1}, Weights: []uint16{}},
		{Locators: []string{strings.Repeat("x", 256)}}, {Locators: []string{"\xff"}},
	} {
		if b, err := AppendLinkStates([]byte("x"), []LinkState{{}, bad}); err == nil || string(b) != "x" {
			t.Errorf("%+v: got %q, %v", bad, b, err)
		}
	}
	if got, err := DecodeLinkStates([]byte{0}); err != nil || len(got) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestCloseReason(t *testing.T) {
	if got := CloseMaxLinks.String() + ", " + CloseReason(200).String(); got != "max links, reason 200" {
		t.Errorf("got %s", got)
	}
}
