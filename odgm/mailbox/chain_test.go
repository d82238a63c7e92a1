package mailbox

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/odgm/call"
	"github.com/hpcclab/oaas-go/odgm/object"
)

func TestReentryRunsInsideAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{})
		outer := mustRun(t, b, "x", "c1", nil)
		l := newLine(t, b)
		l.join(t.Context(), "w-outside", nil) // must wait for all that happens inside
		chain := call.Chain{hop("x", "m", "c1")}
		through := mustRun(t, b, "y", "c2", chain)
		deep := chain.With(hop("y", "m", "c2"))

		inner := mustRun(t, b, "x", "c3", deep)
		if !inner.Inner() || outer.Inner() {
			t.Error("Inner is wrong")
		}
		innermost := mustWrite(t, b, "x", deep.With(hop("x", "m", "c3")))
		innermost.Wrote([]string{"a"}, false)
		innermost.Done()
		if err := inner.Conflicts([]string{"b"}); err != nil {
			t.Error(err)
		}
		wantCode(t, inner.Conflicts([]string{"b", "a"}), fault.Conflict)
		inner.Wrote([]string{"b"}, false)
		inner.Done()
		through.Done()

		if err := outer.Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"a", "b"} {
			err := outer.Conflicts([]string{key})
			wantCode(t, err, fault.Conflict)
			if !strings.Contains(err.Error(), fmt.Sprintf("%q", key)) {
				t.Errorf("the entry is not named: %v", err)
			}
		}
		if err := outer.Conflicts([]string{"c"}); err != nil {
			t.Error(err)
		}
		l.want("")
		outer.Done()
		l.want("w-outside")
		l.done("w-outside")
		wantIdle(t, b)
	})
}

func TestDeletionInsideConflictsWithAnyWrite(t *testing.T) {
	b := New(Config{})
	outer := mustRun(t, b, "x", "c1", nil)
	inner := mustWrite(t, b, "x", call.Chain{hop("x", "m", "c1")})
	inner.Wrote(nil, true)
	inner.Done()
	wantCode(t, outer.Conflicts([]string{"anything"}), fault.Conflict)
	if err := outer.Conflicts(nil); err != nil {
		t.Errorf("an answer without changes conflicts: %v", err)
	}
	outer.Done()
	wantIdle(t, b)
}

func TestCallsInsideComeOneAtATimeAndWritesShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{})
		outer := mustRun(t, b, "x", "c1", nil)
		chain := call.Chain{hop("x", "m", "c1")}
		l := newLine(t, b)
		for _, name := range []string{"m1", "m2", "w3", "w4", "m5"} {
			l.join(t.Context(), name, chain)
		}
		l.want("m1")
		l.done("m1")
		l.want("m2")
		l.done("m2")
		l.want("w3 w4")
		l.done("w3", "w4")
		l.want("m5")
		l.done("m5")
		outer.Done()
		wantIdle(t, b)
	})
}

func TestSealRefusesAndWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{})
		outer := mustRun(t, b, "x", "c1", nil)
		chain := call.Chain{hop("x", "m", "c1")}
		l := newLine(t, b)
		l.join(t.Context(), "m-in", chain)
		l.join(t.Context(), "m-waits", chain)

		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wantCode(t, outer.Seal(short), fault.DeadlineExceeded)
		wantCode(t, l.err("m-waits"), fault.StaleCall)
		_, err := b.Write(t.Context(), ref("x"), chain)
		wantCode(t, err, fault.StaleCall)

		sealed := make(chan error, 1)
		go func() { sealed <- outer.Seal(t.Context()) }()
		synctest.Wait()
		select {
		case <-sealed:
			t.Fatal("sealed although a call is inside")
		default:
		}
		l.done("m-in")
		if err := <-sealed; err != nil {
			t.Fatal(err)
		}
		outer.Done()
		wantIdle(t, b)
	})
}

func TestTurnEndsWithTheLastCallInside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{})
		outer := mustRun(t, b, "x", "c1", nil)
		chain := call.Chain{hop("x", "m", "c1")}
		middle := mustRun(t, b, "x", "c2", chain)
		deep := mustWrite(t, b, "x", chain.With(hop("x", "m", "c2")))
		l := newLine(t, b)
		l.join(t.Context(), "m-next", nil)
		outer.Done() // timed out, say
		_, err := b.Write(t.Context(), ref("x"), chain)
		wantCode(t, err, fault.StaleCall)
		middle.Done()
		l.want("")
		deep.Done()
		l.want("m-next")
		l.done("m-next")
		wantIdle(t, b)
	})
}

