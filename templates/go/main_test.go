package main

import (
	"testing"

	"github.com/hpcclab/oaas-go/runtime/oaas"
	"github.com/hpcclab/oaas-go/runtime/oaas/oaastest"
)

func TestCounter(t *testing.T) {
	grid := oaastest.New(t, classes()...)
	counter := oaas.Object("{{.Name}}.counter", "c1")

	var got Counter
	if err := grid.Call(counter, "add", Add{By: 5}, nil); err != nil {
		t.Fatal(err)
	}
	if err := grid.Call(counter, "add", nil, &got); err != nil || got.Count != 6 {
		t.Fatalf("add gives %+v, %v", got, err)
	}
	if err := grid.Call(counter, "add", Add{By: -7}, nil); oaas.StatusOf(err) != 409 {
		t.Errorf("below zero gives %v", err)
	}
	if err := grid.Call(counter, "get", nil, &got); err != nil || got.Count != 6 {
		t.Errorf("get gives %+v, %v", got, err)
	}
	if state := grid.Entries(counter); state["count"] != "6" {
		t.Errorf("the state is %v", state)
	}
}

func TestAudit(t *testing.T) {
	grid := oaastest.New(t, classes()...)
	audit := oaas.Object("{{.Name}}.audit", "c1")
	change := oaas.Change{Object: oaas.Object("{{.Name}}.counter", "c1"), Kind: oaas.EntryUpdated, Key: "count", Value: []byte("6")}

	for range 2 {
		if err := grid.Call(audit, "record", change, nil); err != nil {
			t.Fatal(err)
		}
	}
	if state := grid.Entries(audit); state["changes"] != "2" || state["last"] != "6" {
		t.Errorf("the state is %v", state)
	}
}
