package main

import (
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/hpcclab/oaas-go/runtime/oaas"
	"github.com/hpcclab/oaas-go/runtime/oaas/oaastest"
)

var (
	cart  = oaas.Object("shop.cart", "ann")
	apple = oaas.Object("shop.stock", "apple")
	pear  = oaas.Object("shop.stock", "pear")
)

// must runs a method that is to succeed.
func must(t *testing.T, grid *oaastest.Grid, ref oaas.Ref, method string, in, out any) {
	t.Helper()
	if err := grid.Call(ref, method, in, out); err != nil {
		t.Fatalf("%s of %s: %v", method, ref, err)
	}
}

func wantState(t *testing.T, grid *oaastest.Grid, ref oaas.Ref, want map[string]string) {
	t.Helper()
	if got := grid.Entries(ref); !maps.Equal(got, want) {
		t.Errorf("%s has %v, not %v", ref, got, want)
	}
}

func TestCheckout(t *testing.T) {
	grid := oaastest.New(t, classes()...)
	must(t, grid, apple, "fill", Line{Amount: 10}, nil)
	must(t, grid, pear, "fill", Line{Amount: 1}, nil)
	must(t, grid, cart, "add", Line{"apple", 2}, nil)
	must(t, grid, cart, "add", Line{"apple", 1}, nil)
	must(t, grid, cart, "add", Line{"pear", 1}, nil)
	wantState(t, grid, cart, map[string]string{"item:apple": "3", "item:pear": "1"})

	var order Order
	must(t, grid, cart, "checkout", nil, &order)
	if order.ID != "ann-1" || order.Items["apple"] != 3 {
		t.Errorf("order %+v", order)
	}
	wantState(t, grid, cart, map[string]string{"orders": "1"})
	wantState(t, grid, apple, map[string]string{"left": "7", "reserved": "3"})
	wantState(t, grid, pear, map[string]string{"left": "0", "reserved": "1"})
	events := grid.Events()
	if len(events) != 1 || events[0].Type != "shop.order.placed" || events[0].Subject != "ann-1" ||
		string(events[0].Data.([]byte)) != `{"id":"ann-1","items":{"apple":3,"pear":1}}` {
		t.Errorf("events %+v", events)
	}
}

// If one item is sold out, nothing is sold, and the cart stays as it is.
func TestSoldOut(t *testing.T) {
	grid := oaastest.New(t, classes()...)
	must(t, grid, apple, "fill", Line{Amount: 10}, nil)
	must(t, grid, cart, "add", Line{"apple", 2}, nil)
	must(t, grid, cart, "add", Line{"pear", 1}, nil)
	err := grid.Call(cart, "checkout", nil, nil)
	if oaas.StatusOf(err) != http.StatusConflict || !strings.Contains(err.Error(), "there are 0 of pear left, not 1") {
		t.Errorf("checkout gives %v", err)
	}
	wantState(t, grid, cart, map[string]string{"item:apple": "2", "item:pear": "1"})
	wantState(t, grid, apple, map[string]string{"left": "10", "reserved": "0"})
	if events := grid.Events(); len(events) != 0 {
		t.Errorf("events %+v", events)
	}
}

func TestRefusals(t *testing.T) {
	grid := oaastest.New(t, classes()...)
	for _, c := range []struct {
		ref    oaas.Ref
		method string
		in     any
		status int
	}{
		{cart, "add", Line{"", 1}, 400},
		{cart, "add", Line{"apple", 0}, 400},
		{cart, "add", []int{1}, 400},
		{cart, "add", Line{"not a key", 1}, 400},
		{cart, "checkout", nil, 409},
		{apple, "fill", Line{Amount: -1}, 400},
		{apple, "reserve", Line{Amount: -1}, 400},
		{apple, "reserve", Line{Amount: 1}, 409},
		{apple, "release", Line{Amount: 1}, 409},
	} {
		if err := grid.Call(c.ref, c.method, c.in, nil); oaas.StatusOf(err) != c.status {
			t.Errorf("%s %v: %v, want status %d", c.method, c.in, err, c.status)
		}
	}
	if grid.Entries(cart) != nil || grid.Entries(apple) != nil {
		t.Error("a call that failed has changed something")
	}
	var shown Cart
	must(t, grid, cart, "show", nil, &shown)
}
