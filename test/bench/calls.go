package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
)

// calls measures reads, writes and calls through the gateway beside a bare handler of the same web framework and beside the function itself, and by
// their share of the bare answer, as the figures of OaaS-RS and of a Dapr actor are given.
func calls(ctx context.Context, t *table, cfg config) error {
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
	if err := fill(ctx, p); err != nil {
		return err
	}
	bare, stop, err := startSelf(ctx, "-serve-bare")
	if err != nil {
		return err
	}
	defer stop()
	direct, end, err := directFunction(ctx, p)
	if err != nil {
		return err
	}
	defer end()
	return compareCalls(ctx, t, cfg, p, bare, direct)
}

// benchObjects is how many objects the load is spread over.
const benchObjects = 1000

func fill(ctx context.Context, p *platform) error {
	body := []byte(`{"entries":{"value":{"data":"` + base64.StdEncoding.EncodeToString(make([]byte, 1024)) + `","type":0}}}`)
	for i := range benchObjects {
		if _, err := p.do(ctx, http.MethodPut, fmt.Sprintf("/api/class/bench.record/_/objects/o%d", i), "application/json", body); err != nil {
			return err
		}
	}
	return nil
}

// serveBare serves a constant with the gateway's web framework until it is killed.
func serveBare(addr string) error {
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	body := make([]byte, 1024)
	engine.GET("/bare", func(c *gin.Context) { c.Data(http.StatusOK, "application/octet-stream", body) })
	server := &http.Server{Addr: addr, Handler: engine, ReadHeaderTimeout: time.Minute}
	return server.ListenAndServe()
}

// startSelf starts this program as a bare handler, a process of its own as the platform is, and gives its address.
func startSelf(ctx context.Context, flag string) (addr string, stop func(), err error) {
	if addr, err = freeAddress(); err != nil {
		return "", nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return "", nil, err
	}
	return startProcess(addr, exec.CommandContext(ctx, self, flag, addr))
}

// startProcess starts a server and waits until it listens.
func startProcess(addr string, cmd *exec.Cmd) (string, func(), error) {
	cmd.Stderr = io.Discard
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop := func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	for range 1000 {
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			return addr, stop, nil
		}
		time.Sleep(5 * time.Millisecond)
	}
	stop()
	return "", nil, fmt.Errorf("%s does not listen on %s", cmd.Path, addr)
}

// directFunction starts the benchmarks' function by itself and gives its address.
func directFunction(ctx context.Context, p *platform) (addr string, stop func(), err error) {
	file := filepath.Join(p.dir, "function")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", file, "./test/bench/function").CombinedOutput(); err != nil {
		return "", nil, fmt.Errorf("build the function: %w\n%s", err, out)
	}
	if addr, err = freeAddress(); err != nil {
		return "", nil, err
	}
	_, port, _ := net.SplitHostPort(addr)
	cmd := exec.CommandContext(ctx, file)
	cmd.Env = append(os.Environ(), "PORT="+port)
	return startProcess(addr, cmd)
}

// pair is one comparison: requests to the platform and to what stands beside it.
type pair struct {
	what         string
	clients      int
	ours, beside request
	besideAddr   string
	besideName   string
	shareTo      float64 // share of the bare answer that a peer reached, 0 for none
	peer         string
	drive        driver // nil for HTTP/1.1
}

