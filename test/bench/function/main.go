// Command function is what the benchmarks call: a method that touches no state, one that reads and writes it, a target of triggers, and a
// stateless function.
package main

import (
	"io"
	"net/http"

	"github.com/hpcclab/oaas-go/runtime/oaas"
)

// Record is an object that counts.
type Record struct {
	N int `oaas:"n"`
}

// Add reads the count and writes it back.
func (r *Record) Add(oaas.Context, oaas.None) (int, error) {
	r.N++
	return r.N, nil
}

// Echo gives back what it got.
func (r *Record) Echo(_ oaas.Context, in oaas.Payload) (oaas.Payload, error) { return in, nil }

// See counts an event.
func (r *Record) See(oaas.Context, oaas.Change) (oaas.None, error) {
	r.N++
	return oaas.None{}, nil
}

func main() {
	record := oaas.Class("bench.record", oaas.Method("add", (*Record).Add), oaas.Method("echo", (*Record).Echo))
	seen := oaas.Class("bench.seen", oaas.Method("see", (*Record).See))
	module := oaas.Class("bench.module", oaas.Method("add", (*Record).Add), oaas.Method("echo", (*Record).Echo))
	oaas.Serve(record, module, seen, oaas.HTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = io.Copy(w, r.Body)
	})))
}
