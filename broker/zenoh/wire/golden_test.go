package wire

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// examples are batches written by hand from the rules of the protocol, of which most were exchanged with zenoh-pico or the native
// implementation.
var examples = []string{
	// handshakes
	"81 09 32 01 02 03 04 27 01",
	"a1 09 30 aa bb cc dd 04 63 6f 6f 6b 27 01",
	"42 0a e8 07 04 63 6f 6f 6b",
	"62 0a 10",
	"c1 09 32 01 02 03 04 0a 00 08 27 01",
	"e1 09 30 aa bb cc dd 0a 00 08 04 63 6f 6f 6b 27 01",
	"c1 09 32 11 22 33 44 0a ff ff 01",
	"04",
	"23 00",
	// declarations of subscribers
	"25 e8 07 1e 62 02 00 07 64 65 6d 6f 2f 2a 2a",
	"25 e8 07 9e 21 08 62 02 00 07 64 65 6d 6f 2f 2a 2a",
	"25 e8 07 1e 20 01 00 04 64 65 6d 6f 1e 62 02 01 03 2f 2a 2a",
	"a5 e8 07 31 00 9e 21 08 62 02 00 07 64 65 6d 6f 2f 2a 2a",
	"25 e9 07 1e 03 02",
	// pushes
	"25 e9 07 7d 00 06 64 65 6d 6f 2f 61 01 02 68 69",
	"25 11 7d 00 06 64 65 6d 6f 2f 61 01 02 68 69",
	"25 10 3d 01 02 2f 61 21 80 80 80 80 88 80 de f3 68 04 aa bb cc dd 02 68 69",
	"25 11 7d 00 06 64 65 6d 6f 2f 61 41 08 02 68 69",
	"25 eb 07 7d 00 06 64 65 6d 6f 2f 61 c1 0b 02 76 31 43 02 61 74 02 68 69",
	"25 eb 07 fd 00 06 64 65 6d 6f 2f 61 21 0a 01 02 68 69",
	"25 ea 07 7d 00 06 64 65 6d 6f 2f 61 02",
	// queries
	"25 ec 07 fc 01 00 07 64 65 6d 6f 2f 2a 2a a1 0d 26 90 4e 23 03",
	"25 f2 07 fb 01 00 06 64 65 6d 6f 2f 71 a1 0d 43 06 30 01 02 03 04 03 04 01 05 68 65 6c 6c 6f",
	"25 f3 07 9a 01 21 0d",
	"25 f3 07 1a 01",
	"25 13 bb 01 00 06 64 65 6d 6f 2f 71 a1 0d 43 06 30 01 02 03 04 03 04 01 05 68 65 6c 6c 6f",
	"25 ed 07 fc 02 00 07 64 65 6d 6f 2f 2a 2a a1 0d b4 01 26 90 4e e3 03 07 61 3d 31 3b 62 3d 32 43 03 08 7b 7d",
	// declarations of queryables and tokens
	"25 ee 07 1e 64 03 00 06 64 65 6d 6f 2f 71",
	"25 ee 07 1e e4 03 00 06 64 65 6d 6f 2f 71 21 01",
	"25 ef 07 1e 85 03 5f 02 00 00",
	"25 f0 07 1e 66 04 00 07 67 72 6f 75 70 2f 61",
	"25 f0 07 1e 87 04 5f 02 00 00",
	"25 18 1e 87 00 5f 09 03 00 67 72 6f 75 70 2f 61",
	// interests
	"25 f1 07 39 05 79 00 08 67 72 6f 75 70 2f 2a 2a",
	"25 f1 07 b9 05 79 00 08 67 72 6f 75 70 2f 2a 2a 21 08",
	"25 15 be 05 21 08 66 07 00 07 67 72 6f 75 70 2f 61 be 05 21 08 1a",
	"25 f4 07 79 06 79 00 08 67 72 6f 75 70 2f 2a 2a",
	"25 16 9e 21 08 66 07 00 07 67 72 6f 75 70 2f 61",
	"25 f6 07 19 06",
	"25 f5 07 79 07 f3 01 02 2f 61",
	"25 17 be 07 21 08 62 01 00 06 64 65 6d 6f 2f 61 be 07 21 08 1a",
	"25 19 1e 03 01",
	// fragments, and what peers say first
	"e6 e8 07 02 41 41 41",
	"66 e9 07 42 42 42",
	"26 ea 07 43",
	"25 00 3e 00 1a",
	"25 10 be 00 21 08 1a",
	"25 18 df 01 21 08 01 00",
	// several frames and a keep-alive in one batch
	"25 11 1a 01 25 12 1a 02 04 05 13 1a 03",
}

