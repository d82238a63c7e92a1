package shard

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/odgm/condition"
	"github.com/hpcclab/oaas-go/odgm/engine/backend"
	"github.com/hpcclab/oaas-go/odgm/object"
	"github.com/hpcclab/oaas-go/odgm/record"
)

// open makes a shard of the given engine in a temporary folder.
func open(t testing.TB, kind string, change ...func(*Config)) *Shard {
	t.Helper()
	return openIn(t, kind, filepath.Join(t.TempDir(), "0"), change...)
}

func openIn(t testing.TB, kind, dir string, change ...func(*Config)) *Shard {
	t.Helper()
	eng, err := backend.Open(kind, dir)
	if err != nil {
		t.Fatal(err)
	}
	cache, err := NewCache(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cache.Close)
	cfg := Config{Class: "test.record", Engine: eng, Conditions: condition.NewCache(1024), Cache: cache}
	for _, fn := range change {
		fn(&cfg)
	}
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func write(w *record.Write) *record.Command {
	return &record.Command{Body: &record.Command_Write{Write: w}}
}

func put(id string, pairs ...string) *record.Command {
	w := &record.Write{Object: id}
	for i := 0; i < len(pairs); i += 2 {
		w.Puts = append(w.Puts, &record.Put{Key: pairs[i], Data: []byte(pairs[i+1])})
	}
	return write(w)
}

func remove(id string) *record.Command {
	return write(&record.Write{Object: id, DeleteObject: true})
}

func must(t testing.TB, s *Shard, cmd *record.Command) Result {
	t.Helper()
	result, err := s.Do(t.Context(), cmd)
	if err != nil {
		t.Fatalf("command refused: %v", err)
	}
	return result
}

func refused(t *testing.T, s *Shard, cmd *record.Command, want fault.Code) {
	t.Helper()
	if _, err := s.Do(t.Context(), cmd); fault.CodeOf(err) != want {
		t.Fatalf("command gave %v, want code %s", err, want)
	}
}

func value(t testing.TB, s *Shard, id, key string) string {
	t.Helper()
	entry, _, err := s.Entry(t.Context(), id, key)
	if err != nil {
		t.Fatalf("entry %s/%s: %v", id, key, err)
	}
	return string(entry.Data)
}

func TestVersions(t *testing.T) {
	s := open(t, backend.Memory)
	if r := must(t, s, put("a")); r.Version != 0 || !r.Created {
		t.Fatalf("an object without entries: %+v, want version 0, created", r)
	}
	if r := must(t, s, put("a", "x", "1", "y", "2")); r.Version != 1 || r.Created {
		t.Fatalf("the first entries: %+v, want version 1", r)
	}
	if r := must(t, s, put("a", "x", "1")); r.Version != 2 {
		t.Fatalf("a write of the same value: %+v, want version 2", r)
	}
	if r := must(t, s, write(&record.Write{Object: "a", Deletes: []string{"nope"}, NoCreate: true})); r.Version != 2 || r.Deleted != 0 {
		t.Fatalf("delete of an absent entry: %+v, want version 2", r)
	}
	if r := must(t, s, write(&record.Write{Object: "a", Deletes: []string{"y"}, Puts: []*record.Put{{Key: "z"}}})); r.Version != 3 || r.Deleted != 1 {
		t.Fatalf("a batch: %+v, want version 3 and one entry deleted", r)
	}
	entry, meta, err := s.Entry(t.Context(), "a", "x")
	if err != nil || entry.Version != 2 || meta.Version != 3 || meta.Entries != 2 {
		t.Fatalf("entry %+v of %+v, %v; want entry version 2 of object version 3 with 2 entries", entry, meta, err)
	}
}

func TestCompareAndSwap(t *testing.T) {
	s := open(t, backend.Memory)
	version := func(v uint64) *record.Expect { return &record.Expect{Version: &v} }
	with := func(e *record.Expect) *record.Command {
		return write(&record.Write{Object: "a", Expect: e, Puts: []*record.Put{{Key: "x"}}})
	}
	refused(t, s, with(version(1)), fault.VersionMismatch)
	refused(t, s, with(&record.Expect{Present: true}), fault.NoObject)
	must(t, s, with(&record.Expect{Absent: true}))
	refused(t, s, with(&record.Expect{Absent: true}), fault.VersionMismatch)
	refused(t, s, with(version(0)), fault.VersionMismatch)
	must(t, s, with(version(1)))
	must(t, s, remove("a"))
	refused(t, s, with(version(2)), fault.VersionMismatch)
	if r := must(t, s, with(version(0))); r.Version != 4 {
		t.Fatalf("an object made again has version %d, want 4: it goes on where the deleted one ended", r.Version)
	}
}

// TestCompareAndSwapIsAtomic has many writers count with compare-and-swap: no count may be lost.
func TestCompareAndSwapIsAtomic(t *testing.T) {
	s := open(t, backend.Memory)
	must(t, s, put("a", "n", "0"))
	var wg sync.WaitGroup
	const writers, each = 8, 50
	for range writers {
		wg.Go(func() {
			for done := 0; done < each; {
				obj, err := s.Object(t.Context(), "a", object.Everything)
				if err != nil {
					t.Error(err)
					return
				}
				var n int
				fmt.Sscan(string(obj.State[0].Data), &n)
				_, err = s.Do(t.Context(), write(&record.Write{
					Object: "a", Expect: &record.Expect{Version: &obj.Version}, Puts: []*record.Put{{Key: "n", Data: fmt.Append(nil, n+1)}},
				}))
				switch fault.CodeOf(err) {
				case "":
					done++
				case fault.VersionMismatch:
				default:
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if got := value(t, s, "a", "n"); got != fmt.Sprint(writers*each) {
		t.Fatalf("counted to %s, want %d", got, writers*each)
	}
}

func TestDeletedObjectCanBeMadeAgain(t *testing.T) {
	s := open(t, backend.Memory)
	must(t, s, put("a", "x", "1", "y", "2"))
	if r := must(t, s, remove("a")); !r.Existed || r.Deleted != 2 || r.Version != 2 {
		t.Fatalf("delete: %+v", r)
	}
	if r := must(t, s, remove("a")); r.Existed {
		t.Fatalf("delete of a deleted object: %+v", r)
	}
	if _, err := s.Meta(t.Context(), "a"); fault.CodeOf(err) != fault.NoObject {
		t.Fatalf("a deleted object: %v", err)
	}
	if r := must(t, s, put("a", "z", "3")); !r.Created || r.Version != 3 {
		t.Fatalf("made again: %+v", r)
	}
	obj, err := s.Object(t.Context(), "a", object.Everything)
	if err != nil || len(obj.State) != 1 || obj.Triggers != nil {
		t.Fatalf("made again it has %+v, %v; want the new entry alone", obj, err)
	}
	if stats, err := s.Stats(t.Context()); err != nil || stats.Objects != 1 {
		t.Fatalf("stats %+v, %v", stats, err)
	}
}

func TestTombstoneExpires(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	s := open(t, backend.Memory, func(c *Config) { c.Now = func() time.Time { return now } })
	must(t, s, put("a", "x", "1"))
	must(t, s, remove("a"))
	if n, err := s.Sweep(t.Context()); n != 0 || err != nil {
		t.Fatalf("sweep before its time removed %d, %v", n, err)
	}
	now = now.Add(tombstoneTTL)
	if n, err := s.Sweep(t.Context()); n != 1 || err != nil {
		t.Fatalf("sweep removed %d, %v; want 1", n, err)
	}
	if r := must(t, s, put("a", "x", "1")); r.Version != 1 {
		t.Fatalf("version %d, want 1", r.Version)
	}
}

func TestMergeRefusesDocuments(t *testing.T) {
	s := open(t, backend.Memory)
	merge := func(data string, kind oprc.ValType) *record.Command {
		return write(&record.Write{Object: "a", Merge: true, Puts: []*record.Put{{Key: "doc", Data: []byte(data), Type: kind}}})
	}
	must(t, s, merge("one", oprc.ValType_VAL_TYPE_CRDT_MAP))
	must(t, s, merge("one", oprc.ValType_VAL_TYPE_CRDT_MAP))
	refused(t, s, merge("two", oprc.ValType_VAL_TYPE_CRDT_MAP), fault.InvalidArgument)
	must(t, s, merge("bytes win", oprc.ValType_VAL_TYPE_BYTE))
	if got := value(t, s, "a", "doc"); got != "bytes win" {
		t.Fatalf("got %q", got)
	}
}

// TestRefusedCommandLeavesItsGroupAlone commits many commands at once, of which every third is refused.
func TestRefusedCommandLeavesItsGroupAlone(t *testing.T) {
	s := open(t, backend.Pebble)
	var wg sync.WaitGroup
	for i := range 99 {
		wg.Go(func() {
			cmd := put(fmt.Sprintf("o%d", i), "x", "1")
			if i%3 == 0 {
				cmd.GetWrite().Expect = &record.Expect{Present: true}
			}
			_, err := s.Do(t.Context(), cmd)
			if (err != nil) != (i%3 == 0) {
				t.Errorf("command %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if stats, err := s.Stats(t.Context()); err != nil || stats.Objects != 66 {
		t.Fatalf("%+v, %v; want 66 objects", stats, err)
	}
}

func TestLists(t *testing.T) {
	for _, kind := range backend.Kinds() {
		t.Run(kind, func(t *testing.T) {
			s := open(t, kind)
			for i := range 25 {
				must(t, s, put(fmt.Sprintf("p%02d", i), "k", "v"))
			}
			must(t, s, put("q", "a", "1", "ab", "2", "abc", "3", "b", "4"))
			must(t, s, remove("p07"))
			var ids []string
			page := object.Page{Prefix: "p", Limit: 6}
			pages := 0
			for {
				metas, next, err := s.ListObjects(t.Context(), page)
				if err != nil {
					t.Fatal(err)
				}
				pages++
				for _, m := range metas {
					ids = append(ids, m.ID)
				}
				if next == nil {
					break
				}
				page.Cursor = next
			}
			if len(ids) != 24 || pages != 4 || ids[7] != "p08" {
				t.Fatalf("%d ids in %d pages: %v; want 24 in 4 pages, none empty, without the deleted one", len(ids), pages, ids)
			}
			entries, meta, next, err := s.ListEntries(t.Context(), "q", object.Page{Prefix: "a", Limit: 2})
			if err != nil || len(entries) != 2 || meta.Entries != 4 || string(next) != "abc" {
				t.Fatalf("%v, %+v, next %q, %v", entries, meta, next, err)
			}
			entries, _, next, err = s.ListEntries(t.Context(), "q", object.Page{Prefix: "a", Limit: 2, Cursor: next})
			if err != nil || len(entries) != 1 || entries[0].Key != "abc" || next != nil {
				t.Fatalf("%v, next %q, %v", entries, next, err)
			}
		})
	}
}

func TestSelector(t *testing.T) {
	s := open(t, backend.Memory)
	must(t, s, put("a", "item:1", "1", "item:2", "2", "total", "3", "other", "4"))
	for _, c := range []struct {
		patterns []string
		want     string
	}{
		{nil, ""},
		{[]string{"*"}, "item:1 item:2 other total "},
		{[]string{"total", "absent", "total"}, "total "},
		{[]string{"total", "item:*", "item:2"}, "item:1 item:2 total "},
	} {
		sel, err := object.ParseSelector(c.patterns)
		if err != nil {
			t.Fatal(err)
		}
		obj, err := s.Object(t.Context(), "a", sel)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, e := range obj.State {
			got += e.Key + " "
		}
		if got != c.want {
			t.Errorf("%v selects %q, want %q", c.patterns, got, c.want)
		}
	}
}

// TestCacheNeverServesOldValues has readers check, while a writer counts up, that no read is older than what was acknowledged before it began,
// nor older than what the reader saw before.
func TestCacheNeverServesOldValues(t *testing.T) {
	s := open(t, backend.Pebble)
	must(t, s, put("a", "n", "0"))
	var mu sync.Mutex
	acknowledged := 0
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			last := 0
			for ctx.Err() == nil {
				mu.Lock()
				least := max(acknowledged, last)
				mu.Unlock()
				entry, _, err := s.Entry(context.Background(), "a", "n")
				if err != nil {
					t.Error(err)
					return
				}
				fmt.Sscan(string(entry.Data), &last)
				if last < least {
					t.Errorf("read %d after %d was acknowledged or seen", last, least)
					return
				}
			}
		})
	}
	for i := range 300 {
		must(t, s, put("a", "n", fmt.Sprint(i+1)))
		mu.Lock()
		acknowledged = i + 1
		mu.Unlock()
	}
	stop()
	wg.Wait()
}

// TestRandomHistory compares a shard with a plain map through random writes, on every engine, with reopening on those that keep data.
func TestRandomHistory(t *testing.T) {
	for _, kind := range backend.Kinds() {
		t.Run(kind, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(7, 11))
			dir := filepath.Join(t.TempDir(), "0")
			s := openIn(t, kind, dir)
			model := map[string]map[string]string{}
			for step := range 600 {
				id := fmt.Sprintf("o%d", rng.IntN(6))
				key := fmt.Sprintf("k%d", rng.IntN(8))
				text := fmt.Sprint(step)
				switch op := rng.IntN(10); {
				case op < 6:
					must(t, s, put(id, key, text))
					if model[id] == nil {
						model[id] = map[string]string{}
					}
					model[id][key] = text
				case op < 8:
					must(t, s, write(&record.Write{Object: id, Deletes: []string{key}, NoCreate: true}))
					delete(model[id], key)
				case op < 9:
					must(t, s, remove(id))
					delete(model, id)
				case kind != backend.Memory && step%7 == 0:
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
					s = openIn(t, kind, dir)
				}
				compare(t, s, model)
			}
		})
	}
}

func compare(t *testing.T, s *Shard, model map[string]map[string]string) {
	t.Helper()
	metas, _, err := s.ListObjects(t.Context(), object.Page{})
	if err != nil || len(metas) != len(model) {
		t.Fatalf("%d objects, %v; want %d", len(metas), err, len(model))
	}
	for _, meta := range metas {
		obj, err := s.Object(t.Context(), meta.ID, object.Everything)
		if err != nil || len(obj.State) != len(model[meta.ID]) || obj.Entries != uint64(len(obj.State)) {
			t.Fatalf("object %+v, %v; want %v", obj, err, model[meta.ID])
		}
		for _, e := range obj.State {
			if model[meta.ID][e.Key] != string(e.Data) {
				t.Fatalf("entry %s of %s is %q, want %q", e.Key, meta.ID, e.Data, model[meta.ID][e.Key])
			}
		}
	}
}

func TestClosedShardRefuses(t *testing.T) {
	s := open(t, backend.Memory)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	refused(t, s, put("a", "x", "1"), fault.Unavailable)
}

func TestExpiredContextChangesNothing(t *testing.T) {
	s := open(t, backend.Memory)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Do(ctx, put("a", "x", "1")); fault.CodeOf(err) != fault.Cancelled {
		t.Fatalf("got %v", err)
	}
	if _, err := s.Meta(t.Context(), "a"); fault.CodeOf(err) != fault.NoObject {
		t.Fatalf("the object is there: %v", err)
	}
}

func BenchmarkPut(b *testing.B) {
	for _, kind := range backend.Kinds() {
		for _, clients := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/clients=%d", kind, clients), func(b *testing.B) {
				s := open(b, kind)
				data := make([]byte, 1024)
				var wg sync.WaitGroup
				var next sync.Mutex
				left := b.N
				b.ResetTimer()
				for c := range clients {
					wg.Go(func() {
						for {
							next.Lock()
							left--
							more := left >= 0
							next.Unlock()
							if !more {
								return
							}
							cmd := write(&record.Write{Object: fmt.Sprintf("o%d", c), Puts: []*record.Put{{Key: "k", Data: data}}})
							if _, err := s.Do(context.Background(), cmd); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
			})
		}
	}
}
