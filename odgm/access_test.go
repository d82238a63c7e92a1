package odgm

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/function"
	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/odgm/call"
	"github.com/hpcclab/oaas-go/odgm/object"
	"github.com/hpcclab/oaas-go/odgm/record"
	"github.com/hpcclab/oaas-go/odgm/shard"
)

// accessWorld has the class own.vault, whose methods open, inner and secret are public, internal and private, and what may want to call them: methods
// of the class itself, of another class of its package, and of another package.
type accessWorld struct {
	*Grid
	t *testing.T
	// within is run inside the method "relay" of any class, with the chain that its function is told.
	within func(chain call.Chain)
}

var vaultMethods = []string{"open", "inner", "secret"}

func newAccessWorld(t *testing.T) *accessWorld {
	w := &accessWorld{Grid: openGrid(t, ""), t: t}
	touched := func(_ *http.Request, c *function.Call) (*function.Reply, error) {
		return &function.Reply{Payload: []byte(c.Caller), Set: []function.Entry{{Key: c.Method, Value: function.Value{Data: []byte(c.Caller)}}}}, nil
	}
	url := serve(t, map[string]method{"open": touched, "inner": touched, "secret": touched, "relay": func(r *http.Request, _ *function.Call) (*function.Reply, error) {
		chain, err := call.Parse(r.Header.Get(function.HeaderChain))
		if err != nil {
			return nil, err
		}
		w.within(chain)
		return &function.Reply{}, nil
	}})
	vault := Class{Name: "own.vault", Methods: bind(url, "open", "inner", "secret", "relay"), Access: map[string]string{"inner": Internal, "secret": Private}}
	deploy(t, w.Grid, vault, Class{Name: "own.desk", Methods: bind(url, "relay")}, Class{Name: "other.desk", Methods: bind(url, "relay")},
		Class{Name: "own.vault.desk", Methods: bind(url, "relay")}, Class{Name: "own", Methods: bind(url, "relay")})
	return w
}

// relayed gives what comes of a call that the relay method of a class makes; chainOf may change the chain that it hands on.
func (w *accessWorld) relayed(class, method string, async bool, chainOf func(call.Chain) call.Chain) (err error) {
	w.within = func(chain call.Chain) { err = w.call(method, async, chainOf(chain)) }
	if _, outer := w.Invoke(context.Background(), call.Call{Method: "relay"}, at(class, "r")); outer != nil {
		return errors.Join(outer, err)
	}
	return err
}

// call calls a method of the vault, and gives the failure.
func (w *accessWorld) call(method string, async bool, chain call.Chain) error {
	c := call.Call{Method: method, Chain: chain, Caller: "own.vault/0/v/open"} // what a caller says of itself counts for nothing
	if !async {
		_, err := w.Invoke(context.Background(), c, at("own.vault", "v"))
		return err
	}
	inv, err := w.InvokeAsync(context.Background(), c, at("own.vault", "v"))
	if err != nil {
		return err
	}
	done, err := w.Invocation(context.Background(), "own.vault", AnyPartition, inv.GetId(), true)
	if err == nil && shard.StateName(done.GetState()) != "succeeded" {
		err = fault.New(fault.Code(done.GetOutcome().GetFailure().GetCode()), "%s", done.GetOutcome().GetFailure().GetMessage())
	}
	return err
}

