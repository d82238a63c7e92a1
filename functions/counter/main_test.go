package main

import (
	"net/http"
	"testing"

	"github.com/hpcclab/oaas-go/runtime/oaas"
	"github.com/hpcclab/oaas-go/runtime/oaas/oaastest"
)

func TestCounter(t *testing.T) {
	grid := oaastest.New(t, class())
	c1 := oaas.Object("counter.counter", "c1")
	for _, step := range []struct {
		method string
		in     any
		status int
		count  string
	}{
		{"get", nil, 200, ""},
		{"add", nil, 200, "1"},
		{"add", Add{By: 4}, 200, "5"},
		{"add", Add{By: -6}, http.StatusConflict, "5"},
		{"add", "five", http.StatusBadRequest, "5"},
		{"get", nil, 200, "5"},
		{"reset", nil, 200, "0"},
	} {
		if err := grid.Call(c1, step.method, step.in, nil); oaas.StatusOf(err) != step.status {
			t.Errorf("%s %v: %v", step.method, step.in, err)
		}
		if got := grid.Entries(c1)["count"]; got != step.count {
			t.Errorf("after %s %v the count is %q, not %q", step.method, step.in, got, step.count)
		}
	}
}