func TestRenewForgetsTheFormerAttempt(t *testing.T) {
	b := New(Config{})
	turn := mustRun(t, b, "x", "try1", nil)
	first := call.Chain{hop("x", "m", "try1")}
	inner := mustWrite(t, b, "x", first)
	inner.Wrote([]string{"k"}, false)
	inner.Done()
	if err := turn.Renew(t.Context(), "try2"); err != nil {
		t.Fatal(err)
	}
	if err := turn.Conflicts([]string{"k"}); err != nil {
		t.Errorf("the second attempt conflicts with what it saw: %v", err)
	}
	_, err := b.Write(t.Context(), ref("x"), first)
	wantCode(t, err, fault.StaleCall)
	mustWrite(t, b, "x", call.Chain{hop("x", "m", "try2")}).Done()
	turn.Done()

	beside, err := b.Beside(ref("x"), "get", "r1", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := beside.Renew(t.Context(), "r2"); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, b, "y", call.Chain{hop("x", "get", "r2")}).Done()
	_, err = b.Write(t.Context(), ref("y"), call.Chain{hop("x", "get", "r1")})
	wantCode(t, err, fault.StaleCall)
	beside.Done()
	wantIdle(t, b)
}

func TestStaleChains(t *testing.T) {
	remote := object.Ref{Class: "shop.far", ID: "z"}
	b := New(Config{Local: func(r object.Ref) bool { return r.Class != "shop.far" }})
	x := mustRun(t, b, "x", "c1", nil)
	y := mustRun(t, b, "y", "c2", call.Chain{hop("x", "m", "c1")})
	tests := map[string]struct {
		chain call.Chain
		ok    bool
	}{
		"outside":              {nil, true},
		"running":              {call.Chain{hop("x", "m", "c1")}, true},
		"running, two":         {call.Chain{hop("x", "m", "c1"), hop("y", "m", "c2")}, true},
		"another call id":      {call.Chain{hop("x", "m", "c9")}, false},
		"another method":       {call.Chain{hop("x", "n", "c1")}, false},
		"another object":       {call.Chain{hop("y", "m", "c1")}, false},
		"idle object":          {call.Chain{hop("q", "m", "c1")}, false},
		"first has ended":      {call.Chain{hop("x", "m", "c0"), hop("y", "m", "c2")}, false},
		"last has ended":       {call.Chain{hop("x", "m", "c1"), hop("y", "m", "c0")}, false},
		"remote, unknown":      {call.Chain{{Ref: remote, Method: "m", Call: "c7"}}, true},
		"remote, then ended":   {call.Chain{{Ref: remote, Method: "m", Call: "c7"}, hop("x", "m", "c0")}, false},
		"remote, then running": {call.Chain{{Ref: remote, Method: "m", Call: "c7"}, hop("x", "m", "c1")}, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for kind, enter := range map[string]func() (*Turn, error){
				"write":  func() (*Turn, error) { return b.Write(t.Context(), ref("free"), test.chain) },
				"run":    func() (*Turn, error) { return b.Run(t.Context(), ref("free"), "m", "new", test.chain) },
				"beside": func() (*Turn, error) { return b.Beside(ref("free"), "m", "new", test.chain) },
			} {
				turn, err := enter()
				if test.ok {
					if err != nil {
						t.Fatalf("%s: %v", kind, err)
					}
					turn.Done()
					turn.Done()
				} else {
					wantCode(t, err, fault.StaleCall)
				}
			}
		})
	}
	y.Done()
	x.Done()
	wantIdle(t, b)
}

func TestCallOfAnEndedCallDoesNotBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{})
		caller := mustRun(t, b, "y", "c1", nil)
		holder := mustRun(t, b, "x", "c2", nil)
		l := newLine(t, b)
		l.join(t.Context(), "m3", call.Chain{hop("y", "m", "c1")})
		caller.Done()
		holder.Done()
		l.wg.Wait()
		wantCode(t, l.err("m3"), fault.StaleCall)
		wantIdle(t, b)
	})
}

func TestTwoCallsWithOneID(t *testing.T) {
	b := New(Config{})
	turns := []*Turn{mustRun(t, b, "x", "same", nil), mustRun(t, b, "y", "same", nil), mustRun(t, b, "z", "same", nil)}
	for _, id := range []string{"x", "y", "z"} {
		mustWrite(t, b, id, call.Chain{hop(id, "m", "same")}).Done()
	}
	turns[1].Done()
	mustWrite(t, b, "x", call.Chain{hop("x", "m", "same")}).Done()
	_, err := b.Write(t.Context(), ref("y"), call.Chain{hop("y", "m", "same")})
	wantCode(t, err, fault.StaleCall)
	turns[2].Done()
	turns[0].Done()
	wantIdle(t, b)
}

