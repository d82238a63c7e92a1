package oaastest_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"testing"

	"github.com/hpcclab/oaas-go/runtime/oaas"
	"github.com/hpcclab/oaas-go/runtime/oaas/oaastest"
)

type account struct {
	Balance int `oaas:"balance"`
}

type order struct {
	Amount int    `json:"amount"`
	To     string `json:"to,omitempty"`
}

func (a *account) Pay(_ oaas.Context, in order) (int, error) {
	if a.Balance += in.Amount; a.Balance < 0 {
		return 0, oaas.Errorf(http.StatusConflict, "there are only %d", a.Balance-in.Amount)
	}
	return a.Balance, nil
}

func (a *account) Transfer(ctx oaas.Context, in order) (int, error) {
	a.Balance -= in.Amount
	ctx.Emit(oaas.Event{Type: "com.example.sent", Data: in})
	to := oaas.Object("bank.account", in.To)
	if err := ctx.Call(to, "pay", order{Amount: in.Amount}, nil); err != nil {
		return 0, fmt.Errorf("transfer: %w", err)
	}
	var there account
	if err := ctx.Read(to, &there); err != nil {
		return 0, err
	}
	return there.Balance, nil
}

func (a *account) Bytes(_ oaas.Context, in []byte) ([]byte, error) { return in, nil }

func TestGrid(t *testing.T) {
	grid := oaastest.New(t, oaas.Class("bank.account",
		oaas.Method("pay", (*account).Pay), oaas.Method("transfer", (*account).Transfer), oaas.Method("bytes", (*account).Bytes)))
	ann, bob := oaas.Object("bank.account", "Ann"), oaas.Object("bank.account", "bob")
	if grid.Entries(ann) != nil {
		t.Error("ann exists before the first commit")
	}
	if err := grid.Set(ann, "balance", "10"); err != nil {
		t.Fatal(err)
	}
	var balance int
	if err := grid.Call(ann, "pay", order{Amount: 5}, &balance); err != nil || balance != 15 {
		t.Fatalf("%d, %v", balance, err)
	}
	if err := grid.Call(ann, "transfer", order{Amount: 4, To: "bob"}, &balance); err != nil || balance != 4 {
		t.Fatalf("%d, %v", balance, err)
	}
	if got := grid.Entries(ann); !maps.Equal(got, map[string]string{"balance": "11"}) {
		t.Errorf("ann has %v", got)
	}
	if got := grid.Entries(bob); !maps.Equal(got, map[string]string{"balance": "4"}) {
		t.Errorf("bob has %v", got)
	}
	if events := grid.Events(); len(events) != 1 || string(events[0].Data.([]byte)) != `{"amount":4,"to":"bob"}` {
		t.Errorf("events %+v", events)
	}

	err := grid.Call(ann, "transfer", order{Amount: -5, To: "bob"}, nil)
	var failed *oaas.Error
	if !errors.As(err, &failed) || failed.Status != http.StatusConflict || failed.Code != "CONFLICT" {
		t.Errorf("too much gives %v", err)
	}
	if got := grid.Entries(ann)["balance"]; got != "11" || len(grid.Events()) != 1 {
		t.Errorf("a failed call left balance %s and events %v", got, grid.Events())
	}
	var raw []byte
	if err := grid.Call(ann, "bytes", []byte("\xff"), &raw); err != nil || string(raw) != "\xff" {
		t.Errorf("%q, %v", raw, err)
	}
	for name, err := range map[string]error{
		"unknown method":          grid.Call(ann, "none", nil, nil),
		"unknown class":           grid.Call(oaas.Object("a.b", "c"), "none", nil, nil),
		"result of another type":  grid.Call(ann, "pay", nil, new(string)),
		"input that has no JSON":  grid.Call(ann, "pay", func() {}, nil),
		"key that is not allowed": grid.Set(ann, "a b", ""),
	} {
		if err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
