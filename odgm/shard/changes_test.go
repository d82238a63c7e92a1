package shard

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/odgm/engine/backend"
	"github.com/hpcclab/oaas-go/odgm/record"
)

// keeping configures a shard to keep changes.
func keeping(t testing.TB, s *Shard, keep *record.ChangeRetention) {
	t.Helper()
	must(t, s, &record.Command{Body: &record.Command_Configure{Configure: &record.ClassConfig{Changes: keep}}})
}

// changesOf gives what is kept after seq, as lines "seq object version: +key=value ~key -key method".
func changesOf(t testing.TB, s *Shard, seq uint64) []string {
	t.Helper()
	var lines []string
	for last := s.Span().Last; seq < last; {
		commits, err := s.Changes(t.Context(), seq, 7)
		if err != nil || len(commits) == 0 {
			t.Fatalf("no change after %d, though there are %+v: %v", seq, s.Span(), err)
		}
		for _, commit := range commits {
			for i, c := range commit.Changes {
				number := commit.First + uint64(i)
				if number <= seq {
					continue
				}
				seq = number
				lines = append(lines, changeLine(number, c))
			}
		}
	}
	return lines
}

func changeLine(seq uint64, c *record.Change) string {
	line := fmt.Sprintf("%d %s v%d:", seq, c.GetObject(), c.GetVersion())
	signs := map[oprc.EventType]string{
		oprc.EventType_EVENT_TYPE_DATA_CREATE: "+", oprc.EventType_EVENT_TYPE_DATA_UPDATE: "~", oprc.EventType_EVENT_TYPE_DATA_DELETE: "-",
	}
	for _, e := range c.GetEntries() {
		line += " " + signs[e.GetKind()] + e.GetKey()
		if e.Value != nil {
			line += "=" + string(e.GetValue())
		}
	}
	if m := c.GetMethod(); m != nil {
		line += " " + m.GetName() + "()" + m.GetCode()
	}
	return line
}

func TestChangesAreKept(t *testing.T) {
	for _, kind := range []string{backend.Memory, backend.Bbolt, backend.Pebble} {
		t.Run(kind, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "0")
			var told []string
			s := openIn(t, kind, dir, func(c *Config) {
				c.OnChanges = func(commit Changes) {
					for i, c := range commit.Changes {
						told = append(told, changeLine(commit.First+uint64(i), c))
					}
				}
			})
			must(t, s, put("before", "x", "1"))
			keeping(t, s, &record.ChangeRetention{Age: int64(time.Hour)})
			must(t, s, put("a", "y", "1", "x", "2"))
			must(t, s, put("empty"))
			must(t, s, write(&record.Write{
				Object: "a", Puts: []*record.Put{{Key: "x", Data: []byte("3")}}, Deletes: []string{"y", "absent"},
				Completion: &record.Completion{Method: "f", Payload: []byte("ok")},
			}))
			refused(t, s, write(&record.Write{Object: "a", Expect: &record.Expect{Absent: true}, Puts: []*record.Put{{Key: "x"}}}), "VERSION_MISMATCH")
			must(t, s, write(&record.Write{Object: "ghost", NoCreate: true, Completion: &record.Completion{Method: "g"}}))
			must(t, s, &record.Command{Body: &record.Command_Failed{Failed: &record.Failed{Object: "a", Method: "f", Failure: &record.Failure{Code: "BAD_REPLY"}}}})
			must(t, s, remove("a"))
			must(t, s, remove("empty"))
			keeping(t, s, &record.ChangeRetention{Age: int64(time.Hour), Values: true})
			must(t, s, put("a", "x", "4", "z", ""))
			want := []string{
				"1 a v1: +x +y", "2 a v2: ~x -y f()", "3 ghost v0: g()", "4 a v2: f()BAD_REPLY", "5 a v3: -x", "6 a v4: +x=4 +z=",
			}
			expectLines(t, "kept", changesOf(t, s, 0), want...)
			expectLines(t, "told", told, want...)
			expectLines(t, "kept after 4", changesOf(t, s, 4), want[4:]...)
			if kind == backend.Memory {
				return
			}
			before := s.Span()
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = openIn(t, kind, dir)
			if s.Span() != before {
				t.Fatalf("opened again it keeps %+v, before %+v", s.Span(), before)
			}
			must(t, s, put("a", "x", "5"))
			expectLines(t, "goes on", changesOf(t, s, 5), want[5], "7 a v5: ~x=5")
		})
	}
}

func TestChangesAgeAndAreTrimmed(t *testing.T) {
	now := time.Unix(1000, 0)
	s := open(t, backend.Bbolt, func(c *Config) { c.Now = func() time.Time { return now } })
	keeping(t, s, &record.ChangeRetention{Age: int64(time.Hour)})
	for i := range 5 {
		must(t, s, put("a", "x", fmt.Sprint(i)))
		now = now.Add(20 * time.Minute)
	}
	for _, step := range []struct {
		forward time.Duration
		removed int
		first   uint64
	}{{0, 3, 4}, {time.Minute, 0, 4}, {time.Hour, 2, 6}, {time.Hour, 0, 6}} {
		now = now.Add(step.forward)
		if n, err := s.Sweep(t.Context()); err != nil || n != step.removed || s.Span() != (Span{1_000_000, step.first, 5}) {
			t.Fatalf("after %s swept %d, %+v, %v; want %d, first %d", step.forward, n, s.Span(), err, step.removed, step.first)
		}
	}
	must(t, s, put("a", "x", "again"))
	expectLines(t, "after all were removed", changesOf(t, s, 5), "6 a v6: ~x")
	keeping(t, s, nil)
	must(t, s, put("a", "x", "unseen"))
	if n, err := s.Sweep(t.Context()); err != nil || n != 1 || s.Span() != (Span{1_000_000, 7, 6}) {
		t.Fatalf("switched off, swept %d, %+v, %v", n, s.Span(), err)
	}
}

// TestChangesWithinBounds wants the bounds to hold, but for a 64th part and the commit at hand, whatever is written and however often it is reopened.
func TestChangesWithinBounds(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2026))
	const records, size = 1000, 100_000
	dir := filepath.Join(t.TempDir(), "0")
	s := openIn(t, backend.Pebble, dir)
	keeping(t, s, &record.ChangeRetention{Age: int64(time.Hour), Records: records, Bytes: size, Values: true})
	for i := range 4000 {
		must(t, s, put(fmt.Sprintf("o%d", i%7), "x", strings.Repeat("v", random.IntN(300))))
		span, log := s.Span(), &s.machine.log
		if kept := span.Last - span.First + 1; kept > records+records/trimSlices+1 || span.Last != uint64(i+1) {
			t.Fatalf("%+v after %d writes", span, i+1)
		}
		if log.total-log.removed > size+size/trimSlices+512 {
			t.Fatalf("%d bytes are kept after %d writes", log.total-log.removed, i+1)
		}
		if random.IntN(500) == 0 {
			want := *log
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = openIn(t, backend.Pebble, dir)
			if got := s.machine.log; got.Span != want.Span || got.total != want.total || got.removed != want.removed {
				t.Fatalf("opened again: %+v, before %+v", got, want)
			}
		}
	}
	if span := s.Span(); len(changesOf(t, s, span.First-1)) != int(span.Last-span.First+1) || span.First < 2000 {
		t.Fatalf("what is kept differs from %+v", span)
	}
}
