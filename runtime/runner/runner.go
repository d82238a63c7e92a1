package runner

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/hpcclab/oaas-go/api/fault"
)

// Runner runs functions. Close it, or its processes end only with this one.
type Runner struct {
	config  Config
	hostEnv []string
	mark    string // of this run, in the environment of every process that it starts
	metrics *instruments
	spawner *spawner
	guard   *guard
	ports   ports

	stopping chan struct{}   // closed when Close begins
	killed   context.Context // done: no more patience
	kill     context.CancelFunc
	wg       sync.WaitGroup // every goroutine but the spawner's and the guard's

	closing   sync.Once
	closed    chan struct{}
	closeErr  error
	mu        sync.Mutex
	functions map[string]*Function
	revisions map[string]int // how many names were generated for each function
}

// errStopped is what is refused once Close has begun.
var errStopped = fault.New(fault.Unavailable, "the function runner is stopping")

// New makes a runner and starts its guard process; see MaybeRunGuard.
func New(config Config) (*Runner, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	mark := rand.Text()
	r := &Runner{
		config: config, hostEnv: config.hostEnv(), mark: mark, stopping: make(chan struct{}), closed: make(chan struct{}),
		functions: map[string]*Function{}, revisions: map[string]int{},
	}
	if outer := os.Getenv(markVariable); outer != "" {
		r.mark = outer + "/" + mark // this process is a function itself: the outer guard finds ours too
	}
	r.killed, r.kill = context.WithCancel(context.Background())
	r.metrics = newInstruments(r)
	if err := r.metrics.register(config.Registerer); err != nil {
		return nil, fmt.Errorf("register the metrics of functions: %w", err)
	}
	r.spawner = newSpawner()
	if r.guard, err = newGuard(mark, config.Logger, r.spawner); err != nil {
		r.spawner.stop()
		r.metrics.unregister(config.Registerer)
		return nil, err
	}
	r.wg.Go(r.autoscale)
	return r, nil
}

// Deploy brings up a function, or its next revision, and returns when it is ready. A revision takes over the requests when its first
// instance is ready; the one before drains meanwhile. If the new one does not start, the one before keeps serving, and the error tells
// the last lines of output. A function whose very first revision fails stays known, for Status and Logs, and refuses requests.
func (r *Runner) Deploy(ctx context.Context, spec Spec) (*Function, error) {
	spec = spec.clone()
	if err := spec.validate(); err != nil {
		return nil, err
	}
	p, err := newPolicy(spec, r.config.ScaleToZeroGrace)
	if err != nil {
		return nil, err
	}
	f, name, err := r.claim(ctx, spec)
	if err != nil {
		return nil, err
	}
	defer f.unclaim()
	if err := f.deploy(ctx, newRevision(f, name, spec, p)); err != nil {
		return nil, err
	}
	return f, nil
}

// claim gives the function of a spec, made if need be, with its change token, and the name of the revision.
func (r *Runner) claim(ctx context.Context, spec Spec) (*Function, string, error) {
	for {
		f, err := r.ensure(spec.Name)
		if err != nil {
			return nil, "", err
		}
		select {
		case <-f.change:
		case <-ctx.Done():
			return nil, "", f.contextFault(ctx.Err(), "wait for another change of it")
		case <-r.stopping:
			return nil, "", errStopped
		}
		f.mu.Lock()
		removed := f.removed
		f.mu.Unlock()
		if removed {
			f.unclaim()
			continue
		}
		return f, r.revisionName(spec), nil
	}
}

func (f *Function) unclaim() { f.change <- struct{}{} }

// ensure gives a function by name, and makes it if there is none.
func (r *Runner) ensure(name string) (*Function, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.stopping:
		return nil, errStopped
	default:
	}
	f := r.functions[name]
	if f == nil {
		f = newFunction(r, name)
		r.functions[name] = f
	}
	return f, nil
}

