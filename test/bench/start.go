package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// start measures how long things take to be there: the platform, a function from zero; and what the platform takes when it does nothing.
func start(ctx context.Context, t *table, cfg config) error {
	p, err := newPlatform(cfg.oaas)
	if err != nil {
		return err
	}
	defer p.close()
	var ready []time.Duration
	for range 5 {
		took, err := p.start(ctx)
		if err != nil {
			return err
		}
		ready = append(ready, took)
		p.kill()
	}
	if err := commandStarts(ctx, t, p); err != nil {
		return err
	}
	slices.Sort(ready)
	t.note("`oaas dev` ready, p50 of 5", fmt.Sprintf("%d ms", ready[2].Milliseconds()))
	if _, err := p.start(ctx, "--scale-to-zero-grace", "100ms"); err != nil {
		return err
	}
	time.Sleep(3 * time.Second)
	own, err := resident(p.cmd.Process.Pid)
	if err != nil {
		return err
	}
	t.note("`oaas dev` idle, resident", fmt.Sprintf("%.0f MB", float64(own)/1e6))
	if info, err := os.Stat(p.oaas); err == nil {
		t.note("size of the binary", fmt.Sprintf("%.0f MB", float64(info.Size())/1e6))
	}
	return coldStarts(ctx, t, p)
}

// commandStarts measures commands that do nothing: the start of the process and the definition of all commands. At most 50 ms are wanted.
func commandStarts(ctx context.Context, t *table, p *platform) error {
	for _, args := range [][]string{{"version"}, {"--help"}} {
		var times []time.Duration
		for range 21 {
			begun := time.Now()
			if out, err := runOaas(ctx, p, args...); err != nil {
				return fmt.Errorf("oaas %s: %w\n%s", args[0], err, out)
			}
			times = append(times, time.Since(begun))
		}
		slices.Sort(times)
		t.note("`oaas "+args[0]+"`, p50 of 21", fmt.Sprintf("%.1f ms", float64(times[10].Microseconds())/1e3))
	}
	return nil
}

// coldStarts deploys a function that scales to zero and calls it from there.
func coldStarts(ctx context.Context, t *table, p *platform) error {
	project := filepath.Join(p.dir, "cold")
	if out, err := runOaas(ctx, p, "func", "create", project, "-t", "go"); err != nil {
		return fmt.Errorf("create: %w\n%s", err, out)
	}
	if out, err := runOaas(ctx, p, "func", "deploy", "--url", "http://"+p.addr, project); err != nil {
		return fmt.Errorf("deploy: %w\n%s", err, out)
	}
	var times []time.Duration
	for i := range 7 {
		if err := untilZero(ctx, p); err != nil {
			return err
		}
		begun := time.Now()
		if _, err := p.do(ctx, http.MethodPost, fmt.Sprintf("/api/class/cold.counter/_/objects/o%d/invokes/add", i), "application/json", []byte(`{"by":1}`)); err != nil {
			return err
		}
		times = append(times, time.Since(begun))
	}
	slices.Sort(times)
	t.note("cold start of a Go function, request to answer, p50 (slowest) of 7", fmt.Sprintf("%d ms (%d ms)", times[3].Milliseconds(), times[6].Milliseconds()))
	return nil
}

// untilZero waits until no function has an instance.
func untilZero(ctx context.Context, p *platform) error {
	deadline := time.Now().Add(time.Minute)
	for {
		text, err := p.do(ctx, http.MethodGet, "/metrics", "text/plain", nil)
		if err != nil {
			return err
		}
		if instances(text) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("functions do not scale to zero within a minute")
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// instances adds up the gauge of running instances.
func instances(metrics []byte) float64 {
	total := 0.0
	for line := range bytes.Lines(metrics) {
		if fields := strings.Fields(string(line)); len(fields) == 2 && strings.HasPrefix(fields[0], "oaas_function_instances{") {
			value, _ := strconv.ParseFloat(fields[1], 64)
			total += value
		}
	}
	return total
}

// resident gives the resident memory of a process in bytes (Linux).
func resident(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("no VmRSS in the status of process %d", pid)
}
