package invoke

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/function"
	"github.com/hpcclab/oaas-go/odgm/call"
)

func TestReentry(t *testing.T) {
	outerSets := func(key string) *function.Reply { return &function.Reply{Set: []function.Entry{set(key, "outer")}} }
	tests := map[string]struct {
		inside   func(t *testing.T, w *world, r *request) // what the outer method does before it answers
		reply    *function.Reply
		conflict string // text that the conflict names; empty for none
		state    []string
	}{
		"other entry": {
			func(t *testing.T, w *world, r *request) { w.mustInvoke("x", "inner", behalf(r)) },
			outerSets("b"), "", []string{"a", "inner", "b", "outer"},
		},
		"same entry": {
			func(t *testing.T, w *world, r *request) { w.mustInvoke("x", "inner", behalf(r)) },
			outerSets("a"), `"a"`, []string{"a", "inner"},
		},
		"same entry, deleted": {
			func(t *testing.T, w *world, r *request) { w.mustInvoke("x", "inner", behalf(r)) },
			&function.Reply{Delete: []string{"a"}}, `"a"`, []string{"a", "inner"},
		},
		"same entry, by a write": {
			func(t *testing.T, w *world, r *request) {
				if err := w.write(t.Context(), r.meta.Chain, "x", "a", "written"); err != nil {
					t.Error(err)
				}
			},
			outerSets("a"), `"a"`, []string{"a", "written"},
		},
		"through another object": {
			func(t *testing.T, w *world, r *request) { w.mustInvoke("y", "through", behalf(r)) },
			outerSets("a"), `"a"`, []string{"a", "inner"},
		},
		"object deleted": {
			func(t *testing.T, w *world, r *request) {
				if err := w.write(t.Context(), r.meta.Chain, "x", "a", "1"); err != nil {
					t.Error(err)
				}
				if err := w.remove(t.Context(), r.meta.Chain, "x"); err != nil {
					t.Error(err)
				}
			},
			outerSets("z"), "deleted the object", nil,
		},
		"object deleted, nothing written": {
			func(t *testing.T, w *world, r *request) {
				if err := w.write(t.Context(), r.meta.Chain, "x", "a", "1"); err != nil {
					t.Error(err)
				}
				if err := w.remove(t.Context(), r.meta.Chain, "x"); err != nil {
					t.Error(err)
				}
			},
			&function.Reply{}, "", nil,
		},
		"inner one fails": {
			func(t *testing.T, w *world, r *request) {
				_, err := w.invoke(t.Context(), "x", "fails", behalf(r))
				wantCode(t, err, fault.FunctionError)
			},
			outerSets("a"), "", []string{"a", "outer"},
		},
		"inner one conflicts itself": {
			func(t *testing.T, w *world, r *request) {
				_, err := w.invoke(t.Context(), "x", "clumsy", behalf(r))
				wantCode(t, err, fault.Conflict)
			},
			outerSets("b"), "", []string{"a", "inner", "b", "outer"},
		},
		"only read": {
			func(t *testing.T, w *world, r *request) { w.mustInvoke("x", "get", behalf(r)) },
			outerSets("a"), "", []string{"a", "outer"},
		},
		"two, in turn": {
			func(t *testing.T, w *world, r *request) {
				var wg sync.WaitGroup
				for range 2 {
					wg.Go(func() { w.mustInvoke("x", "add", behalf(r)) })
				}
				wg.Wait()
			},
			outerSets("b"), "", []string{"n", "2", "b", "outer"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.reply("inner", func(*request) *function.Reply { return &function.Reply{Set: []function.Entry{set("a", "inner")}} })
			w.reply("through", func(r *request) *function.Reply { w.mustInvoke("x", "inner", behalf(r)); return &function.Reply{} })
			w.reply("clumsy", func(r *request) *function.Reply { w.mustInvoke("x", "inner", behalf(r)); return outerSets("a") })
			w.reply("get", func(*request) *function.Reply { return &function.Reply{} }, readonly)
			w.reply("add", add)
			w.on("fails", answer(500, "", ""))
			w.reply("outer", func(r *request) *function.Reply { test.inside(t, w, r); return test.reply })
			_, err := w.invoke(t.Context(), "x", "outer", key("k"))
			if test.conflict == "" && err != nil {
				t.Fatal(err)
			}
			if test.conflict != "" {
				if e := wantCode(t, err, fault.Conflict); !strings.Contains(e.Message, test.conflict) {
					t.Errorf("the message does not say %s: %v", test.conflict, e)
				}
				if stored, err := w.shard.StoredResult(t.Context(), "x", "outer", "key:k"); stored != nil || err != nil {
					t.Errorf("stored %v, %v", stored, err)
				}
			}
			w.wantState("x", test.state...)
		})
	}
}

