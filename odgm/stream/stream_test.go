package stream

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/odgm/condition"
	"github.com/hpcclab/oaas-go/odgm/engine/memory"
	"github.com/hpcclab/oaas-go/odgm/record"
	"github.com/hpcclab/oaas-go/odgm/shard"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a class with real shards, and a clock of its own.
type world struct {
	t      testing.TB
	hub    *Hub
	shards []*shard.Shard
	logs   []Log

	mu  sync.Mutex
	now time.Time
}

func newWorld(t testing.TB, partitions int, keep *record.ChangeRetention) *world {
	t.Helper()
	w := &world{t: t, hub: NewHub("test.record"), now: time.Unix(1_000_000, 0)}
	for n := range partitions {
		s, err := shard.Open(shard.Config{
			Class: "test.record", Partition: uint32(n), Engine: memory.New(), Conditions: condition.NewCache(8), Now: w.clock,
			OnChanges: func(commit shard.Changes) { w.hub.Append(uint32(n), commit) },
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		if keep == nil {
			keep = &record.ChangeRetention{Age: int64(time.Hour), Values: true}
		}
		if _, err := s.Do(t.Context(), &record.Command{Body: &record.Command_Configure{Configure: &record.ClassConfig{Changes: keep}}}); err != nil {
			t.Fatal(err)
		}
		w.shards, w.logs = append(w.shards, s), append(w.logs, s)
	}
	t.Cleanup(func() { w.hub.Close(errors.New("the test has ended")) })
	return w
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) forward(d time.Duration) {
	w.mu.Lock()
	w.now = w.now.Add(d)
	w.mu.Unlock()
	for _, s := range w.shards {
		if _, err := s.Sweep(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) do(partition int, write *record.Write) {
	w.t.Helper()
	if _, err := w.shards[partition].Do(context.Background(), &record.Command{Body: &record.Command_Write{Write: write}}); err != nil {
		w.t.Error(err)
	}
}

func (w *world) put(partition int, id, key, value string) {
	w.t.Helper()
	w.do(partition, &record.Write{Object: id, Puts: []*record.Put{{Key: key, Data: []byte(value)}}})
}

func (w *world) subscribe(f Filter, from Position) *Stream {
	w.t.Helper()
	s, err := w.hub.Subscribe(w.logs, f, from)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(s.Close)
	return s
}

// expect wants the stream to give just these, and then nothing: "partition.seq object +key=value", or "gap partition.from-to".
func expect(t testing.TB, what string, s *Stream, want ...string) {
	t.Helper()
	var got []string
	for {
		c, err := s.TryNext(t.Context())
		if gap := (*Gap)(nil); errors.As(err, &gap) {
			line := fmt.Sprintf("gap %d.%d-%d", gap.Partition, gap.From, gap.To)
			if gap.Remade {
				line += " remade"
			}
			got = append(got, line)
			continue
		}
		if err != nil {
			got = append(got, err.Error())
			break
		}
		if c == nil {
			break
		}
		got = append(got, line(c))
	}
	if !slices.Equal(got, want) {
		t.Fatalf("%s:\n%s\nwant:\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func line(c *Change) string {
	text := fmt.Sprintf("%d.%d %s", c.Partition, c.Seq, c.Object)
	for _, e := range c.Entries {
		text += " " + map[string]string{Created: "+", Updated: "~", Deleted: "-"}[e.Action] + e.Key
		if e.Value != nil {
			text += "=" + string(e.Value)
		}
	}
	if c.Method != nil {
		text += " " + c.Method.Name + ":" + c.Method.Action + c.Method.Code
	}
	return text
}

func TestPositions(t *testing.T) {
	w := newWorld(t, 2, nil)
	w.put(0, "a", "x", "1")
	all := w.subscribe(Filter{Partition: Any}, Now)
	one := w.subscribe(Filter{Partition: 1}, Earliest)
	expect(t, "from now", all)
	w.put(1, "b", "x", "2")
	w.put(0, "a", "x", "3")
	expect(t, "all partitions", all, "1.1 b +x=2", "0.2 a ~x=3")
	expect(t, "one partition", one, "1.1 b +x=2")
	if got := string(all.Position()); got != "0:gjdgxs.2,1:gjdgxs.1" {
		t.Fatalf("position %s", got)
	}
	at := all.Position()
	w.put(1, "b", "y", "4")
	w.put(0, "a", "y", "5")
	for _, tc := range []struct {
		name      string
		partition int
		from      Position
		want      []string
	}{
		{"a position of all", Any, at, []string{"0.3 a +y=5", "1.2 b +y=4"}},
		{"a position of all, for one", 1, at, []string{"1.2 b +y=4"}},
		{"a position of one, for all", Any, one.Position(), []string{"0.1 a +x=1", "0.2 a ~x=3", "0.3 a +y=5", "1.2 b +y=4"}},
		{"earliest", 1, Earliest, []string{"1.1 b +x=2", "1.2 b +y=4"}},
		{"a number", 0, After(0, 2), []string{"0.3 a +y=5"}},
		{"now", Any, Now, nil},
		{"another epoch", 0, "0:zz.2", []string{"gap 0.3-0 remade", "0.1 a +x=1", "0.2 a ~x=3", "0.3 a +y=5"}},
		{"ahead of the log", 0, "0:.9", []string{"gap 0.10-0 remade", "0.1 a +x=1", "0.2 a ~x=3", "0.3 a +y=5"}},
	} {
		expect(t, tc.name, w.subscribe(Filter{Partition: tc.partition}, tc.from), tc.want...)
	}
	for _, bad := range []Position{"x", "1", "0:gjdgxs", "0:.x", "0:.-1", "0:.1,0:.2", "0:.1,", "70000:.1", "0:!.1", "0:-1.1", "7:.1", "1:.1"} {
		if _, err := w.hub.Subscribe(w.logs, Filter{Partition: 0}, bad); fault.CodeOf(err) != fault.InvalidArgument || !strings.Contains(err.Error(), string(bad)) {
			t.Errorf("position %q: %v", bad, err)
		}
	}
}

func TestFilters(t *testing.T) {
	w := newWorld(t, 1, nil)
	w.do(0, &record.Write{Object: "a", Puts: []*record.Put{{Key: "total"}, {Key: "item:1"}, {Key: "item:2"}}, Completion: &record.Completion{Method: "add"}})
	w.do(0, &record.Write{Object: "b", Puts: []*record.Put{{Key: "total"}}})
	w.do(0, &record.Write{Object: "a", Deletes: []string{"item:1"}, Puts: []*record.Put{{Key: "total"}}})
	fail := &record.Failed{Object: "a", Method: "pay", Failure: &record.Failure{Code: "BAD_REPLY"}}
	if _, err := w.shards[0].Do(t.Context(), &record.Command{Body: &record.Command_Failed{Failed: fail}}); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		f    Filter
		want []string
	}{
		{"none", Filter{}, []string{"0.1 a +item:1= +item:2= +total= add:complete", "0.2 b +total=", "0.3 a -item:1 ~total=", "0.4 a pay:errorBAD_REPLY"}},
		{"object", Filter{Object: "b"}, []string{"0.2 b +total="}},
		{"entry", Filter{Entries: []string{"total"}}, []string{"0.1 a +total=", "0.2 b +total=", "0.3 a ~total="}},
		{"prefix", Filter{Entries: []string{"item:*"}}, []string{"0.1 a +item:1= +item:2=", "0.3 a -item:1"}},
		{"all entries", Filter{Entries: []string{"*"}, Object: "a"}, []string{"0.1 a +item:1= +item:2= +total=", "0.3 a -item:1 ~total="}},
		{"action", Filter{Actions: []string{Deleted, Failed}}, []string{"0.3 a -item:1", "0.4 a pay:errorBAD_REPLY"}},
		{"entry and action", Filter{Entries: []string{"total"}, Actions: []string{Updated}}, []string{"0.3 a ~total="}},
		{"method", Filter{Methods: []string{"a*"}}, []string{"0.1 a add:complete"}},
		{"method and entry", Filter{Methods: []string{"pay"}, Entries: []string{"item:2"}}, []string{"0.1 a +item:2=", "0.4 a pay:errorBAD_REPLY"}},
		{"nothing matches", Filter{Methods: []string{"pay"}, Actions: []string{Completed}}, nil},
	} {
		s := w.subscribe(tc.f, Earliest)
		expect(t, tc.name, s, tc.want...)
		if at := s.Position(); at != "0:gjdgxs.4" {
			t.Errorf("%s: position %s counts not what was left out", tc.name, at)
		}
	}
	for _, bad := range []Filter{
		{Actions: []string{"created"}}, {Entries: []string{"a*b"}}, {Methods: []string{""}}, {Entries: make([]string, 101)}, {Partition: 1}, {Partition: -2},
	} {
		if _, err := w.hub.Subscribe(w.logs, bad, Now); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
	if n := w.hub.Streams(); n != 10 {
		t.Errorf("%d streams are open, want 10: one that is refused must leave", n)
	}
}

func TestMessages(t *testing.T) {
	w := newWorld(t, 1, nil)
	s := w.subscribe(Filter{}, Now)
	w.do(0, &record.Write{Object: "a", Puts: []*record.Put{{Key: "x", Data: []byte("1")}, {Key: "y"}}, Deletes: []string{"z"}, Completion: &record.Completion{Method: "f"}})
	c, err := s.TryNext(t.Context())
	if err != nil || c == nil {
		t.Fatal(c, err)
	}
	const message = `{"object_id":"a","cls_id":"test.record","partition_id":0,"version":1,"source":"local","changes":[` +
		`{"key":"x","action":"create","value":"MQ=="},{"key":"y","action":"create","value":""}]`
	if got := string(c.JSON()); got != message+"}" {
		t.Errorf("got  %s\nwant %s}", got, message)
	}
	const more = `,"seq":1,"time":"1970-01-12T13:46:40Z","method":{"name":"f","action":"complete"},"position":"0:gjdgxs.1"}`
	if got := string(c.AppendExtended(nil, s)); got != message+more {
		t.Errorf("got  %s\nwant %s", got, message+more)
	}
	if a, b := c.JSON(), c.JSON(); &a[0] != &b[0] {
		t.Error("a message is encoded more than once")
	}
	gap := &Gap{Class: "c", Partition: 3, From: 5, To: 9}
	if got := string(gap.AppendJSON(nil, s)); got != `{"object_id":"","cls_id":"c","partition_id":3,"version":0,"source":"gap","changes":[],`+
		`"gap":{"from":5,"to":9,"missing":5},"position":"0:gjdgxs.1"}` {
		t.Error(got)
	}
}

func TestRetentionGap(t *testing.T) {
	w := newWorld(t, 1, nil)
	s := w.subscribe(Filter{}, Now)
	for i := range 3 {
		w.put(0, "a", "x", fmt.Sprint(i))
	}
	expect(t, "live", s, "0.1 a +x=0", "0.2 a ~x=1", "0.3 a ~x=2")
	at := s.Position()
	s.Close()
	for i := range 5 {
		w.forward(20 * time.Minute)
		w.put(0, "a", "x", fmt.Sprint(i))
	}
	expect(t, "nothing is missing after the last one within the retention", w.subscribe(Filter{}, After(0, 6)), "0.7 a ~x=3", "0.8 a ~x=4")
	w.forward(0)
	late := w.subscribe(Filter{}, at)
	expect(t, "away for too long", late, "gap 0.4-5", "0.6 a ~x=2", "0.7 a ~x=3", "0.8 a ~x=4")
	if p := late.Position(); p != "0:gjdgxs.8" {
		t.Errorf("position %s", p)
	}
	behind := w.subscribe(Filter{}, After(0, 5))
	w.forward(2 * time.Hour) // between the subscription and the first read
	expect(t, "removed while reading", behind, "gap 0.6-8")
}

func TestSlowReaders(t *testing.T) {
	w := newWorld(t, 1, nil)
	catchUp := w.subscribe(Filter{Slow: CatchUp}, Now)
	drop := w.subscribe(Filter{Slow: Drop}, Now)
	disconnect := w.subscribe(Filter{Slow: Disconnect}, Now)
	const n = ringChanges + 10
	for i := range n {
		w.put(0, "a", "x", fmt.Sprint(i))
	}
	if len(w.hub.ring) > ringChanges {
		t.Fatalf("%d changes are in memory", len(w.hub.ring))
	}
	for i := range n {
		if c, err := catchUp.TryNext(t.Context()); err != nil || c == nil || c.Seq != uint64(i+1) {
			t.Fatalf("change %d: %v, %v", i+1, c, err)
		}
	}
	expect(t, "caught up", catchUp)
	expect(t, "dropped", drop, fmt.Sprintf("gap 0.1-%d", n))
	if _, err := disconnect.TryNext(t.Context()); !errors.Is(err, ErrSlow) {
		t.Fatalf("the slow reader got %v", err)
	}
	w.put(0, "a", "y", "last")
	expect(t, "goes on after a drop", drop, fmt.Sprintf("0.%d a +y=last", n+1))
	expect(t, "goes on live", catchUp, fmt.Sprintf("0.%d a +y=last", n+1))
}

func TestLargeValuesDoNotFillMemory(t *testing.T) {
	w := newWorld(t, 1, nil)
	s := w.subscribe(Filter{}, Now)
	big := strings.Repeat("v", 1<<20)
	for range 20 {
		w.put(0, "a", "x", big)
	}
	if w.hub.bytes > ringBytes {
		t.Fatalf("%d bytes are in memory", w.hub.bytes)
	}
	for i := range 20 {
		if c, err := s.TryNext(t.Context()); err != nil || c == nil || c.Seq != uint64(i+1) {
			t.Fatalf("change %d: %v, %v", i+1, c, err)
		}
	}
	s.Close()
	if w.hub.ring != nil || w.hub.bytes != 0 {
		t.Error("changes are kept though nobody watches")
	}
}

func TestEnds(t *testing.T) {
	w := newWorld(t, 1, nil)
	s := w.subscribe(Filter{}, Now)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("cancelled: %v", err)
	}
	done := make(chan error)
	go func() {
		_, err := s.Next(context.Background())
		done <- err
	}()
	gone := fault.New(fault.Unavailable, "gone")
	w.hub.Close(gone)
	if err := <-done; !errors.Is(err, gone) {
		t.Fatalf("the hub was closed: %v", err)
	}
	s.Close()
	s.Close()
	if w.hub.Streams() != 0 {
		t.Error("a stream that was closed twice counts twice")
	}
}

// TestNothingLostOrRepeated has writers make 100,000 changes while readers, at random, pause, leave, and come back at the position where they
// left. Each must have got every change of its partitions once, in order.
func TestNothingLostOrRepeated(t *testing.T) {
	const partitions, perPartition, readers = 4, 25_000, 8
	w := newWorld(t, partitions, nil)
	var writers, watching sync.WaitGroup
	for n := range partitions {
		for half := range 2 {
			writers.Go(func() {
				for i := range perPartition / 2 {
					w.put(n, fmt.Sprintf("o%d", i%10), fmt.Sprintf("k%d", half), "v")
				}
			})
		}
	}
	for n := range readers {
		f := Filter{Partition: Any}
		if n%2 == 1 {
			f.Partition = n % partitions
		}
		watching.Go(func() { watch(t, w, f, rand.New(rand.NewPCG(uint64(n), 2026)), perPartition) })
	}
	writers.Wait()
	watching.Wait()
}

// watch reads until it has all changes.
func watch(t *testing.T, w *world, f Filter, random *rand.Rand, perPartition uint64) {
	var seen [4]uint64
	left := 4
	if f.Partition != Any {
		left = 1
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for at := Earliest; left > 0; {
		s, err := w.hub.Subscribe(w.logs, f, at)
		if err != nil {
			t.Error(err)
			return
		}
		for n := random.IntN(8000); n >= 0 && left > 0; n-- {
			c, err := s.Next(ctx)
			if err != nil {
				t.Errorf("%+v: %v after %v", f, err, seen)
				s.Close()
				return
			}
			if c.Seq != seen[c.Partition]+1 {
				t.Errorf("%+v: change %d of partition %d comes after %d", f, c.Seq, c.Partition, seen[c.Partition])
			}
			if seen[c.Partition] = c.Seq; c.Seq == perPartition {
				left--
			}
			if random.IntN(2000) == 0 {
				time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond) // falls behind
			}
		}
		at = s.Position()
		s.Close()
	}
}

func FuzzPosition(f *testing.F) {
	for _, text := range []string{"", "0", "0:.1", "0:t6c3k1.17,2:t6c3k4.9", "65535:zik0zj.9223372036854775807", "1:1.1,,", ":.", "0:+1.1", "0:.+1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		points, err := Position(text).parse()
		if err != nil || len(points) == 0 {
			return
		}
		var again []byte
		for partition, p := range points {
			again = appendPoint(again, len(again) > 0, partition, p)
		}
		back, err := Position(again).parse()
		if err != nil || len(back) != len(points) {
			t.Fatalf("%q became %q: %v", text, again, err)
		}
		for partition, p := range points {
			if back[partition] != p {
				t.Fatalf("%q: partition %d is %+v, then %+v", text, partition, p, back[partition])
			}
		}
	})
}

// What was not appended is read from the logs, whatever becomes of slow readers: it was not their fault.
func TestSkip(t *testing.T) {
	for _, slow := range []SlowPolicy{CatchUp, Drop, Disconnect} {
		w := newWorld(t, 2, nil)
		s := w.subscribe(Filter{Partition: Any, Slow: slow}, Now)
		w.put(0, "a", "k", "1")
		w.put(1, "b", "k", "2")
		w.hub.Skip() // both are lost on the way
		w.put(0, "c", "k", "3")
		expect(t, fmt.Sprint("policy ", slow), s, "0.1 a +k=1", "0.2 c +k=3", "1.1 b +k=2")
		w.put(1, "d", "k", "4")
		expect(t, fmt.Sprint("policy ", slow), s, "1.2 d +k=4")
	}
}
