package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// platform is an `oaas dev` process of this run.
type platform struct {
	oaas, dir, addr string
	cmd             *exec.Cmd
	output          *bytes.Buffer
}

// newPlatform prepares a platform with an empty data folder on a free port.
func newPlatform(oaas string) (*platform, error) {
	oaas, err := filepath.Abs(oaas)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "oaas-bench-")
	if err != nil {
		return nil, err
	}
	addr, err := freeAddress()
	return &platform{oaas: oaas, dir: dir, addr: addr}, err
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// start starts oaas dev and gives the time until it was ready.
func (p *platform) start(ctx context.Context, args ...string) (time.Duration, error) {
	p.output = &bytes.Buffer{}
	p.cmd = exec.Command(p.oaas, append([]string{"dev", "--listen", p.addr, "--data", filepath.Join(p.dir, "data")}, args...)...)
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.Dir = p.output, p.output, p.dir
	begun := time.Now()
	if err := p.cmd.Start(); err != nil {
		return 0, err
	}
	if err := waitFor(ctx, "http://"+p.addr+"/readyz"); err != nil {
		return 0, fmt.Errorf("%w\n%s", err, p.output)
	}
	return time.Since(begun), nil
}

// waitFor polls a URL until it answers 200.
func waitFor(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		response, err := http.Get(url)
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer", url)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// kill ends the process as a crash would.
func (p *platform) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// close ends the process and removes its data.
func (p *platform) close() {
	if p.cmd != nil {
		_ = p.cmd.Process.Signal(os.Interrupt)
		done := make(chan struct{})
		go func() { _ = p.cmd.Wait(); close(done) }()
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			_ = p.cmd.Process.Signal(syscall.SIGKILL)
			<-done
		}
	}
	_ = os.RemoveAll(p.dir)
}

// deploy deploys the benchmarks' function.
func (p *platform) deploy(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, p.oaas, "func", "deploy", "--url", "http://"+p.addr, "test/bench/function")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("deploy: %w\n%s", err, out)
	}
	return nil
}

// do makes one request and wants an answer of the 2xx kind.
func (p *platform) do(ctx context.Context, method, path, contentType string, body []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+p.addr+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("Accept", "application/json")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode > 299 {
		err = errors.New(method + " " + path + ": " + response.Status + ": " + string(text))
	}
	return text, err
}