func TestAccess(t *testing.T) {
	w := newAccessWorld(t)
	whole := func(c call.Chain) call.Chain { return c }
	forged := call.Chain{{Ref: object.Ref{Class: "own.vault", ID: "v"}, Method: "open", Call: "01arz3ndektsv4rrffq69g5fav", Proof: strings.Repeat("0", 32)}}
	var leaked call.Chain // of a call that has ended
	_ = w.relayed("own.vault", "open", false, func(c call.Chain) call.Chain { leaked = c; return c })
	for caller, test := range map[string]struct {
		allowed []string
		call    func(method string, async bool) error
		code    fault.Code
	}{
		"outside": {[]string{"open"}, func(m string, async bool) error { return w.call(m, async, nil) }, fault.Forbidden},
		"same class": {[]string{"open", "inner", "secret"}, func(m string, async bool) error {
			return w.relayed("own.vault", m, async, whole)
		}, ""},
		"same package": {[]string{"open", "inner"}, func(m string, async bool) error { return w.relayed("own.desk", m, async, whole) }, fault.Forbidden},
		"other package": {[]string{"open"}, func(m string, async bool) error {
			return w.relayed("other.desk", m, async, whole)
		}, fault.Forbidden},
		"package named as the class": {[]string{"open"}, func(m string, async bool) error {
			return w.relayed("own.vault.desk", m, async, whole)
		}, fault.Forbidden},
		"class without package": {[]string{"open"}, func(m string, async bool) error { return w.relayed("own", m, async, whole) }, fault.Forbidden},
		"without the chain": {[]string{"open"}, func(m string, async bool) error {
			return w.relayed("own.vault", m, async, func(call.Chain) call.Chain { return nil })
		}, fault.Forbidden},
		"another package in a chain of ours": {[]string{"open"}, func(m string, async bool) error {
			return w.nested(m, async, func(c call.Chain) call.Chain { return c[:1] })
		}, fault.Forbidden},
		"its proof on our hop": {[]string{"open"}, func(m string, async bool) error {
			return w.nested(m, async, func(c call.Chain) call.Chain {
				mine := slices.Clone(c[:1])
				mine[0].Proof = c[1].Proof
				return mine
			})
		}, fault.Forbidden},
		"its name changed to ours": {nil, func(m string, async bool) error {
			return w.relayed("other.desk", m, async, func(c call.Chain) call.Chain {
				c[0].Ref.Class = "own.vault"
				return c
			})
		}, fault.StaleCall},
		"forged chain":      {nil, func(m string, async bool) error { return w.call(m, async, forged) }, fault.Forbidden},
		"chain of an ended": {nil, func(m string, async bool) error { return w.call(m, async, leaked) }, fault.StaleCall},
	} {
		for _, method := range vaultMethods {
			for _, async := range []bool{false, true} {
				if method == "open" && len(test.allowed) == 0 {
					continue // public methods: the mailbox decides, see its tests
				}
				err := test.call(method, async)
				want := test.code
				if slices.Contains(test.allowed, method) {
					want = ""
				}
				if got := codeOrNone(err); got != want {
					t.Errorf("%s calls %s (async %v): %q, want %q: %v", caller, method, async, got, want, err)
				}
				if want == fault.Forbidden && (!strings.Contains(err.Error(), method) || !strings.Contains(err.Error(), "own.vault")) {
					t.Errorf("%s: the message names neither method nor class: %v", caller, err)
				}
			}
		}
	}
}

func codeOrNone(err error) fault.Code {
	if err == nil {
		return ""
	}
	return fault.CodeOf(err)
}

// nested has a method of the vault call one of another package, which then calls the vault with a part of its chain.
func (w *accessWorld) nested(method string, async bool, chainOf func(call.Chain) call.Chain) (err error) {
	w.within = func(outer call.Chain) {
		w.within = func(inner call.Chain) { err = w.call(method, async, chainOf(inner)) }
		if _, failed := w.Invoke(context.Background(), call.Call{Method: "relay", Chain: outer}, at("other.desk", "r")); failed != nil {
			err = failed
		}
	}
	// The outer method runs on another object, so that the inner call waits for nothing.
	if _, outer := w.Invoke(context.Background(), call.Call{Method: "relay"}, at("own.vault", "outer")); outer != nil {
		return outer
	}
	return err
}

