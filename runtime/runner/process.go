package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// markVariable marks every process of a run, and what those start, in the environment.
const markVariable = "OAAS_RUNNER"

// errSpawnerStopped is what a start gets after the runner has ended.
var errSpawnerStopped = errors.New("the runner has stopped")

// spawner starts processes from one thread that lives as long as the runner: Linux sends the parent death signal when the *thread* that
// forked ends, and Go ends threads as it likes.
type spawner struct {
	starts chan startRequest
	quit   chan struct{}
	done   chan struct{}
}

type startRequest struct {
	cmd    *exec.Cmd
	result chan error
}

func newSpawner() *spawner {
	s := &spawner{starts: make(chan startRequest), quit: make(chan struct{}), done: make(chan struct{})}
	go s.run()
	return s
}

func (s *spawner) run() {
	defer close(s.done)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for {
		select {
		case req := <-s.starts:
			req.result <- req.cmd.Start()
		case <-s.quit:
			return
		}
	}
}

// start runs cmd.Start on the thread.
func (s *spawner) start(cmd *exec.Cmd) error {
	req := startRequest{cmd: cmd, result: make(chan error, 1)}
	select {
	case s.starts <- req:
		return <-req.result
	case <-s.done:
		return errSpawnerStopped
	}
}

func (s *spawner) stop() {
	close(s.quit)
	<-s.done
}

// process is a running child with everything that it started.
type process struct {
	cmd    *exec.Cmd
	ended  atomic.Bool   // the child has ended: its id may soon be another process's
	exited chan struct{} // closed when the child has ended, its group is dead and its output is read
	state  string        // how it ended; valid after exited
}

// outputGrace bounds how long the output of an ended child is read while one of its descendants holds the pipe.
const outputGrace = 500 * time.Millisecond

// startProcess starts cmd in an own process group, with its output cut into lines.
func (r *Runner) startProcess(cmd *exec.Cmd, emit func(stream, text string, cut bool)) (*process, error) {
	out := &lineWriter{emit: func(text string, cut bool) { emit(Stdout, text, cut) }}
	errs := &lineWriter{emit: func(text string, cut bool) { emit(Stderr, text, cut) }}
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = out, errs, outputGrace
	cmd.SysProcAttr = childAttributes()
	if err := r.spawner.start(cmd); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, exited: make(chan struct{})}
	r.guard.watch(p.pid())
	r.wg.Go(func() {
		defer close(p.exited)
		err := p.reap()
		r.guard.forget(p.pid())
		out.end()
		errs.end()
		p.state = exitText(cmd, err)
	})
	return p, nil
}

func exitText(cmd *exec.Cmd, err error) string {
	if cmd.ProcessState != nil {
		return cmd.ProcessState.String()
	}
	return fmt.Sprintf("wait for the process: %v", err)
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// end asks the process to end, and kills it when it has not within the time or when now is done.
func (p *process) end(now context.Context, patience time.Duration) {
	if now.Err() == nil {
		p.signal(askToEnd)
		t := time.NewTimer(patience)
		defer t.Stop()
		select {
		case <-p.exited:
			return
		case <-now.Done():
		case <-t.C:
		}
	}
	p.signal(killGroup)
	<-p.exited
}

func (p *process) signal(send func(pid int)) {
	if !p.ended.Load() {
		send(p.pid())
	}
}

// ports hands out free ports on loopback. It stays below the ephemeral ranges of all systems: a port from there can become the local end of
// somebody's outgoing connection between the choice and the moment when the function listens.
type ports struct {
	mu    sync.Mutex
	taken map[int]bool
}

const (
	firstPort = 10240
	portCount = 32768 - firstPort
)

var errNoPort = errors.New("no free port on 127.0.0.1")

func (p *ports) take() (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for range 1000 {
		port := firstPort + rand.IntN(portCount)
		if !p.taken[port] && portFree(port) {
			if p.taken == nil {
				p.taken = map[int]bool{}
			}
			p.taken[port] = true
			return port, nil
		}
	}
	return 0, errNoPort
}

func (p *ports) release(port int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.taken, port)
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// portFree tells whether nobody listens on the port.
func portFree(port int) bool {
	l, err := net.Listen("tcp", loopback(port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// discard closes what is of no further use and has nothing to tell.
func discard(c io.Closer) { _ = c.Close() }