func compareCalls(ctx context.Context, t *table, cfg config, p *platform, bare, direct string) error {
	object := func(format string, body []byte, method string, headers ...string) request {
		all := make([][]byte, benchObjects)
		for i := range all {
			all[i] = raw(method, p.addr, fmt.Sprintf(format, i), body, headers...)
		}
		return func(client, n int) []byte { return all[(client*37+n)%benchObjects] }
	}
	health := repeat(raw(http.MethodGet, p.addr, "/healthz", nil))
	constant := repeat(raw(http.MethodGet, bare, "/bare", nil))
	echo64 := make([]byte, 64)
	for i := range echo64 {
		echo64[i] = 'x'
	}
	value := []byte(`{"entries":{"value":{"data":"` + base64.StdEncoding.EncodeToString(make([]byte, 1024)) + `","type":0}}}`)
	plain := repeat(raw(http.MethodPost, direct, "/", echo64, "Content-Type", "application/octet-stream"))
	call := []byte(`{"class":"bench.record","partition":0,"object":"o1","method":"add","version":1,"exists":true,"entries":{"n":{"text":"5","version":1}}}`)
	directAdd := repeat(raw(http.MethodPost, direct, "/", call, "Content-Type", "application/vnd.oaas.call+json", "Ce-Specversion", "1.0", "Ce-Id", "1",
		"Ce-Source", "/oaas/bench.record/0/o1", "Ce-Type", "oaas.method.call", "Ce-Subject", "add"))
	getEntry := object("/api/class/bench.record/_/objects/o%d/entries/value", nil, http.MethodGet)
	getObject := object("/api/class/bench.record/_/objects/o%d", nil, http.MethodGet, "Accept", "application/json")
	putObject := object("/api/class/bench.record/_/objects/o%d", value, http.MethodPut, "Content-Type", "application/json")
	add := object("/api/class/bench.record/_/objects/o%d/invokes/add", []byte{}, http.MethodPost)
	echo := object("/api/class/bench.record/_/objects/o%d/invokes/echo", echo64, http.MethodPost)
	hello := repeat(raw(http.MethodPost, p.addr, "/api/class/bench.record/0/invokes/hello", echo64))
	module := object("/api/class/bench.module/_/objects/o%d/invokes/add", []byte{}, http.MethodPost)
	moduleEcho := object("/api/class/bench.module/_/objects/o%d/invokes/echo", echo64, http.MethodPost)
	pairs := []pair{
		{what: "WebAssembly: durable call `add`", clients: 1, ours: module, beside: add, besideAddr: p.addr, besideName: "the same method as a process"},
		{what: "WebAssembly: method echo, 64 B", clients: 1, ours: moduleEcho, beside: echo, besideAddr: p.addr, besideName: "the same method as a process"},
		{what: "WebAssembly: method echo, 64 B", clients: 64, ours: moduleEcho, beside: echo, besideAddr: p.addr, besideName: "the same method as a process"},
		{what: "GET entry of 1 KiB", clients: 1, ours: getEntry, beside: constant, besideAddr: bare, besideName: "bare gin"},
		{what: "GET entry of 1 KiB", clients: 64, ours: getEntry, beside: constant, besideAddr: bare, besideName: "bare gin"},
		{what: "durable call `add` (reads and writes state)", clients: 1, ours: add, beside: directAdd, besideAddr: direct, besideName: "the function called directly"},
		{what: "durable call `add` (reads and writes state)", clients: 64, ours: add, beside: directAdd, besideAddr: direct, besideName: "the function called directly"},
		{what: "GET object, JSON", clients: 64, ours: getObject, beside: health, besideAddr: p.addr, besideName: "GET /healthz", shareTo: 0.16, peer: "OaaS-RS"},
		{what: "PUT object, durable", clients: 64, ours: putObject, beside: health, besideAddr: p.addr, besideName: "GET /healthz", shareTo: 0.14, peer: "OaaS-RS (not synced)"},
		{what: "POST stateless echo, 64 B", clients: 64, ours: hello, beside: health, besideAddr: p.addr, besideName: "GET /healthz", shareTo: 0.105, peer: "OaaS-RS"},
		{what: "POST method echo, 64 B", clients: 64, ours: echo, beside: health, besideAddr: p.addr, besideName: "GET /healthz", shareTo: 0.09, peer: "OaaS-RS"},
		{what: "POST method add, durable", clients: 64, ours: add, beside: plain, besideAddr: direct, besideName: "bare answer of the function", shareTo: 0.037, peer: "a Dapr actor"},
	}
	for _, c := range pairs {
		if !strings.Contains(fmt.Sprintf("%s, %d clients", c.what, c.clients), cfg.match) {
			continue
		}
		if err := compare(ctx, t, cfg, p, c); err != nil {
			return fmt.Errorf("%s: %w", c.what, err)
		}
	}
	return nil
}

// compare runs both sides in turn and adds the medians.
func compare(ctx context.Context, t *table, cfg config, p *platform, c pair) error {
	var ratios, rates, besides, added, p50s, p99s []float64
	for range cfg.rounds {
		beside, err := run(ctx, c.besideAddr, c.clients, cfg.length, c.beside, c.drive)
		if err != nil {
			return err
		}
		ours, err := run(ctx, p.addr, c.clients, cfg.length, c.ours, c.drive)
		if err != nil {
			return err
		}
		ratios, rates, besides = append(ratios, ours.rate/beside.rate), append(rates, ours.rate), append(besides, beside.rate)
		added = append(added, (ours.p50-beside.p50).Seconds()*1000)
		p50s, p99s = append(p50s, ours.p50.Seconds()*1000), append(p99s, ours.p99.Seconds()*1000)
	}
	ratio := median(ratios)
	beside := fmt.Sprintf("%s: %.0f/s; p50 added %.2f ms", c.besideName, median(besides), median(added))
	if c.shareTo > 0 {
		beside = fmt.Sprintf("%s: %.0f/s; %s reaches %.3f of its bare answer: %.1f ×", c.besideName, median(besides), c.peer, c.shareTo, ratio/c.shareTo)
	}
	t.add(fmt.Sprintf("%s, %d clients", c.what, c.clients),
		fmt.Sprintf("%.0f/s; p50 %.2f ms, p99 %.2f ms", median(rates), median(p50s), median(p99s)), beside, ratio)
	return nil
}