func TestExamples(t *testing.T) {
	for _, s := range examples {
		if err := recode(unhex(t, s)); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
}

// The long way of writing what the encoder leaves out is understood.
func TestErrExample(t *testing.T) {
	m := decodeOne(t, "25 14 9b 01 00 21 0d 45 02 04 6f 6f 70 73").(*Response)
	if !m.IsErr || string(m.Err.Payload) != "oops" || m.Err.Encoding.String() != "zenoh/string" || !m.Key.IsZero() || m.QoS != QoSRequest {
		t.Errorf("got %+v", m)
	}
}

// TestTruncated cuts every example at every byte. Unless the cut is between two messages, that is an error that says so.
func TestTruncated(t *testing.T) {
	for _, s := range examples {
		b := unhex(t, s)
		ends := map[int]bool{0: true}
		var d Decoder
		for d.Reset(b); d.More(); {
			m, err := d.Next()
			if err != nil {
				t.Fatal(err)
			}
			ends[d.Offset()] = true
			if f, ok := m.(*Fragment); ok { // may be cut anywhere in its payload
				for i := range len(f.Payload) {
					ends[d.Offset()-i-1] = true
				}
			}
		}
		for n := range b {
			err := decodeAll(b[:n])
			if failed := err != nil; failed == ends[n] {
				t.Errorf("%s cut to %d bytes: got %v", s, n, err)
			} else if failed && !errors.Is(err, ErrTruncated) {
				t.Errorf("%s cut to %d bytes: got %v, want %v", s, n, err, ErrTruncated)
			}
		}
	}
}

// TestCaptured reads what the native implementation said, and writes the same bytes.
func TestCaptured(t *testing.T) {
	files, err := filepath.Glob("testdata/*.hex")
	if err != nil || len(files) == 0 {
		t.Fatalf("got %d files, %v", len(files), err)
	}
	seen := map[string]int{}
	for _, name := range files {
		for i, b := range readCapture(t, name) {
			if err := recode(b); err != nil {
				t.Errorf("%s, batch %d: %x: %v", filepath.Base(name), i+1, b, err)
			}
			count(t, b, seen)
		}
	}
	for _, want := range []string{"Init", "Open", "Close", "KeepAlive", "Frame", "Fragment", "Push", "Request", "Response",
		"ResponseFinal", "Declare", "Interest", "OAM"} {
		if seen[want] == 0 {
			t.Errorf("there is no captured %s", want)
		}
	}
}

// TestCapturedFragments puts the captured fragments together.
func TestCapturedFragments(t *testing.T) {
	var whole []byte
	var d Decoder
	for _, b := range readCapture(t, "testdata/fragments.hex") {
		for d.Reset(b); d.More(); {
			m, err := d.Next()
			if err != nil {
				t.Fatal(err)
			}
			if f, ok := m.(*Fragment); ok {
				if f.First != (len(whole) == 0) {
					t.Errorf("fragment %d is marked as first: %v", f.SN, f.First)
				}
				whole = append(whole, f.Payload...)
			}
		}
	}
	d.ResetNetwork(whole)
	m, err := d.Next()
	if err != nil || d.More() {
		t.Fatalf("got %v, more %v", err, d.More())
	}
	push := m.(*Push)
	if len(push.Data.Payload) != 3000 {
		t.Fatalf("got %d bytes", len(push.Data.Payload))
	}
	for i, c := range push.Data.Payload {
		if int(c) != i%251 {
			t.Fatalf("byte %d is %d", i, c)
		}
	}
}

// readCapture gives the batches of both directions of a captured file.
func readCapture(t testing.TB, name string) (batches [][]byte) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if line := lines.Text(); !strings.HasPrefix(line, "#") {
			batches = append(batches, unhex(t, line[2:]))
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return batches
}

// recode reads a batch and tells whether writing its messages gives the same bytes.
func recode(b []byte) error {
	var d Decoder
	var out []byte
	for d.Reset(b); d.More(); {
		m, err := d.Next()
		if err != nil {
			return err
		}
		if out, err = m.AppendBinary(out); err != nil {
			return err
		}
	}
	if !bytes.Equal(b, out) {
		return errors.New("written as " + hex.EncodeToString(out))
	}
	return nil
}

func decodeAll(b []byte) error {
	var d Decoder
	for d.Reset(b); d.More(); {
		if _, err := d.Next(); err != nil {
			return err
		}
	}
	return nil
}

// decodeOne gives the last message of a batch.
func decodeOne(t testing.TB, s string) (m Message) {
	t.Helper()
	d := new(Decoder)
	for d.Reset(unhex(t, s)); d.More(); {
		var err error
		if m, err = d.Next(); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	return m
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
