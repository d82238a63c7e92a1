// Command wasm-counter is a counter that is compiled to WebAssembly; as a process it would be the same program.
package main

import (
	"net/http"

	"github.com/hpcclab/oaas-go/runtime/oaas"
)

func main() {
	oaas.Serve(oaas.Class("wasm-counter.counter", oaas.Method("add", (*counter).add), oaas.ReadOnly("get", (*counter).get)))
}

type counter struct {
	Count int `oaas:"count" json:"count"`
}

// add raises the count, by one if the caller does not say by how much.
func (c *counter) add(_ oaas.Context, in struct {
	By *int `json:"by"`
}) (*counter, error) {
	by := 1
	if in.By != nil {
		by = *in.By
	}
	if c.Count+by < 0 {
		return nil, oaas.Errorf(http.StatusConflict, "the count is %d; it cannot go below zero", c.Count)
	}
	c.Count += by
	return c, nil
}

func (c *counter) get(oaas.Context, oaas.None) (*counter, error) { return c, nil }