func TestCallersAreTold(t *testing.T) {
	w := newAccessWorld(t)
	whole := func(c call.Chain) call.Chain { return c }
	told := func(want string) {
		t.Helper()
		if got := entry(w.Grid, at("own.vault", "v"), "open"); got != want {
			t.Errorf("the method was told that the caller is %q, want %q", got, want)
		}
	}
	for _, async := range []bool{false, true} {
		if err := w.call("open", async, nil); err != nil {
			t.Fatal(err)
		}
		told("external")
		if err := w.relayed("other.desk", "open", async, whole); err != nil {
			t.Fatal(err)
		}
		told("other.desk/0/r/relay")
	}
}

// What was accepted is looked at again when it runs: the class may have changed.
func TestDisabledMethods(t *testing.T) {
	w := newAccessWorld(t)
	spec, err := w.Class("own.vault")
	if err != nil {
		t.Fatal(err)
	}
	release := w.Hold()
	inv, err := w.InvokeAsync(t.Context(), call.Call{Method: "open"}, at("own.vault", "v"))
	if err != nil {
		t.Fatal(err)
	}
	spec.Disabled = map[string]bool{"open": true}
	deploy(t, w.Grid, spec)
	release()
	done, err := w.Invocation(t.Context(), "own.vault", AnyPartition, inv.GetId(), true)
	if err != nil || done.GetOutcome().GetFailure().GetCode() != string(fault.FunctionDisabled) {
		t.Errorf("an accepted call of a method that was switched off: %v, %v", done, err)
	}
	for _, async := range []bool{false, true} {
		if err := w.call("open", async, nil); fault.CodeOf(err) != fault.FunctionDisabled || !strings.Contains(err.Error(), "disabled_fn") {
			t.Errorf("async %v: %v", async, err)
		}
	}
	spec.Disabled = nil
	deploy(t, w.Grid, spec)
	if err := w.call("open", false, nil); err != nil {
		t.Errorf("switched on again: %v", err)
	}
}

func TestAccessOfTriggersAndSubscriptions(t *testing.T) {
	for declared, test := range map[string]struct {
		class   string
		allowed []string
	}{
		"own class":     {"own.vault", []string{"open", "inner", "secret"}},
		"own package":   {"own.desk", []string{"open", "inner"}},
		"other package": {"other.desk", []string{"open"}},
	} {
		for _, method := range vaultMethods {
			w := newAccessWorld(t)
			spec, err := w.Class(test.class)
			if err != nil {
				t.Fatal(err)
			}
			spec.Triggers = []*record.ClassTrigger{{Name: "t", On: oprc.EventType_EVENT_TYPE_DATA_CREATE, Entry: "go", Target: &record.Target{
				Class: "own.vault", Object: "v", Method: method, ByHash: true,
			}}}
			deploy(t, w.Grid, spec)
			if _, err := w.Write(t.Context(), at(test.class, "o"), object.Change{Puts: []object.Entry{{Key: "go"}}}, WriteOptions{}); err != nil {
				t.Fatal(err)
			}
			w.wantDelivered(declared+" triggers "+method, test.class, method, slices.Contains(test.allowed, method), "trigger")
		}
	}
	for _, method := range vaultMethods {
		w := newAccessWorld(t)
		spec, _ := w.Class("own.vault")
		spec.Subscriptions = []Subscription{{Type: "t", Method: method, Object: "v"}}
		deploy(t, w.Grid, spec)
		ev := event.New()
		ev.SetID("1")
		ev.SetSource("/test")
		ev.SetType("t")
		if _, err := w.Dispatch(t.Context(), ev); err != nil {
			t.Errorf("a subscription of the class to %s: %v", method, err)
		}
	}
}