// revisionName gives the spec's, or the next one, as Knative counts them. The count goes on when a function is removed and made again.
func (r *Runner) revisionName(spec Spec) string {
	if spec.Revision != "" {
		return spec.Revision
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.revisions[spec.Name]++
	return fmt.Sprintf("%s-%05d", spec.Name, r.revisions[spec.Name])
}

// Function gives a function by name.
func (r *Runner) Function(name string) (*Function, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f, ok := r.functions[name]
	return f, ok
}

// lookup is Function with an error.
func (r *Runner) lookup(name string) (*Function, error) {
	f, ok := r.Function(name)
	if !ok {
		return nil, fault.New(fault.NotFound, "no function %q is deployed", name)
	}
	return f, nil
}

// Remove stops a function gracefully: requests that are there are answered, new ones are refused. It returns when its last process has
// ended. When ctx ends first, what is left is killed.
func (r *Runner) Remove(ctx context.Context, name string) error {
	f, err := r.lookup(name)
	if err != nil {
		return err
	}
	select {
	case <-f.change:
	case <-ctx.Done():
		return f.contextFault(ctx.Err(), "wait for another change of it")
	}
	defer f.unclaim()
	f.mu.Lock()
	removed := f.removed
	f.removed = true
	f.mu.Unlock()
	if removed {
		return fault.New(fault.NotFound, "no function %q is deployed", name)
	}
	f.remove(ctx)
	r.mu.Lock()
	delete(r.functions, name)
	r.mu.Unlock()
	r.metrics.forget(name)
	return nil
}

// Logs calls fn with the last tail lines of a function's output (all that are kept if tail is negative), of all its revisions. With follow it
// goes on with the lines to come until ctx ends, whose error it returns, or the function is removed.
func (r *Runner) Logs(ctx context.Context, name string, follow bool, tail int, fn func(LogLine)) error {
	f, err := r.lookup(name)
	if err != nil {
		return err
	}
	return f.log.read(ctx, follow, tail, fn)
}

// Close refuses new requests, lets the present ones end, and stops every process. When ctx ends first, what is left is killed. No process of
// a function is there when it returns.
func (r *Runner) Close(ctx context.Context) error {
	r.closing.Do(func() {
		r.closeErr = r.close(ctx)
		close(r.closed)
	})
	<-r.closed
	return r.closeErr
}

func (r *Runner) close(ctx context.Context) error {
	r.mu.Lock()
	close(r.stopping)
	names := make([]string, 0, len(r.functions))
	for name := range r.functions {
		names = append(names, name)
	}
	r.mu.Unlock()
	var removals sync.WaitGroup
	for _, name := range names {
		removals.Go(func() {
			// Not with ctx: waiting for a deploy that is being given up is short, and what must be removed must be removed.
			f, ok := r.Function(name)
			if !ok {
				return
			}
			<-f.change
			defer f.unclaim()
			f.mu.Lock()
			f.removed = true // a deploy that waits for the token must not go on
			f.mu.Unlock()
			f.remove(ctx)
		})
	}
	removals.Wait()
	stopKill := context.AfterFunc(ctx, r.kill)
	defer stopKill()
	r.wg.Wait()
	r.kill()
	r.spawner.stop()
	err := r.guard.close()
	r.metrics.unregister(r.config.Registerer)
	return err
}

// autoscale samples the load of all functions every second and decides on their scale every two.
func (r *Runner) autoscale() {
	ticks, stop := r.config.Clock.Tick(sampleInterval)
	defer stop()
	for n := 1; ; n++ {
		select {
		case <-ticks:
		case <-r.stopping:
			return
		}
		now := r.config.Clock.Now()
		for _, f := range r.all() {
			f.sample(now)
			if n%samplesADecision == 0 {
				f.autoscale(now)
			}
		}
	}
}

func (r *Runner) all() []*Function {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]*Function, 0, len(r.functions))
	for _, f := range r.functions {
		all = append(all, f)
	}
	return all
}

// emit tells OnEvent. No lock may be held: the callee may ask for the Status.
func (r *Runner) emit(e Event) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	r.config.OnEvent(e)
}
