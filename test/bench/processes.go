package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

const processesPackage = `
name: bench
version: "1.0"
classes:
  - key: record
    state_spec: {persistent: true}
    function_bindings:
      - {name: add, function_key: main, state: [n]}
      - {name: echo, function_key: main}
functions:
  - {key: main, url: "http://%s"}
`

// processes measures reads, writes and calls through gateway, Zenoh and ODGM, each a process as the router between them is, by their share of the
// gateway's bare answer, as the figures of OaaS-RS in the same topology are given.
func processes(ctx context.Context, t *table, cfg config) error {
	p, err := newPlatform(cfg.oaas)
	if err != nil {
		return err
	}
	defer os.RemoveAll(p.dir) //nolint:errcheck // a folder of temporary files
	function, end, err := directFunction(ctx, p)
	if err != nil {
		return err
	}
	defer end()
	file := filepath.Join(p.dir, "oaas-package.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, processesPackage, function), 0o600); err != nil {
		return err
	}
	stop, err := startProcesses(ctx, p, file)
	defer stop()
	if err != nil {
		return err
	}
	if err := fill(ctx, p); err != nil {
		return err
	}
	object := func(format string, body []byte, method string, headers ...string) request {
		all := make([][]byte, benchObjects)
		for i := range all {
			all[i] = raw(method, p.addr, fmt.Sprintf(format, i), body, headers...)
		}
		return func(client, n int) []byte { return all[(client*37+n)%benchObjects] }
	}
	value := []byte(`{"entries":{"value":{"data":"` + base64.StdEncoding.EncodeToString(make([]byte, 1024)) + `","type":0}}}`)
	health := repeat(raw(http.MethodGet, p.addr, "/healthz", nil))
	get := object("/api/class/bench.record/_/objects/o%d", nil, http.MethodGet, "Accept", "application/json")
	put := object("/api/class/bench.record/_/objects/o%d", value, http.MethodPut, "Content-Type", "application/json")
	echo := object("/api/class/bench.record/_/objects/o%d/invokes/echo", make([]byte, 64), http.MethodPost)
	const peer = "OaaS-RS"
	for _, c := range []pair{
		{what: "processes: GET object, JSON", clients: 1, ours: get, shareTo: 0.17, peer: peer},
		{what: "processes: GET object, JSON", clients: 64, ours: get, shareTo: 0.16, peer: peer},
		{what: "processes: PUT object, durable", clients: 1, ours: put},
		{what: "processes: PUT object, durable", clients: 64, ours: put, shareTo: 0.14, peer: peer + " (not synced)"},
		{what: "processes: POST method echo, 64 B", clients: 1, ours: echo},
		{what: "processes: POST method echo, 64 B", clients: 64, ours: echo, shareTo: 0.09, peer: peer},
	} {
		c.beside, c.besideAddr, c.besideName = health, p.addr, "GET /healthz"
		if err := compare(ctx, t, cfg, p, c); err != nil {
			return fmt.Errorf("%s: %w", c.what, err)
		}
	}
	return nil
}

// startProcesses starts router, ODGM and gateway, which listens on the platform's address.
func startProcesses(ctx context.Context, p *platform, file string) (stop func(), err error) {
	var started []*exec.Cmd
	stop = func() {
		for i := len(started) - 1; i >= 0; i-- {
			_ = started[i].Process.Signal(syscall.SIGTERM)
			done := make(chan struct{})
			go func() { _ = started[i].Wait(); close(done) }()
			select {
			case <-done:
			case <-time.After(10 * time.Second):
				_ = started[i].Process.Kill()
				<-done
			}
		}
	}
	var addresses [3]string
	for i := range addresses {
		if addresses[i], err = freeAddress(); err != nil {
			return stop, err
		}
	}
	zenoh, metrics, odgm := addresses[0], addresses[1], addresses[2]
	connect := []string{"--mode", "client", "--connect", "tcp/" + zenoh, "--listen"}
	for _, c := range []struct {
		name, health string
		args         []string
	}{
		{"oaas-router", metrics + "/healthz", []string{"--listen", "tcp/" + zenoh, "--metrics", metrics}},
		{"oaas-odgm", odgm + "/readyz", append(slices.Clone(connect), odgm, "--package", file, "--data-dir", filepath.Join(p.dir, "odgm"))},
		{"oaas-gateway", p.addr + "/readyz", append(slices.Clone(connect), p.addr)},
	} {
		cmd := exec.Command(filepath.Join(filepath.Dir(p.oaas), c.name), c.args...)
		cmd.Env = append(os.Environ(), "OPRC_ZENOH_SCOUTING_MULTICAST_ENABLED=false", "LOG_LEVEL=error")
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			return stop, err
		}
		started = append(started, cmd)
		if err := waitFor(ctx, "http://"+c.health); err != nil {
			return stop, fmt.Errorf("start %s: %w", c.name, err)
		}
	}
	return stop, nil
}
