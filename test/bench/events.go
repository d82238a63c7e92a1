package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// runOaas runs a command of the binary under test.
func runOaas(ctx context.Context, p *platform, args ...string) ([]byte, error) {
	return exec.CommandContext(ctx, p.oaas, args...).CombinedOutput()
}

// sources is how many objects the changes are spread over.
const sources = 500

// events makes changes that fire a trigger each, kills the platform twice on the way, and compares what was committed with what took effect.
func events(ctx context.Context, t *table, cfg config) error {
	p, err := newPlatform(cfg.oaas)
	if err != nil {
		return err
	}
	defer p.close()
	if _, err := p.start(ctx); err != nil {
		return err
	}
	if err := p.deploy(ctx); err != nil {
		return err
	}
	begun := time.Now()
	var sent atomic.Int64
	for round := range 3 {
		limit := int64(cfg.events * (round + 1) / 3)
		sendUntil(ctx, p, &sent, limit, round < 2)
		if round < 2 {
			if _, err := p.start(ctx); err != nil {
				return err
			}
		}
	}
	if err := drained(ctx, p); err != nil {
		return err
	}
	took := time.Since(begun)
	committed, err := sum(ctx, p, "bench.source")
	if err != nil {
		return err
	}
	effects, err := sum(ctx, p, "bench.seen")
	if err != nil {
		return err
	}
	t.note(fmt.Sprintf("%d events with the process killed twice, %d objects", committed, sources),
		fmt.Sprintf("acknowledged %d, committed %d, effects %d: lost %d, repeated %d; %.0f/s over all", sent.Load(), committed, effects,
			max(0, committed-effects), max(0, effects-committed), float64(committed)/took.Seconds()))
	return latency(ctx, t, p)
}

// sendUntil has clients write until the number of acknowledged writes has reached limit; with crash the platform is killed at that moment.
func sendUntil(ctx context.Context, p *platform, sent *atomic.Int64, limit int64, crash bool) {
	var wg sync.WaitGroup
	var once sync.Once
	for c := range 16 {
		wg.Go(func() {
			for n := 0; sent.Load() < limit && ctx.Err() == nil; n++ {
				path := fmt.Sprintf("/api/class/bench.source/_/objects/s%d/entries/x", (c*31+n)%sources)
				if _, err := p.do(ctx, http.MethodPut, path, "application/octet-stream", []byte("x")); err != nil {
					return // killed
				}
				sent.Add(1)
			}
			if crash {
				once.Do(p.kill)
			}
		})
	}
	wg.Wait()
}

// drained waits until every event has been delivered.
func drained(ctx context.Context, p *platform) error {
	deadline := time.Now().Add(10 * time.Minute)
	for {
		text, err := p.do(ctx, http.MethodGet, "/metrics", "text/plain", nil)
		if err != nil {
			return err
		}
		if metric(string(text), "oaas_outbox_pending") == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("events are still waiting after ten minutes")
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// metric adds up the samples of a metric.
func metric(text, name string) float64 {
	total := 0.0
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 2 && (fields[0] == name || strings.HasPrefix(fields[0], name+"{")) {
			value, _ := strconv.ParseFloat(fields[1], 64)
			total += value
		}
	}
	return total
}

// sum adds up the versions of all objects of a class: each commit of an entry counts one.
func sum(ctx context.Context, p *platform, class string) (int, error) {
	total, cursor := 0, ""
	for {
		text, err := p.do(ctx, http.MethodGet, "/api/class/"+class+"/_/objects?limit=1000&cursor="+cursor, "", nil)
		if err != nil {
			return 0, err
		}
		var page struct {
			Objects []struct {
				Version int `json:"version"`
			} `json:"objects"`
			NextCursor string `json:"next_cursor"`
		}
		if err := json.Unmarshal(text, &page); err != nil {
			return 0, err
		}
		for _, o := range page.Objects {
			total += o.Version
		}
		if cursor = page.NextCursor; cursor == "" {
			return total, nil
		}
	}
}

// latency measures the time from the command of a write to the call of its trigger's target, with one write at a time, from the platform's own
// histogram.
func latency(ctx context.Context, t *table, p *platform) error {
	before, err := p.do(ctx, http.MethodGet, "/metrics", "text/plain", nil)
	if err != nil {
		return err
	}
	const writes = 2000
	for n := range writes {
		path := fmt.Sprintf("/api/class/bench.source/_/objects/s%d/entries/x", n%sources)
		if _, err := p.do(ctx, http.MethodPut, path, "application/octet-stream", []byte("y")); err != nil {
			return err
		}
	}
	if err := drained(ctx, p); err != nil {
		return err
	}
	after, err := p.do(ctx, http.MethodGet, "/metrics", "text/plain", nil)
	if err != nil {
		return err
	}
	h := buckets(string(after)).minus(buckets(string(before)))
	t.note(fmt.Sprintf("write → target of its trigger called (with the sync of the write), %d writes one after the other", writes),
		fmt.Sprintf("p50 ≤ %.2f ms, p99 ≤ %.2f ms", h.quantile(0.5)*1000, h.quantile(0.99)*1000))
	return nil
}

// histogram has the cumulative counts of a Prometheus histogram by upper bound.
type histogram struct {
	bounds []float64
	counts []float64
}

// buckets reads the histogram of event delays.
func buckets(text string) histogram {
	var h histogram
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, `oaas_event_delay_seconds_bucket{le="`)
		if !ok {
			continue
		}
		bound, rest, _ := strings.Cut(rest, `"} `)
		le, err := strconv.ParseFloat(bound, 64)
		count, err2 := strconv.ParseFloat(strings.TrimSpace(rest), 64)
		if err == nil && err2 == nil {
			h.bounds, h.counts = append(h.bounds, le), append(h.counts, count)
		}
	}
	return h
}

func (h histogram) minus(before histogram) histogram {
	for i := range h.counts {
		if i < len(before.counts) {
			h.counts[i] -= before.counts[i]
		}
	}
	return h
}

// quantile gives the upper bound of the bucket in which the quantile lies.
func (h histogram) quantile(q float64) float64 {
	if len(h.counts) == 0 {
		return 0
	}
	for i, count := range h.counts {
		if count >= q*h.counts[len(h.counts)-1] {
			return h.bounds[i]
		}
	}
	return h.bounds[len(h.bounds)-1]
}
