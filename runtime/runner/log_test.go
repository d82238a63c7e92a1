package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/hpcclab/oaas-go/api/fault"
)

func TestLineWriter(t *testing.T) {
	for _, test := range []struct {
		in   []string
		want []string
	}{
		{[]string{"a\nb\n"}, []string{"a", "b"}},
		{[]string{"a", "b", "\n", "c"}, []string{"ab", "c"}},
		{[]string{"a\r\n\r\n"}, []string{"a", ""}},
		{[]string{"\xff\n"}, []string{"\uFFFD"}},
		{[]string{strings.Repeat("x", maxLine) + "\nb\n"}, []string{strings.Repeat("x", maxLine), "b"}},
		{[]string{strings.Repeat("x", maxLine+1), "xx\nb\n"}, []string{strings.Repeat("x", maxLine) + "CUT", "b"}},
		{nil, nil},
	} {
		var got []string
		w := lineWriter{emit: func(text string, cut bool) {
			if cut {
				text += "CUT"
			}
			got = append(got, text)
		}}
		for _, part := range test.in {
			if n, err := w.Write([]byte(part)); n != len(part) || err != nil {
				t.Errorf("%d %v", n, err)
			}
		}
		w.end()
		if !slices.Equal(got, test.want) {
			t.Errorf("%.40q: %.40q", test.in, got)
		}
	}
}

// FuzzLineWriter checks that it does not matter how a stream is cut into writes.
func FuzzLineWriter(f *testing.F) {
	f.Add([]byte("a\nb\r\n\xff\n"), uint16(1))
	f.Add([]byte(strings.Repeat("x", maxLine+10)+"\ny"), uint16(100))
	f.Add([]byte("\n\n"), uint16(2))
	f.Fuzz(func(t *testing.T, stream []byte, size uint16) {
		lines := func(size int) (all []string) {
			w := lineWriter{emit: func(text string, cut bool) {
				if !utf8.ValidString(text) || strings.Contains(text, "\n") || len(text) > 3*maxLine {
					t.Errorf("line %q", text)
				}
				all = append(all, fmt.Sprint(text, cut))
			}}
			for part := range slices.Chunk(stream, size) {
				if n, err := w.Write(part); n != len(part) || err != nil {
					t.Errorf("%d %v", n, err)
				}
			}
			w.end()
			return all
		}
		if one, many := lines(max(1, len(stream))), lines(int(size)+1); !slices.Equal(one, many) {
			t.Errorf("%q, in parts %q", one, many)
		}
	})
}

func TestLogBuffer(t *testing.T) {
	b := newLogBuffer(3)
	read := func(tail int) (all []string) {
		if err := b.read(t.Context(), false, tail, func(l LogLine) { all = append(all, l.Text) }); err != nil {
			t.Error(err)
		}
		return all
	}
	for n := range 5 {
		b.add(LogLine{Text: fmt.Sprint(n)})
	}
	for tail, want := range map[int][]string{-1: {"2", "3", "4"}, 9: {"2", "3", "4"}, 1: {"4"}, 0: nil} {
		if got := read(tail); !slices.Equal(got, want) {
			t.Errorf("tail %d: %q", tail, got)
		}
	}
}

func TestLogFollow(t *testing.T) {
	b := newLogBuffer(2)
	b.add(LogLine{Text: "old"})
	var got []LogLine
	err := b.read(t.Context(), true, -1, func(l LogLine) {
		got = append(got, l)
		switch l.Text {
		case "old": // while the reader is busy, more lines come than are kept
			for _, text := range []string{"1", "2", "3", "4"} {
				b.add(LogLine{Text: text})
			}
		case "4":
			b.close()
		}
	})
	if err != nil || len(got) != 3 || got[1].Text != "3" || got[1].Missed != 2 || got[2].Missed != 0 {
		t.Errorf("%+v %v", got, err)
	}
}

func TestLogs(t *testing.T) {
	var rec recorder
	r := newRunner(t, Config{OnEvent: rec.add})
	f := deploy(t, r, role("f", "serve"))
	mustCall(t, f, "/print?text=one")
	eventually(t, "the line", func() bool { return len(rec.of(EventLog)) == 1 })
	var got []LogLine
	follow := make(chan error, 1)
	two := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		follow <- r.Logs(ctx, "f", true, -1, func(l LogLine) {
			got = append(got, l)
			if l.Text == "two" {
				close(two)
			}
		})
	}()
	mustCall(t, f, "/print?text=two")
	<-two
	cancel()
	if err := <-follow; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if len(got) != 2 || got[0].Text != "one" || got[0].Stream != Stdout || got[0].Revision != "f-00001" || got[0].PID == 0 {
		t.Errorf("%+v", got)
	}
	go func() { follow <- r.Logs(t.Context(), "f", true, 0, func(LogLine) {}) }()
	if err := r.Remove(t.Context(), "f"); err != nil {
		t.Fatal(err)
	}
	if err := <-follow; err != nil && fault.CodeOf(err) != fault.NotFound { // when Remove was faster
		t.Errorf("follow to the end: %v", err)
	}
	if err := r.Logs(t.Context(), "f", false, 1, nil); fault.CodeOf(err) != fault.NotFound {
		t.Error(err)
	}
}
