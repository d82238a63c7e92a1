package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// side is an implementation of Zenoh: the commands for its roles. The router is a program of its own.
type side struct {
	name   string
	role   []string
	router func(endpoint string) []string
}

// zenohSides gives ours, and the native one if it was built; see native.sh.
func zenohSides(cfg config) (ours side, native *side, err error) {
	self, err := os.Executable()
	if err != nil {
		return side{}, nil, err
	}
	ours = side{"oaas", []string{self, "-serve-zenoh"}, func(e string) []string { return []string{cfg.router, "-l", e} }}
	if _, err := os.Stat(cfg.router); err != nil {
		return ours, nil, fmt.Errorf("the router to measure: %w; make build makes it", err)
	}
	bin := filepath.Join(cfg.native, "bin")
	rust := &side{"native", []string{filepath.Join(bin, "zenoh-bench")}, func(e string) []string {
		return []string{filepath.Join(bin, "zenohd"), "--no-multicast-scouting", "-l", e}
	}}
	if _, err := os.Stat(rust.role[0]); err == nil {
		return ours, rust, nil
	}
	fmt.Fprintf(os.Stderr, "bench: %s is not there, so there is nothing to compare with; make bench-native builds it\n", rust.role[0])
	return ours, nil, nil
}

// process is a role or a router that runs.
type process struct {
	cmd   *exec.Cmd
	in    io.Closer
	lines *bufio.Scanner
}

func startRole(ctx context.Context, command ...string) (*process, error) {
	p := &process{cmd: exec.CommandContext(ctx, command[0], command[1:]...)}
	p.cmd.Stderr = os.Stderr
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.in, p.lines = in, bufio.NewScanner(out)
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", strings.Join(command, " "), err)
	}
	return p, nil
}

// start starts a role and waits until it is ready.
func (s side) start(ctx context.Context, role string, args ...string) (*process, error) {
	p, err := startRole(ctx, slices.Concat(s.role, []string{role}, args)...)
	if err != nil {
		return nil, err
	}
	if _, err := lineOf(p.lines); err != nil {
		p.stop()
		return nil, fmt.Errorf("%s as %s: %w", s.name, role, err)
	}
	return p, nil
}

// stop ends the process as it is.
func (p *process) stop() {
	_ = p.in.Close()
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// resident gives the memory that the process has, in bytes.
func (p *process) resident() (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb * 1024, err
		}
	}
	return 0, errors.New("no VmRSS")
}

// startRouter starts a router and gives where it listens.
func (s side) startRouter(ctx context.Context) (*process, string, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, "", err
	}
	args := s.router("tcp/" + address)
	command := exec.CommandContext(ctx, args[0], args[1:]...)
	command.Env = append(os.Environ(), "OPRC_ZENOH_SCOUTING_MULTICAST_ENABLED=false", "LOG_LEVEL=error", "RUST_LOG=error")
	in, err := command.StdinPipe()
	if err != nil {
		return nil, "", err
	}
	if err := command.Start(); err != nil {
		return nil, "", fmt.Errorf("start the router of %s: %w", s.name, err)
	}
	p := &process{cmd: command, in: in}
	if err := waitForPort(ctx, address); err != nil {
		p.stop()
		return nil, "", fmt.Errorf("the router of %s: %w", s.name, err)
	}
	return p, "tcp/" + address, nil
}
