package runner

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"time"
)

// state is where an instance stands in its life.
type state int

// The states. An instance that was ready and refuses connections is unready until a probe succeeds.
const (
	starting state = iota
	ready
	unready
	stopping // told to stop, or ended by itself: gets no more requests
)

func isReady(i *instance) bool { return i.state == ready }

// instance is one process of a revision. Its goroutine, run, takes it from the start to the end.
type instance struct {
	revision  *revision
	transport connections
	tail      tailBuffer
	stop      chan struct{} // closed when it is told to stop
	idle      chan struct{} // closed when it is stopping and has no requests
	suspect   chan struct{} // one token: a connection was refused
	finished  chan struct{} // closed after the process has ended by itself; failure says why
	failure   *Failure
	addr      string // set before it is ready

	// Guarded by the function's lock.
	state    state
	inFlight int
	pid      int // 0 before the start
	readyAt  time.Time
}

func newInstance(rev *revision) *instance {
	return &instance{
		revision: rev, stop: make(chan struct{}), idle: make(chan struct{}), suspect: make(chan struct{}, 1), finished: make(chan struct{}),
	}
}

// run is the life of an instance.
func (i *instance) run() {
	r := i.revision.function.runner
	port, err := r.ports.take()
	if err != nil {
		i.crash("start: "+err.Error(), true)
		return
	}
	defer r.ports.release(port)
	i.addr = loopback(port)
	i.transport = newTransport(i.addr, i.revision.spec.HTTP2)
	defer i.transport.CloseIdleConnections()
	began := time.Now()
	p, err := i.start(port)
	if err != nil {
		i.crash("start: "+err.Error(), true)
		return
	}
	i.emit(Event{Kind: EventStarted, PID: p.pid()})
	i.live(p, port, began)
}

// start starts the process.
func (i *instance) start(port int) (*process, error) {
	rev := i.revision
	r := rev.function.runner
	cmd := exec.Command(rev.spec.program(), rev.spec.Command[1:]...)
	cmd.Dir = rev.spec.Dir
	cmd.Env = rev.spec.environ(r.hostEnv, rev.name, port, r.mark)
	p, err := r.startProcess(cmd, func(stream, text string, cut bool) { i.output(cmd, stream, text, cut) })
	if err != nil {
		return nil, err
	}
	rev.function.mu.Lock()
	i.pid = p.pid()
	rev.function.mu.Unlock()
	return p, nil
}

// live probes the process, serves while it accepts connections, and ends when it ends or has to.
func (i *instance) live(p *process, port int, began time.Time) {
	for first := true; ; first = false {
		switch i.probe(p) {
		case probeStopped:
			i.finish(p)
			return
		case probeTimeout:
			p.end(i.revision.killed, i.revision.function.runner.config.StopTimeout)
			i.crash(fmt.Sprintf("did not listen on PORT %d within %v", port, i.revision.spec.StartTimeout), first)
			return
		case probeEnded:
			i.crash(p.state, first)
			return
		}
		cold, ok := i.revision.serve(i)
		if ok && first {
			i.reportReady(p, began, cold)
		}
		select {
		case <-i.stop:
			i.finish(p)
			return
		case <-p.exited:
			i.crash(p.state, false)
			return
		case <-i.suspect:
		}
	}
}

// reportReady tells that the instance serves. A cold start counts from the request that caused it.
func (i *instance) reportReady(p *process, began time.Time, cold time.Duration) {
	e := Event{Kind: EventReady, PID: p.pid(), Took: time.Since(began)}
	if cold > 0 {
		e.Cold, e.Took = true, cold
	}
	i.emit(e)
}

// finish drains the instance and ends the process. Without requests there is nothing to drain.
func (i *instance) finish(p *process) {
	config := i.revision.function.runner.config
	patience := time.NewTimer(config.DrainTimeout)
	defer patience.Stop()
	select {
	case <-i.idle:
	case <-patience.C:
	case <-p.exited:
	case <-i.revision.killed.Done():
	}
	i.transport.CloseIdleConnections()
	p.end(i.revision.killed, config.StopTimeout)
	i.revision.lose(i, nil)
	i.emit(Event{Kind: EventStopped, PID: p.pid()})
}

// crash reports that the process has ended by itself, or could not start.
func (i *instance) crash(reason string, atStart bool) {
	f := i.revision.function
	i.failure = &Failure{Time: time.Now(), Revision: i.revision.name, Reason: reason, Lines: i.tail.last(), atStart: atStart}
	close(i.finished)
	if !i.revision.lose(i, i.failure) {
		return
	}
	f.runner.config.Logger.Warn("function crashed", "function", f.name, "revision", i.revision.name, "reason", reason)
	i.emit(Event{Kind: EventCrashed, PID: i.pid, Failure: i.failure})
}

// output takes a line that the process wrote.
func (i *instance) output(cmd *exec.Cmd, stream, text string, cut bool) {
	rev := i.revision
	line := LogLine{
		Time: time.Now(), Function: rev.function.name, Revision: rev.name, PID: cmd.Process.Pid, Stream: stream, Text: text, Cut: cut,
	}
	i.tail.add(text)
	rev.function.log.add(line)
	i.emit(Event{Kind: EventLog, PID: line.PID, Line: line})
}

func (i *instance) emit(e Event) {
	e.Function, e.Revision = i.revision.function.name, i.revision.name
	i.revision.function.runner.emit(e)
}

// doubt takes an instance that refused a connection out of service until a probe succeeds.
func (i *instance) doubt() {
	f := i.revision.function
	f.mu.Lock()
	defer f.mu.Unlock()
	if i.state != ready {
		return
	}
	i.state = unready
	select {
	case i.suspect <- struct{}{}:
	default:
	}
}

// probeResult is how a probe ended.
type probeResult int

const (
	probeReady probeResult = iota
	probeEnded
	probeStopped
	probeTimeout
)

// probeStep gives the pause between connection attempts: short at first, because a cold start waits for it, longer for slow starters.
func probeStep(since time.Duration) time.Duration {
	switch {
	case since < 100*time.Millisecond:
		return time.Millisecond
	case since < time.Second:
		return 5 * time.Millisecond
	default:
		return 25 * time.Millisecond
	}
}

// probe connects until the process accepts.
func (i *instance) probe(p *process) probeResult {
	began := time.Now()
	limit := i.revision.spec.StartTimeout
	ctx, cancel := context.WithTimeout(i.revision.killed, limit)
	defer cancel()
	dialer := net.Dialer{Timeout: time.Second}
	for {
		if conn, err := dialer.DialContext(ctx, "tcp", i.addr); err == nil {
			discard(conn)
			return probeReady
		}
		pause := time.NewTimer(probeStep(time.Since(began)))
		select {
		case <-pause.C:
			continue
		case <-p.exited:
			pause.Stop()
			return probeEnded
		case <-i.stop:
			pause.Stop()
			return probeStopped
		case <-ctx.Done():
			pause.Stop()
			if i.revision.killed.Err() != nil {
				<-i.stop
				return probeStopped
			}
			return probeTimeout
		}
	}
}
