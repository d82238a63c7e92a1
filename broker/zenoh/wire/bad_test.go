package wire

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestBadBatches(t *testing.T) {
	for _, tt := range []struct {
		name, hex string
		want      error
	}{
		{"no transport message", "08", ErrUnknownMessage},
		{"network message outside of a frame", "7d 00 01 61 01 00", ErrUnknownMessage},
		{"network message after a keep-alive", "25 01 04 1a 01", ErrUnknownMessage},
		{"another version", "01 08 32 01 02 03 04", ErrVersion},
		{"role 3", "01 09 33 01 02 03 04", ErrMalformed},
		{"zid of zeros", "01 09 32 00 00 00 00", ErrZID},
		{"cookie larger than its bound", "21 09 02 01 80 80 04", ErrBound},
		{"cookie longer than the batch", "21 09 02 01 05 01", ErrTruncated},
		{"mandatory extension of init", "81 09 02 01 1f", ErrMandatoryExtension},
		{"reserved encoding of an extension", "81 09 02 01 6f", ErrMalformed},
		{"initial sn of 33 bits", "42 0a 80 80 80 80 10 00", ErrBound},
		{"endless lease", "42 ff ff ff ff ff ff ff ff ff 00 00", ErrBound},
		{"sn of 33 bits", "25 80 80 80 80 10", ErrBound},
		{"mandatory extension of frame", "a5 01 3f 00", ErrMandatoryExtension},
		{"mandatory extension of keep-alive", "84 1f", ErrMandatoryExtension},
		{"mandatory extension of fragment", "a6 01 1f", ErrMandatoryExtension},
		{"mandatory extension of close", "83 00 1f", ErrMandatoryExtension},
		{"lanes of join cut", "87 09 02 01 0a 00 00 51 01 00", ErrTruncated},
		{"lanes of join with more", "87 09 02 01 0a 00 00 51 11 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00", ErrTrailing},
		{"reserved encoding of oam", "60 01", ErrMalformed},
		{"reserved encoding of network oam", "25 01 7f 01", ErrMalformed},

		{"scope of 17 bits", "25 01 1d 80 80 04 01 00", ErrBound},
		{"suffix larger than its bound", "25 01 3d 00 80 80 04", ErrBound},
		{"suffix that is not UTF-8", "25 01 3d 00 01 ff 01 00", ErrUTF8},
		{"no body of push", "25 01 1d 01 03", ErrUnknownMessage},
		{"mandatory extension of push", "25 01 9d 01 5e 00 01 00", ErrMandatoryExtension},
		{"node id of 17 bits", "25 01 9d 01 33 80 80 04 01 00", ErrBound},
		{"shared memory", "25 01 1d 01 81 12 00", ErrMandatoryExtension},
		{"zid of a timestamp of 17 bytes", "25 01 1d 01 21 00 11" + strings.Repeat(" 01", 17) + " 00", ErrZID},
		{"zid of a timestamp of no bytes", "25 01 1d 01 21 00 00 00", ErrZID},
		{"source info cut", "25 01 1d 01 81 41 02 00 01 00", ErrTruncated},
		{"source info with more", "25 01 1d 01 81 41 05 00 01 01 01 01 00", ErrTrailing},
		{"entity of 33 bits", "25 01 1d 01 81 41 08 00 01 80 80 80 80 10 01 00", ErrBound},
		{"encoding of 33 bits", "25 01 1d 01 41 80 80 80 80 10 00", ErrBound},
		{"schema larger than its bound", "25 01 1d 01 41 01 80 02", ErrBound},
		{"payload larger than its bound", "25 01 1d 01 01 80 80 80 80 10", ErrBound},
		{"payload longer than the batch", "25 01 1d 01 01 ff ff ff ff 0f 00", ErrTruncated},
		{"attachment longer than the batch", "25 01 1d 01 81 43 ff ff ff 0f 00", ErrTruncated},
		{"49 unknown extensions", "25 01 1d 01 81" + strings.Repeat(" 8e", 48) + " 0e 00", ErrBound},

		{"request id of 33 bits", "25 01 1c 80 80 80 80 10 01 03", ErrBound},
		{"target 3", "25 01 9c 01 01 34 03 03", ErrMalformed},
		{"budget of 33 bits", "25 01 9c 01 01 25 80 80 80 80 10 03", ErrBound},
		{"no query in a request", "25 01 1c 01 01 01 00", ErrUnknownMessage},
		{"parameters that are not UTF-8", "25 01 1c 01 01 43 01 ff", ErrUTF8},
		{"body of a query cut", "25 01 1c 01 01 83 43 00", ErrTruncated},
		{"mandatory extension of a query", "25 01 1c 01 01 83 1f", ErrMandatoryExtension},
		{"no reply in a response", "25 01 1b 01 00 03", ErrUnknownMessage},
		{"no put in a reply", "25 01 1b 01 00 04 05 00", ErrUnknownMessage},
		{"responder cut", "25 01 9b 01 00 43 01 30 04 01 00", ErrTruncated},
		{"mandatory extension of an error", "25 01 1b 01 00 85 12 00", ErrMandatoryExtension},
		{"mandatory extension of a reply", "25 01 1b 01 00 84 1f 01 00", ErrMandatoryExtension},
		{"mandatory extension of a final", "25 01 9a 01 1f", ErrMandatoryExtension},

		{"declaration of nothing", "25 01 1e 08", ErrUnknownMessage},
		{"key of 17 bits", "25 01 1e 20 80 80 04 00 01 61", ErrBound},
		{"mandatory extension of a subscriber", "25 01 1e e2 01 00 01 61 5f 02 00 00", ErrMandatoryExtension},
		{"key of an undeclaration cut", "25 01 1e 83 01 5f 01 01", ErrTruncated},
		{"key of an undeclaration with more", "25 01 1e 83 01 5f 03 02 00 61", ErrTrailing},
		{"key of an undeclaration that is not UTF-8", "25 01 1e 83 01 5f 03 03 00 ff", ErrUTF8},
		{"mandatory extension of an interest", "25 01 99 01 1f", ErrMandatoryExtension},
		{"interest without options", "25 01 39 01", ErrTruncated},
	} {
		err := decodeAll(unhex(t, tt.hex))
		if _, ok := errors.AsType[*DecodeError](err); !ok || !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestErrorTellsThePlace(t *testing.T) {
	err := decodeAll(unhex(t, "25 01 1d 01 81 41 02 00 01 00"))
	if got, want := err.Error(), "decode push at byte 9: truncated"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := decodeAll([]byte{8}).Error(), "decode at byte 1: unknown message"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Nothing comes after an error.
func TestDecoderStops(t *testing.T) {
	var d Decoder
	d.Reset([]byte{8, 4})
	_, first := d.Next()
	if _, second := d.Next(); first == nil || second == nil || d.More() {
		t.Errorf("got %v, then %v, more %v", first, second, d.More())
	}
	d.Reset([]byte{4})
	if _, err := d.Next(); err != nil {
		t.Errorf("after reset: %v", err)
	}
	if _, err := d.Next(); !errors.Is(err, ErrTruncated) {
		t.Errorf("at the end: %v", err)
	}
	d.ResetNetwork([]byte{4})
	if _, err := d.Next(); !errors.Is(err, ErrUnknownMessage) {
		t.Errorf("a transport message among network messages: %v", err)
	}
}

// Unknown optional extensions of each encoding are skipped wherever extensions may be; known ones come in any order.
func TestUnknownExtensions(t *testing.T) {
	const unknown = "8f af 81 01 cf 02 01 02" // a unit, a number, bytes; more follow
	for _, tt := range [][2]string{
		{"81 09 02 01 " + unknown + " 27 01", "81 09 02 01 27 01"},
		{"c2 0a 01 00 " + unknown + " 05", "c2 0a 01 00 05"},
		{"84 " + unknown + " 0f", "04"},
		{"a3 01 " + unknown + " 0f", "23 01"},
		{"a5 01 " + unknown + " 31 02 1a 01", "a5 01 31 02 1a 01"},
		{"a6 01 " + unknown + " 02 61", "a6 01 02 61"},
		{"25 01 9d 01 " + unknown + " 21 0a 01 00", "25 01 9d 01 21 0a 01 00"},
		{"25 01 9d 01 b3 02 21 0a 01 00", "25 01 9d 01 a1 0a 33 02 01 00"},
		{"25 01 9c 01 00 " + unknown + " b4 01 21 0d 03", "25 01 9c 01 00 a1 0d 34 01 03"},
		{"25 01 9b 01 00 " + unknown + " c3 03 00 01 01 21 0d 04 01 00", "25 01 9b 01 00 a1 0d 43 03 00 01 01 04 01 00"},
		{"25 01 9a 01 " + unknown + " 21 0d", "25 01 9a 01 21 0d"},
		{"25 01 9e " + unknown + " 21 08 1a", "25 01 9e 21 08 1a"},
		{"25 01 1e 87 01 " + unknown + " 5f 02 00 00", "25 01 1e 87 01 5f 02 00 00"},
		{"25 01 1e 9a 0f", "25 01 1e 1a"},
		{"25 01 99 01 " + unknown + " 21 08", "25 01 99 01 21 08"},
		{"25 01 9f 02 " + unknown + " 21 08", "25 01 9f 02 21 08"},
	} {
		var out []byte
		var d Decoder
		for d.Reset(unhex(t, tt[0])); d.More(); {
			m, err := d.Next()
			if err != nil {
				t.Fatalf("%s: %v", tt[0], err)
			}
			out, _ = m.AppendBinary(out)
		}
		if want := unhex(t, tt[1]); !bytes.Equal(out, want) {
			t.Errorf("%s: written as %x, want %x", tt[0], out, want)
		}
	}
}

// Those of bodies are kept, as routers hand them on.
func TestUnknownExtensionsOfBodies(t *testing.T) {
	for _, s := range []string{
		"25 01 1d 01 81 8e ad 81 01 4c 02 01 02 00",
		"25 01 1d 01 82 8e ad 81 01 4c 02 01 02",
		"25 01 1c 01 01 83 8e ad 81 01 4c 02 01 02",
		"25 01 1b 01 01 84 8e ad 81 01 4c 02 01 02 81 0e 00",
		"25 01 1b 01 01 85 8e ad 81 01 4c 02 01 02 00",
	} {
		if err := recode(unhex(t, s)); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
}

// zenoh-pico attaches to a deletion under the number that attachments of puts have.
func TestAttachmentOfPicoDelete(t *testing.T) {
	m := decodeOne(t, "25 01 1d 01 82 43 02 61 74").(*Push)
	if !m.Data.Delete || string(m.Data.Attachment) != "at" {
		t.Errorf("got %+v", m.Data)
	}
}

func TestNotEncodable(t *testing.T) {
	long := make([]byte, 1<<16)
	id := ZID{1}
	for _, tt := range []struct {
		m     Message
		field string
		want  error
	}{
		{&Push{Key: WireExpr{Suffix: long}}, "key", ErrBound},
		{&Push{Data: Data{Encoding: Encoding{Schema: long[:256]}}}, "encoding", ErrBound},
		{&Push{Data: Data{Encoding: Encoding{ID: 1 << 31}}}, "encoding", ErrBound},
		{&Request{Key: WireExpr{Suffix: long}}, "key", ErrBound},
		{&Request{Target: 3}, "target", ErrMalformed},
		{&Request{Query: Query{Encoding: Encoding{Schema: long[:256]}}}, "encoding", ErrBound},
		{&Response{Key: WireExpr{Suffix: long}}, "key", ErrBound},
		{&Response{Reply: Reply{Data: Data{Encoding: Encoding{ID: 1 << 31}}}}, "encoding", ErrBound},
		{&Response{IsErr: true, Err: ReplyErr{Encoding: Encoding{ID: 1 << 31}}}, "encoding", ErrBound},
		{&Declare{Kind: 8}, "kind", ErrUnknownMessage},
		{&Declare{Kind: DeclareKeyExpr, ID: 1 << 16}, "id", ErrBound},
		{&Declare{Kind: DeclareToken, Key: WireExpr{Suffix: long}}, "key", ErrBound},
		{&Interest{Mode: 4}, "mode", ErrMalformed},
		{&Interest{Mode: InterestCurrent, Restricted: true, Key: WireExpr{Suffix: long}}, "key", ErrBound},
		{&Init{WhatAmI: Peer}, "zid", ErrZID},
		{&Init{ZID: id}, "whatami", ErrMalformed},
		{&Init{ZID: id, WhatAmI: Router | Peer}, "whatami", ErrMalformed},
		{&Init{ZID: id, WhatAmI: Peer, Ack: true, Cookie: long}, "cookie", ErrBound},
		{&Open{Cookie: long}, "cookie", ErrBound},
		{&Join{WhatAmI: Peer}, "zid", ErrZID},
		{&Hello{WhatAmI: Peer}, "zid", ErrZID},
		{&Hello{WhatAmI: Peer, ZID: id, Locators: []string{string(long[:256])}}, "locator", ErrBound},
	} {
		b, err := tt.m.AppendBinary([]byte("x"))
		encode, ok := errors.AsType[*EncodeError](err)
		if !ok || encode.Field != tt.field || !errors.Is(err, tt.want) || string(b) != "x" {
			t.Errorf("%T: got %q, %v, want %s: %v", tt.m, b, err, tt.field, tt.want)
		}
	}
}

func TestExtensions(t *testing.T) {
	// what a client says to prove that it knows the password of alice
	b := unhex(t, "42 03 61 62 63")
	list, err := DecodeExtensions(b)
	if err != nil || len(list) != 1 || list[0].ID != 0x42 || string(list[0].Body) != "abc" {
		t.Fatalf("got %+v, %v", list, err)
	}
	list = append(list, Extension{ID: 0x22, Value: 300}, Extension{ID: 0x12})
	b = AppendExtensions([]byte{0xff}, list)
	if want := unhex(t, "ff c2 03 61 62 63 a2 ac 02 12"); !bytes.Equal(b, want) {
		t.Errorf("got %x, want %x", b, want)
	}
	if list, err = DecodeExtensions(b[1:]); err != nil || len(list) != 3 || !list[2].Mandatory() || list[1].Value != 300 {
		t.Errorf("got %+v, %v", list, err)
	}
	for bad, want := range map[string]error{
		"": ErrTruncated, "82": ErrTruncated, "02 00": ErrTrailing, "42 02 00": ErrTruncated, "62": ErrMalformed,
		strings.Repeat("82", 48) + "02": ErrBound,
	} {
		if _, err := DecodeExtensions(unhex(t, bad)); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", bad, err, want)
		}
	}
}
