// Command counter is the smallest class: a count, a method that raises it, and one that reads it.
package main

import (
	"net/http"

	"github.com/hpcclab/oaas-go/runtime/oaas"
)

func main() { oaas.Serve(class()) }

func class() oaas.Part {
	return oaas.Class("counter.counter",
		oaas.Method("add", (*Counter).Add),
		oaas.Method("reset", (*Counter).Reset),
		oaas.ReadOnly("get", (*Counter).Get))
}

// Counter is the state of a counter.
type Counter struct {
	Count int `oaas:"count" json:"count"`
}

// Add is what `add` takes.
type Add struct {
	By int `json:"by"`
}

// Add raises the count, by one if nothing else is asked for.
func (c *Counter) Add(_ oaas.Context, in Add) (*Counter, error) {
	if in.By == 0 {
		in.By = 1
	}
	if c.Count+in.By < 0 {
		return nil, oaas.Errorf(http.StatusConflict, "the count is %d; it cannot go below zero", c.Count)
	}
	c.Count += in.By
	return c, nil
}

// Reset sets the count to zero.
func (c *Counter) Reset(oaas.Context, oaas.None) (oaas.None, error) {
	c.Count = 0
	return oaas.None{}, nil
}

// Get gives the count.
func (c *Counter) Get(oaas.Context, oaas.None) (*Counter, error) { return c, nil }