// Anybody can write the triggers of an object, so they reach no further than anybody does.
func TestAccessOfObjectTriggers(t *testing.T) {
	for _, method := range vaultMethods {
		w := newAccessWorld(t)
		id := "v"
		triggers := &oprc.ObjectEvent{DataTrigger: map[string]*oprc.DataTrigger{"go": {OnCreate: []*oprc.TriggerTarget{{
			ClsId: "own.vault", ObjectId: &id, FnId: method,
		}}}}}
		spec, _ := w.Class("own.vault")
		_, err := w.Write(t.Context(), at("own.vault", "o"), object.Change{Triggers: triggers}, WriteOptions{})
		if method == "open" && err != nil || method != "open" && fault.CodeOf(err) != fault.Forbidden {
			t.Errorf("write a trigger that calls %s: %v", method, err)
		}
		// Written while the method was public, or the class not there: delivery decides.
		if err := w.Undeploy(t.Context(), "own.vault", true); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(t.Context(), at("own.desk", "o"), object.Change{Triggers: triggers}, WriteOptions{}); err != nil {
			t.Fatal(err)
		}
		deploy(t, w.Grid, spec)
		if _, err := w.Write(t.Context(), at("own.desk", "o"), object.Change{Puts: []object.Entry{{Key: "go"}}}, WriteOptions{}); err != nil {
			t.Fatal(err)
		}
		w.wantDelivered("an object triggers "+method, "own.desk", method, method == "open", "trigger")
	}
}

// wantDelivered waits until an event has called the method of the vault, or is a dead letter of the class that fired it.
func (w *accessWorld) wantDelivered(what, from, method string, allowed bool, caller string) {
	w.t.Helper()
	var dead []*record.Event
	until(w.t, what, func() bool {
		var err error
		if dead, err = w.DeadLetters(w.t.Context(), from, AnyPartition, 0, 10); err != nil {
			w.t.Fatal(err)
		}
		return len(dead) > 0 || entry(w.Grid, at("own.vault", "v"), method) == caller
	})
	if allowed != (len(dead) == 0) {
		w.t.Errorf("%s: allowed %v, dead letters %v", what, allowed, dead)
	}
	if len(dead) > 0 && (!strings.Contains(dead[0].GetReason(), "PRIVATE") && !strings.Contains(dead[0].GetReason(), "INTERNAL") || dead[0].GetAttempts() != 1) {
		w.t.Errorf("%s: given up after %d attempts: %s", what, dead[0].GetAttempts(), dead[0].GetReason())
	}
}

// No chain that somebody outside can make of what a method of another package is told reaches a method that is not public.
func TestNoChainFromOutsideReachesInside(t *testing.T) {
	w := newAccessWorld(t)
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 1))
	names := []string{"own.vault", "own.desk", "other.desk"}
	tried := 0
	w.within = func(outer call.Chain) {
		w.within = func(known call.Chain) {
			var parts []string // what it knows of ids and proofs
			for _, hop := range known {
				parts = append(parts, hop.Call, hop.Proof)
			}
			for range 2000 {
				var chain call.Chain
				for range 1 + random.IntN(3) {
					hop := known[random.IntN(len(known))]
					if random.IntN(2) == 0 {
						hop.Ref.Class = names[random.IntN(len(names))]
					}
					if random.IntN(2) == 0 {
						hop.Call = parts[random.IntN(len(parts))]
					}
					if random.IntN(2) == 0 {
						hop.Proof = parts[random.IntN(len(parts))]
					}
					chain = append(chain, hop)
				}
				method := vaultMethods[1+random.IntN(2)]
				if err := w.call(method, random.IntN(2) == 0, chain); err == nil {
					t.Errorf("seed %d: chain %s reached %s", seed, chain, method)
				}
				tried++
			}
		}
		_, err := w.Invoke(context.Background(), call.Call{Method: "relay", Chain: outer}, at("other.desk", "r"))
		if err != nil {
			t.Error(err)
		}
	}
	if _, err := w.Invoke(t.Context(), call.Call{Method: "relay"}, at("own.vault", "outer")); err != nil {
		t.Fatal(err)
	}
	if tried == 0 {
		t.Fatal("nothing was tried")
	}
	if got := fmt.Sprint(entry(w.Grid, at("own.vault", "v"), "inner"), entry(w.Grid, at("own.vault", "v"), "secret")); got != "NO_OBJECTNO_OBJECT" && got != "NO_OBJECT NO_OBJECT" {
		t.Errorf("something was written: %s", got)
	}
}
