package odgm

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/function"
	"github.com/hpcclab/oaas-go/odgm/call"
	"github.com/hpcclab/oaas-go/odgm/engine/backend"
	"github.com/hpcclab/oaas-go/odgm/object"
	"github.com/hpcclab/oaas-go/odgm/stream"
)

func subscribe(t *testing.T, g *Grid, f StreamFilter, from Position) *Stream {
	t.Helper()
	s, err := g.Subscribe(t.Context(), f, from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// next gives the next change, within a time.
func next(t *testing.T, s *Stream) (*Change, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return s.Next(ctx)
}

func put(t *testing.T, g *Grid, class, id, key string) {
	t.Helper()
	change := object.Change{Puts: []object.Entry{{Key: key, Data: []byte("v")}}}
	if _, err := g.Write(t.Context(), Target{Class: class, Partition: AnyPartition, ID: id}, change, WriteOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestSubscribe(t *testing.T) {
	g := openGrid(t, "")
	deploy(t, g, Class{Name: "a.b", Partitions: 8}, Class{Name: "a.off", Changes: Retention{Off: true}})
	mine := subscribe(t, g, StreamFilter{Class: "a.b", Partition: AnyPartition, Object: "Me", Entries: []string{"X*"}}, stream.Now)
	for _, id := range []string{"other", "me", "another"} {
		put(t, g, "a.b", id, "xy")
	}
	c, err := next(t, mine)
	if err != nil || c.Object != "me" || c.Partition != PartitionOf("me", 8) || c.Entries[0].Key != "xy" || c.Entries[0].Value != nil {
		t.Fatalf("%+v, %v", c, err)
	}
	all := subscribe(t, g, StreamFilter{Class: "a.b", Partition: AnyPartition}, stream.Earliest)
	for range 3 {
		if _, err := next(t, all); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		f    StreamFilter
		want fault.Code
	}{
		{StreamFilter{Class: "no.such"}, fault.NoClass}, {StreamFilter{Class: "a.b", Partition: 8}, fault.NoPartition},
		{StreamFilter{Class: "a.b", Object: "bad id"}, fault.InvalidObjectID}, {StreamFilter{Class: "a.off"}, fault.Conflict},
		{StreamFilter{Class: "a.b", Actions: []string{"x"}}, fault.InvalidArgument},
	} {
		if _, err := g.Subscribe(t.Context(), tc.f, stream.Now); fault.CodeOf(err) != tc.want {
			t.Errorf("%+v: %v, want %s", tc.f, err, tc.want)
		}
	}
	deploy(t, g, Class{Name: "a.b", Partitions: 8, Changes: Retention{Off: true}})
	if _, err := next(t, mine); fault.CodeOf(err) != fault.Conflict {
		t.Errorf("a class that keeps changes no longer: %v", err)
	}
	deploy(t, g, Class{Name: "a.b", Partitions: 8})
	again := subscribe(t, g, StreamFilter{Class: "a.b", Partition: AnyPartition}, stream.Now)
	put(t, g, "a.b", "me", "z")
	if c, err := next(t, again); err != nil || c.Version != 2 {
		t.Errorf("switched on again: %+v, %v", c, err)
	}
}

// TestPositionsOutliveTheGrid goes on in another grid over the same folder, and is told when the data was made anew.
func TestPositionsOutliveTheGrid(t *testing.T) {
	dir := t.TempDir()
	class := Class{Name: "a.b", Engine: backend.Bbolt}
	g := openGrid(t, dir)
	deploy(t, g, class)
	s := subscribe(t, g, StreamFilter{Class: "a.b"}, stream.Now)
	put(t, g, "a.b", "o", "x")
	put(t, g, "a.b", "o", "y")
	if _, err := next(t, s); err != nil {
		t.Fatal(err)
	}
	at := s.Position()
	if err := g.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := next(t, s); err == nil {
		if _, err = next(t, s); fault.CodeOf(err) != fault.Unavailable {
			t.Errorf("the grid is closed: %v", err)
		}
	}
	g = openGrid(t, dir)
	deploy(t, g, class)
	if c, err := next(t, subscribe(t, g, StreamFilter{Class: "a.b"}, at)); err != nil || c.Seq != 2 {
		t.Fatalf("%+v, %v", c, err)
	}
	if err := g.Undeploy(t.Context(), "a.b", true); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Millisecond) // epochs are milliseconds
	deploy(t, g, class)
	for range 3 {
		put(t, g, "a.b", "o", "x")
	}
	late := subscribe(t, g, StreamFilter{Class: "a.b"}, at)
	_, err := next(t, late)
	if gap := (*Gap)(nil); !errors.As(err, &gap) || !gap.Remade {
		t.Fatalf("made anew: %v", err)
	}
	if c, err := next(t, late); err != nil || c.Seq != 1 {
		t.Fatalf("after the gap: %+v, %v", c, err)
	}
}

// TestNoChangesForATime is told that changes are missing which were made while the class kept none.
func TestNoChangesForATime(t *testing.T) {
	g := openGrid(t, "")
	on, off := Class{Name: "a.b"}, Class{Name: "a.b", Changes: Retention{Off: true}}
	deploy(t, g, on)
	s := subscribe(t, g, StreamFilter{Class: "a.b"}, stream.Now)
	put(t, g, "a.b", "o", "x")
	if _, err := next(t, s); err != nil {
		t.Fatal(err)
	}
	deploy(t, g, off)
	put(t, g, "a.b", "o", "y")
	deploy(t, g, on)
	early := subscribe(t, g, StreamFilter{Class: "a.b"}, s.Position())
	put(t, g, "a.b", "o", "z")
	for name, resumed := range map[string]*Stream{"at once": early, "later": subscribe(t, g, StreamFilter{Class: "a.b"}, s.Position())} {
		_, err := next(t, resumed)
		if gap := (*Gap)(nil); !errors.As(err, &gap) || !gap.Remade {
			t.Fatalf("%s: %v", name, err)
		}
		if c, err := next(t, resumed); err != nil || c.Entries[0].Key != "z" {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
	if c, err := next(t, subscribe(t, g, StreamFilter{Class: "a.b"}, stream.Earliest)); err != nil || c.Entries[0].Key != "z" {
		t.Errorf("the earliest: %+v, %v", c, err)
	}
}

func TestOutcomes(t *testing.T) {
	url := serve(t, map[string]method{
		"look": func(*http.Request, *function.Call) (*function.Reply, error) { return &function.Reply{}, nil },
		"fail": func(*http.Request, *function.Call) (*function.Reply, error) { return nil, errors.New("no") },
	})
	g := openGrid(t, "")
	for _, outcomes := range []bool{false, true} {
		deploy(t, g, Class{Name: "a.b", Methods: bind(url, "look", "fail"), Changes: Retention{Outcomes: outcomes}})
		s := subscribe(t, g, StreamFilter{Class: "a.b"}, stream.Now)
		for _, name := range []string{"look", "fail"} {
			_, err := g.Invoke(t.Context(), call.Call{Method: name}, Target{Class: "a.b", ID: "o"})
			if (err != nil) != (name == "fail") {
				t.Fatal(err)
			}
		}
		var got []string
		for {
			c, err := s.TryNext(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if c == nil {
				break
			}
			got = append(got, c.Method.Name+" "+c.Method.Action+" "+c.Method.Code)
		}
		want := ""
		if outcomes {
			want = "look complete |fail error FUNCTION_ERROR"
		}
		if strings.Join(got, "|") != want {
			t.Errorf("outcomes %v: %q", outcomes, got)
		}
	}
}
