package runner

import (
	"bytes"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// tiny builds the smallest Go function and deploys it.
func tiny(b *testing.B) *Function {
	b.Helper()
	program := filepath.Join(b.TempDir(), "tiny")
	if out, err := exec.CommandContext(b.Context(), "go", "build", "-o", program, "./testdata/tiny").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	return deploy(b, newRunner(b, Config{}), Spec{Name: "tiny", Command: []string{program}})
}

// post sends a body and reads the answer.
func post(b *testing.B, t http.RoundTripper, url string, body []byte) {
	req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	resp, err := t.RoundTrip(req)
	if err != nil {
		b.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != int64(len(body)) {
		b.Fatal(n, err)
	}
	discard(resp.Body)
}

// BenchmarkWarm compares a call through a Function with one that goes to its process directly.
func BenchmarkWarm(b *testing.B) {
	f := tiny(b)
	f.mu.Lock()
	addr := f.current.live[0].addr
	f.mu.Unlock()
	direct := newTransport(addr, false)
	defer direct.CloseIdleConnections()
	body := bytes.Repeat([]byte("x"), 256)
	for _, way := range []struct {
		name string
		t    http.RoundTripper
	}{{"direct", direct}, {"runner", f}} {
		b.Run(way.name+"/clients=1", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				post(b, way.t, "http://"+addr+"/", body)
			}
		})
		b.Run(way.name+"/clients=64", func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(32) // times GOMAXPROCS
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					post(b, way.t, "http://"+addr+"/", body)
				}
			})
		})
	}
}

// BenchmarkQueue measures what the runner itself adds to a request: a place on an instance, taken and given back.
func BenchmarkQueue(b *testing.B) {
	f := tiny(b)
	b.ReportAllocs()
	for b.Loop() {
		i, err := f.acquire(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		f.release(i)
	}
}

// BenchmarkColdStart measures from the request that finds no instance to the end of its answer.
func BenchmarkColdStart(b *testing.B) {
	f := tiny(b)
	var took []time.Duration
	for b.Loop() {
		b.StopTimer()
		toZero(b, f)
		b.StartTimer()
		began := time.Now()
		post(b, f, "http://tiny/", []byte("x"))
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}
