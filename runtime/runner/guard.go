package runner

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// guardVariable makes a process of this program the guard; its value is the run's mark.
const guardVariable = "OAAS_RUNNER_GUARD"

// guardReady is set by MaybeRunGuard: only a program that calls it may be executed again as a guard.
var guardReady atomic.Bool

// MaybeRunGuard makes this process the guard of a runner, and does not return, if a runner started it for that; otherwise it does nothing. A
// program that uses a Runner calls it first thing in main. Without the call the runner works, but has no guard.
//
// The guard waits for the end of the process that started it, and then kills what that left behind.
func MaybeRunGuard() {
	mark := os.Getenv(guardVariable)
	if mark == "" {
		guardReady.Store(true)
		return
	}
	signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	debug.FreeOSMemory()
	for _, pid := range readPIDs(os.Stdin) {
		killGroup(pid)
	}
	sweep(mark)
	os.Exit(0)
}

// readPIDs follows "+pid" and "-pid" lines until the other end is closed, and gives the ids that are left.
func readPIDs(r io.Reader) []int {
	live := map[int]bool{}
	for lines := bufio.NewScanner(r); lines.Scan(); {
		text := lines.Text()
		if len(text) < 2 {
			continue
		}
		pid, err := strconv.Atoi(text[1:])
		if err != nil || pid <= 1 {
			continue
		}
		if text[0] == '+' {
			live[pid] = true
		} else {
			delete(live, pid)
		}
	}
	pids := make([]int, 0, len(live))
	for pid := range live {
		pids = append(pids, pid)
	}
	return pids
}

// guard keeps a guard process running beside a runner.
type guard struct {
	mark    string
	logger  *slog.Logger
	spawner *spawner

	mu     sync.Mutex
	live   map[int]bool
	pipe   *os.File // nil: no guard runs
	closed bool
	done   chan struct{} // closed when keep has ended; nil without guard
	stop   chan struct{}
}

// newGuard starts the guard process, if the program can be one.
func newGuard(mark string, logger *slog.Logger, s *spawner) (*guard, error) {
	g := &guard{mark: mark, logger: logger, spawner: s, live: map[int]bool{}, stop: make(chan struct{})}
	if !guardReady.Load() {
		logger.Warn("functions have no guard process: the program does not call runner.MaybeRunGuard")
		return g, nil
	}
	cmd, err := g.start()
	if err != nil {
		return nil, err
	}
	g.done = make(chan struct{})
	go g.keep(cmd)
	return g, nil
}

// start executes this program as guard and tells it about the processes that live.
func (g *guard) start() (*exec.Cmd, error) {
	self, err := executable()
	if err != nil {
		return nil, fmt.Errorf("find the program for the guard: %w", err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("open the guard's pipe: %w", err)
	}
	defer discard(r)
	cmd := exec.Command(self)
	cmd.Args = []string{"oaas-guard"}
	cmd.Env = append(Config{HostEnv: defaultHostEnv()}.hostEnv(), guardVariable+"="+g.mark, "GOMAXPROCS=1", "GOGC=20")
	cmd.Stdin = r
	cmd.SysProcAttr = guardAttributes()
	if err := g.spawner.start(cmd); err != nil {
		discard(w)
		return nil, fmt.Errorf("start the guard: %w", err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		discard(w)
		return cmd, nil
	}
	g.pipe = w
	for pid := range g.live {
		g.tell('+', pid)
	}
	return cmd, nil
}

// restartPause keeps a guard that cannot run from being started in a loop.
const restartPause = time.Second

// keep waits for the guard process and starts another one if somebody killed it.
func (g *guard) keep(cmd *exec.Cmd) {
	defer close(g.done)
	for {
		err := error(nil)
		if cmd != nil {
			err = cmd.Wait()
		}
		g.mu.Lock()
		closed := g.closed
		if g.pipe != nil {
			discard(g.pipe)
			g.pipe = nil
		}
		g.mu.Unlock()
		if closed {
			return
		}
		g.logger.Error("the guard process of the functions has ended; starting another one", "err", err)
		select {
		case <-g.stop:
			return
		case <-time.After(restartPause):
		}
		if cmd, err = g.start(); err != nil {
			g.logger.Error("start the guard process again", "err", err)
			cmd = nil
		}
	}
}

// watch tells the guard about a process group that it has to kill when oaas dies.
func (g *guard) watch(pid int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.live[pid] = true
	g.tell('+', pid)
}

// forget is the opposite of watch.
func (g *guard) forget(pid int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.live, pid)
	g.tell('-', pid)
}

// tell writes to the guard. A failure means that the guard has ended, which keep deals with.
func (g *guard) tell(sign byte, pid int) {
	if g.pipe != nil {
		_, _ = g.pipe.WriteString(string(sign) + strconv.Itoa(pid) + "\n")
	}
}

// closePatience bounds how long close waits for the guard, which needs some milliseconds unless the machine is very busy.
const closePatience = 5 * time.Second

// close lets the guard kill what is left, and waits until it has.
func (g *guard) close() error {
	g.mu.Lock()
	if !g.closed {
		g.closed = true
		close(g.stop)
	}
	if g.pipe != nil {
		discard(g.pipe)
		g.pipe = nil
	}
	g.mu.Unlock()
	if g.done == nil {
		return nil
	}
	patience := time.NewTimer(closePatience)
	defer patience.Stop()
	select {
	case <-g.done:
		return nil
	case <-patience.C:
		return fmt.Errorf("the guard process is still busy after %v", closePatience)
	}
}