func TestInnerCallSeesWhatIsCommitted(t *testing.T) {
	w := newWorld(t)
	if err := w.write(t.Context(), "", "x", "n", "7"); err != nil {
		t.Fatal(err)
	}
	w.reply("add", add)
	w.reply("outer", func(r *request) *function.Reply {
		w.mustInvoke("x", "add", behalf(r))
		w.mustInvoke("x", "add", behalf(r)) // sees what the first one has committed
		v, _ := r.Entry("n")
		return &function.Reply{Set: []function.Entry{set("began-with", string(v.Data))}}
	})
	if a := w.mustInvoke("x", "outer"); a.Version != 4 {
		t.Errorf("version %d", a.Version)
	}
	w.wantState("x", "n", "9", "began-with", "7")
}

func TestCommitWaitsForCallsInside(t *testing.T) {
	w := newWorld(t)
	open, begun, answered := make(gate), make(chan struct{}), make(chan struct{})
	inner := make(chan error, 1)
	w.on("inner", func(rw http.ResponseWriter, r *request) {
		close(begun)
		open.wait(r)
		send(rw, &function.Reply{Set: []function.Entry{set("a", "inner")}})
	})
	w.reply("outer", func(r *request) *function.Reply {
		go func() { // nobody waits for this one
			_, err := w.invoke(t.Context(), "x", "inner", behalf(r))
			inner <- err
		}()
		<-begun
		close(answered)
		return &function.Reply{Set: []function.Entry{set("a", "outer")}}
	})
	go func() { <-answered; close(open) }()
	_, err := w.invoke(t.Context(), "x", "outer")
	wantCode(t, err, fault.Conflict)
	if err := <-inner; err != nil {
		t.Fatal(err)
	}
	w.wantState("x", "a", "inner")
}

func TestChainOfObjects(t *testing.T) {
	w := newWorld(t)
	next := map[string]string{"a": "b", "b": "c", "c": ""}
	w.reply("walk", func(r *request) *function.Reply {
		path := r.Object
		if n := next[r.Object]; n != "" {
			path += string(w.mustInvoke(n, "walk", behalf(r)).Payload)
		}
		return &function.Reply{Payload: []byte(path), Set: []function.Entry{set("been", "yes")}}
	})
	if a := w.mustInvoke("a", "walk"); string(a.Payload) != "abc" {
		t.Errorf("answer %s", a.Payload)
	}
	for id := range next {
		w.wantState(id, "been", "yes")
	}
}

func TestEndlessRecursionIsCut(t *testing.T) {
	w := newWorld(t)
	deepest := make(chan error, 1)
	w.reply("again", func(r *request) *function.Reply {
		if _, err := w.invoke(t.Context(), "x", "again", behalf(r)); err != nil {
			deepest <- err
		}
		return &function.Reply{}
	})
	w.mustInvoke("x", "again")
	wantCode(t, <-deepest, fault.LoopDetected)
	if w.called("again") != call.MaxChain {
		t.Errorf("%d calls ran", w.called("again"))
	}
}

func TestCircleOfWaitingChains(t *testing.T) {
	w := newWorld(t)
	var both sync.WaitGroup
	both.Add(2)
	other := map[string]string{"a": "b", "b": "a"}
	w.on("cross", func(rw http.ResponseWriter, r *request) {
		both.Done()
		both.Wait() // each has its own object now
		if _, err := w.invoke(t.Context(), other[r.Object], "touch", behalf(r)); err != nil {
			http.Error(rw, string(fault.CodeOf(err))+" "+err.Error(), http.StatusInternalServerError)
			return
		}
		send(rw, &function.Reply{})
	})
	w.reply("touch", add)
	results := make(chan error, 2)
	for id := range other {
		go func() {
			_, err := w.invoke(t.Context(), id, "cross")
			results <- err
		}()
	}
	var refused []error
	for range other {
		if err := <-results; err != nil {
			refused = append(refused, err)
		}
	}
	if len(refused) != 1 || !strings.Contains(string(fault.From(refused[0]).Body), "LOOP_DETECTED") {
		t.Fatalf("refused: %v", refused)
	}
}
