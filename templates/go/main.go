// Command {{.Name}} serves two classes: counters, and the audit that is called when a counter changes.
package main

import (
	"net/http"

	"github.com/hpcclab/oaas-go/runtime/oaas"
)

func main() { oaas.Serve(classes()...) }

func classes() []oaas.Part {
	return []oaas.Part{
		oaas.Class("{{.Name}}.counter", oaas.Method("add", (*Counter).Add), oaas.ReadOnly("get", (*Counter).Get)),
		oaas.Class("{{.Name}}.audit", oaas.Method("record", (*Audit).Record)),
	}
}

// Counter is the state of one counter. A field with a tag is an entry of the object: it is there when a method runs, and what the method
// leaves in it is kept.
type Counter struct {
	Count int `oaas:"count" json:"count"`
}

// Add is what `add` takes: {"by": 2}.
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

// Get gives the count. It is readonly, so it never waits for a method that is running.
func (c *Counter) Get(oaas.Context, oaas.None) (*Counter, error) { return c, nil }

// Audit is the state of one audit: how often the counter of the same id has changed, and its last value.
type Audit struct {
	Changes int `oaas:"changes"`
	Last    int `oaas:"last"`
}

// Record is called by the triggers in oaas-package.yaml, with the change.
func (a *Audit) Record(_ oaas.Context, change oaas.Change) (oaas.None, error) {
	a.Changes++
	return oaas.None{}, change.Decode(&a.Last)
}
