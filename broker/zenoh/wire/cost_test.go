package wire

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
)

// batchOf gives a batch of one frame, filled to the size of a batch with pushes of that many bytes under a number.
func batchOf(tb testing.TB, payload int) (batch []byte, n int) {
	tb.Helper()
	batch, _ = (&Frame{Reliable: true, SN: 1000}).AppendBinary(batch)
	m := Push{Key: WireExpr{Scope: 7}, Data: Data{Payload: make([]byte, payload)}}
	for n == 0 || len(batch)+payload+16 < MaxBatchSize {
		var err error
		if batch, err = m.AppendBinary(batch); err != nil {
			tb.Fatal(err)
		}
		n++
	}
	return batch, n
}

func TestHotPathDoesNotAllocate(t *testing.T) {
	batch, _ := batchOf(t, 100)
	d := new(Decoder)
	out := make([]byte, 0, 2*MaxBatchSize)
	decode := func() {
		out = out[:0]
		for d.Reset(batch); d.More(); {
			m, err := d.Next()
			if err != nil {
				t.Fatal(err)
			}
			if push, ok := m.(*Push); ok && &push.Data.Payload[0] != &batch[d.Offset()-100] {
				t.Fatal("the payload does not alias the input")
			}
			if out, err = m.AppendBinary(out); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := testing.AllocsPerRun(10, decode); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Other network messages do not allocate either, once the Decoder has room for unknown extensions.
func TestNetworkDoesNotAllocate(t *testing.T) {
	g := generator{rand.New(rand.NewPCG(9, 10))}
	for range 300 {
		b, err := g.network().AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		d := new(Decoder)
		out := make([]byte, 0, 2*MaxBatchSize)
		if n := testing.AllocsPerRun(1, func() {
			d.ResetNetwork(b)
			m, err := d.Next()
			if err != nil {
				t.Fatal(err)
			}
			_, _ = m.AppendBinary(out)
		}); n != 0 {
			t.Errorf("%x: %v allocations", b, n)
		}
	}
}

// allocated gives the bytes that f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// Numbers in the input that claim much do not make the decoders allocate much.
func TestClaimsCostNothing(t *testing.T) {
	huge := "ff ff ff ff 0f"
	for _, s := range []string{
		"25 01 1d 01 01 " + huge, "25 01 1d 01 81 43 " + huge, "25 01 1d 01 41 01 " + huge, "25 01 1f 01 " + huge, "21 09 02 01 " + huge,
		"25 01 1c 01 01 43 " + huge, "25 01 5f 01 " + huge,
	} {
		b := unhex(t, s)
		if n := allocated(func() { _ = decodeAll(b) }); n > 1<<16 {
			t.Errorf("%s: %d bytes", s, n)
		}
	}
	for _, s := range []string{huge, "01 04 00 00 " + huge, "01 00 00 00 " + huge} {
		b := unhex(t, s)
		if n := allocated(func() { _, _ = DecodeLinkStates(b) }); n > 1<<16 {
			t.Errorf("link state %s: %d bytes", s, n)
		}
	}
}

func addSeeds(f *testing.F) {
	for _, s := range examples {
		f.Add(unhex(f, s))
	}
	g := generator{rand.New(rand.NewPCG(11, 12))}
	for range 50 {
		b, _ := (&Frame{Reliable: true, SN: 1}).AppendBinary(nil)
		b, _ = g.network().AppendBinary(b)
		f.Add(b)
		b, _ = g.transport().AppendBinary(nil)
		f.Add(b)
	}
}

// FuzzDecoder reads anything, within the memory that its length justifies. What it accepts, it can write, and that reads the same.
func FuzzDecoder(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		if n := allocated(func() { _ = decodeAll(b) }); n > 1<<17+64*uint64(len(b)) {
			t.Errorf("%d bytes allocated for %d", n, len(b))
		}
		var d, again Decoder
		for d.Reset(b); d.More(); {
			before := d.Offset()
			m, err := d.Next()
			if err != nil {
				return
			}
			if d.Offset() <= before {
				t.Fatalf("no progress at byte %d", before)
			}
			out, err := m.AppendBinary(nil)
			if err != nil {
				t.Fatalf("%s: %v", show(m), err)
			}
			if again.Reset(out); isNetwork(m) {
				again.ResetNetwork(out)
			}
			m2, err := again.Next()
			if err != nil {
				t.Fatalf("%s\n%x: %v", show(m), out, err)
			}
			if once, twice := m, m2; len(out) > 0 {
				b1, _ := once.AppendBinary(nil)
				b2, _ := twice.AppendBinary(nil)
				if string(b1) != string(b2) {
					t.Fatalf("written as %x, then as %x", b1, b2)
				}
			}
		}
	})
}

func FuzzScouting(f *testing.F) {
	f.Add(unhex(f, "01 09 03"))
	f.Add(unhex(f, "22 09 30 01 02 03 04 01 07 74 63 70 2f 61 3a 31"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := DecodeScouting(b)
		if err != nil {
			return
		}
		out, err := m.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := DecodeScouting(out); err != nil || show(again) != show(m) {
			t.Errorf("got %s, %v, want %s", show(again), err, show(m))
		}
	})
}

func FuzzLinkStates(f *testing.F) {
	b, _ := AppendLinkStates(nil, []LinkState{{PSID: 1, SN: 2, ZID: ZID{1}, WhatAmI: Peer, Locators: []string{"tcp/a:1"},
		Links: []uint64{2}, Weights: []uint16{3}}})
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var list []LinkState
		var err error
		if n := allocated(func() { list, err = DecodeLinkStates(b) }); n > 1<<17+256*uint64(len(b)) {
			t.Errorf("%d bytes allocated for %d", n, len(b))
		}
		if err != nil {
			return
		}
		out, err := AppendLinkStates(nil, list)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := DecodeLinkStates(out); err != nil || show(again) != show(list) {
			t.Errorf("got %s, %v, want %s", show(again), err, show(list))
		}
	})
}

func FuzzExtensions(f *testing.F) {
	f.Add([]byte{0xc2, 1, 'a', 0xa2, 5, 0x12})
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := DecodeExtensions(b)
		if err != nil {
			return
		}
		if again, err := DecodeExtensions(AppendExtensions(nil, list)); err != nil || show(again) != show(list) {
			t.Errorf("got %s, %v, want %s", show(again), err, show(list))
		}
	})
}

var payloads = []int{8, 1 << 10, 1<<16 - 64}

func BenchmarkDecode(b *testing.B) {
	for _, size := range payloads {
		batch, n := batchOf(b, size)
		b.Run(fmt.Sprintf("payload=%d", size), func(b *testing.B) {
			var d Decoder
			b.ReportAllocs()
			b.SetBytes(int64(len(batch)))
			for b.Loop() {
				for d.Reset(batch); d.More(); {
					if _, err := d.Next(); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/msg")
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, size := range payloads {
		batch, n := batchOf(b, size)
		m := Push{Key: WireExpr{Scope: 7}, Data: Data{Payload: make([]byte, size)}}
		b.Run(fmt.Sprintf("payload=%d", size), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(batch)))
			for b.Loop() {
				out := batch[:3]
				for range n {
					out, _ = m.AppendBinary(out)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/msg")
		})
	}
}