func TestChainIsBounded(t *testing.T) {
	b := New(Config{})
	var chain call.Chain
	var turns []*Turn
	for i := range call.MaxChain {
		id := fmt.Sprintf("c%d", i)
		turns = append(turns, mustRun(t, b, "x", id, chain))
		chain = chain.With(hop("x", "m", id))
	}
	_, err := b.Run(t.Context(), ref("x"), "last", "c-last", chain)
	wantCode(t, err, fault.LoopDetected)
	if !strings.Contains(err.Error(), "shop.cart/0/x/m → ") || !strings.HasSuffix(err.Error(), "→ shop.cart/0/x/last") {
		t.Errorf("the path is missing: %v", err)
	}
	_, err = b.Beside(ref("x"), "last", "c-last", chain)
	wantCode(t, err, fault.LoopDetected)
	for _, turn := range turns {
		turn.Done()
	}
	wantIdle(t, b)
}

// crossed has n chains: each holds one object and calls that of the next. The last one closes the circle.
func crossed(t *testing.T, n int) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{})
		name := func(i int) string { return string(rune('a' + i%n)) }
		outer := make([]*Turn, n)
		for i := range n {
			outer[i] = mustRun(t, b, name(i), "call-"+name(i), nil)
		}
		results := make(chan error, n)
		for i := range n - 1 {
			go func() {
				turn, err := b.Run(t.Context(), ref(name(i+1)), "m", "inner-"+name(i), call.Chain{hop(name(i), "m", "call-"+name(i))})
				if err == nil {
					turn.Done()
				}
				outer[i].Done() // the method ends when its call has ended
				results <- err
			}()
			synctest.Wait()
		}
		_, err := b.Write(t.Context(), ref("a"), call.Chain{hop(name(n-1), "m", "call-"+name(n-1))})
		wantCode(t, err, fault.LoopDetected)
		path := []string{"shop.cart/0/" + name(n-1) + "/m"}
		for i := range n {
			path = append(path, "shop.cart/0/"+name(i)+"/m")
		}
		if !strings.HasSuffix(err.Error(), strings.Join(path, " → ")) {
			t.Errorf("got %v, want the path %v", err, path)
		}
		outer[n-1].Done() // the refused one gives up: all others go on
		for range n - 1 {
			if err := <-results; err != nil {
				t.Errorf("another chain was refused too: %v", err)
			}
		}
		wantIdle(t, b)
	})
}

func TestCircleOfTwo(t *testing.T)   { crossed(t, 2) }
func TestCircleOfThree(t *testing.T) { crossed(t, 3) }
func TestCircleOfFive(t *testing.T)  { crossed(t, 5) }

func TestCircleInsideOneTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{})
		// T on p calls S on o, and at the same time K on p itself. K wants o, S wants p: each waits for the other.
		outer := mustRun(t, b, "p", "T", nil)
		chain := call.Chain{hop("p", "m", "T")}
		s := mustRun(t, b, "o", "S", chain)
		k := mustRun(t, b, "p", "K", chain)
		waits := make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			_, err := b.Run(ctx, ref("o"), "m", "K2", chain.With(hop("p", "m", "K")))
			waits <- err
		}()
		synctest.Wait()
		_, err := b.Run(t.Context(), ref("p"), "m", "S2", chain.With(hop("o", "m", "S")))
		wantCode(t, err, fault.LoopDetected)
		cancel()
		wantCode(t, <-waits, fault.Cancelled)
		k.Done()
		s.Done()
		outer.Done()
		wantIdle(t, b)
	})
}

func TestManyWaitForOneIsNoCircle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{})
		held := mustRun(t, b, "x", "holder", nil)
		l := newLine(t, b)
		var callers []*Turn
		for i := range 5 {
			id := fmt.Sprintf("c%d", i)
			callers = append(callers, mustRun(t, b, id, id, nil))
			l.join(t.Context(), fmt.Sprintf("m%d", i), call.Chain{hop(id, "m", id)})
		}
		held.Done()
		for i := range 5 {
			l.want(fmt.Sprintf("m%d", i))
			l.done(fmt.Sprintf("m%d", i))
		}
		for _, c := range callers {
			c.Done()
		}
		wantIdle(t, b)
	})
}
