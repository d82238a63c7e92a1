// Package shard is one replica of one partition of a class: its commands, the machine that applies them, and its reads.
//
// Guarantee: a command is applied as a whole or not at all, is durable when Do returns (on an engine that keeps data), and is seen by every read
// that begins afterwards. Reads see only what is durable. See ../DESIGN.md, sections 1 and 8.
package shard

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/odgm/condition"
	"github.com/hpcclab/oaas-go/odgm/engine"
	"github.com/hpcclab/oaas-go/odgm/record"
)

// Config is what a shard is made of.
type Config struct {
	Class     string
	Partition uint32
	// Engine is owned by the shard from Open on.
	Engine engine.Engine
	// Conditions compiles the conditions of class triggers; shared by all shards.
	Conditions *condition.Cache
	// Cache keeps hot reads; nil for none. Shared by all shards.
	Cache *Cache
	// OnEvents is told after each commit which outbox groups got events. It must return at once.
	OnEvents func(groups []string)
	// OnChanges is told after each commit what it added to the change log, in order. It must return at once.
	OnChanges func(changes Changes)
	// Metrics is shared by all shards; nil for none.
	Metrics *Metrics
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// maxGroup bounds the commands of one commit, in number and in bytes, so that no caller waits for too many others.
const (
	maxGroup      = 512
	maxGroupBytes = 8 << 20
)

// Shard is one replica of a partition, of kind none: it applies its commands itself, in groups.
type Shard struct {
	cfg     Config
	machine *Machine // used by the committing goroutine alone
	stripes *stripes
	id      uint64 // of this shard in the cache

	mu         sync.Mutex // guards what follows; held only for moments, never during a commit
	waiting    []*proposal
	committing bool
	closed     bool
	broken     error // why the shard refuses writes
	idle       *sync.Cond

	configMu sync.RWMutex
	config   *record.ClassConfig
	span     Span
}

// proposal is a command on its way into a group.
type proposal struct {
	cmd    *record.Command
	result Result
	err    error
	// wake gets true when this proposal's goroutine has to commit the next group, false when the proposal is done.
	wake chan bool
}

// Open takes the engine and reads the shard's configuration from it.
func Open(cfg Config) (*Shard, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.OnEvents == nil {
		cfg.OnEvents = func([]string) {}
	}
	if cfg.OnChanges == nil {
		cfg.OnChanges = func(Changes) {}
	}
	s := &Shard{cfg: cfg, stripes: &stripes{}, id: cacheIDs.Add(1)}
	s.idle = sync.NewCond(&s.mu)
	err := cfg.Engine.View(func(r engine.Reader) error {
		var err error
		s.machine, err = NewMachine(cfg.Class, cfg.Partition, cfg.Conditions, r)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open shard %s/%d: %w", cfg.Class, cfg.Partition, err)
	}
	s.machine.metrics = cfg.Metrics
	s.config, s.span = s.machine.Config(), s.machine.log.Span
	return s, nil
}

// Close waits for the commands under way and closes the engine. Commands that come later are refused.
func (s *Shard) Close() error {
	s.mu.Lock()
	s.closed = true
	for s.committing {
		s.idle.Wait()
	}
	s.mu.Unlock()
	return s.cfg.Engine.Close()
}

// Do applies a command. When it returns without error the command is durable and visible; after an *fault.Error nothing was changed. The
// context is looked at before the command is taken; from then on Do waits for the truth, which takes one or two commits.
func (s *Shard) Do(ctx context.Context, cmd *record.Command) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{}, fault.From(err)
	}
	if cmd.GetTime() == 0 {
		cmd.Time = s.cfg.Now().UnixNano()
	}
	p := &proposal{cmd: cmd, wake: make(chan bool, 1)}
	lead, err := s.enqueue(p)
	if err != nil {
		return Result{}, err
	}
	if lead || <-p.wake {
		s.commitGroup()
	}
	return p.result, p.err
}

// enqueue adds a proposal to the next group; lead is true when nobody is committing, so that the caller has to.
func (s *Shard) enqueue(p *proposal) (lead bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false, fault.New(fault.Unavailable, "shard %s/%d is closed", s.cfg.Class, s.cfg.Partition)
	}
	if s.broken != nil {
		return false, fault.Wrap(fault.Unavailable, s.broken, "shard %s/%d refuses writes since a commit failed; restart to recover", s.cfg.Class, s.cfg.Partition)
	}
	s.waiting = append(s.waiting, p)
	lead = !s.committing
	s.committing = true
	return lead, nil
}

// commitGroup commits what is waiting, of which the caller's proposal is the first, hands the lead to the next one and wakes the others.
func (s *Shard) commitGroup() {
	group := s.takeGroup()
	s.apply(group)
	s.mu.Lock()
	if len(s.waiting) > 0 {
		s.waiting[0].wake <- true
	} else {
		s.committing = false
		s.idle.Broadcast()
	}
	s.mu.Unlock()
	for _, p := range group[1:] {
		p.wake <- false
	}
}

func (s *Shard) takeGroup() []*proposal {
	s.mu.Lock()
	defer s.mu.Unlock()
	size, n := 0, 0
	for n < len(s.waiting) && n < maxGroup && (n == 0 || size < maxGroupBytes) {
		size += weight(s.waiting[n].cmd)
		n++
	}
	group := s.waiting[:n:n]
	s.waiting = s.waiting[n:]
	return group
}

// weight estimates the bytes of a command.
func weight(cmd *record.Command) int {
	size := 64 + len(cmd.GetWrite().GetCompletion().GetPayload()) + len(cmd.GetSubmit().GetInvocation().GetPayload())
	for _, put := range cmd.GetWrite().GetPuts() {
		size += len(put.GetKey()) + len(put.GetData())
	}
	return size
}

// apply applies a group in one engine transaction and fills in the proposals' answers.
func (s *Shard) apply(group []*proposal) {
	begun := time.Now()
	locked := s.stripes.lock(group)
	err := s.cfg.Engine.Update(func(tx engine.Tx) error {
		for _, p := range group {
			result, err := s.machine.Apply(tx, p.cmd)
			if refusal, ok := err.(*fault.Error); ok && err != nil {
				p.result, p.err = Result{}, refusal
				continue
			}
			if err != nil {
				return err
			}
			p.result, p.err = result, nil
		}
		return s.machine.Finish(tx)
	})
	s.stripes.unlock(locked)
	groups := s.machine.takeGroups()
	if err != nil {
		s.fail(group, err)
		return
	}
	s.configMu.Lock()
	s.config, s.span = s.machine.Config(), s.machine.log.Span
	s.configMu.Unlock()
	if changes := s.machine.takeChanges(); len(changes.Changes) > 0 {
		s.cfg.OnChanges(changes)
	}
	s.cfg.Metrics.committed(group, time.Since(begun))
	if len(groups) > 0 {
		s.cfg.OnEvents(groups)
	}
}

// fail answers a whole group with the engine's error, and stops taking writes: what is on disk is certain again only after a restart.
func (s *Shard) fail(group []*proposal, err error) {
	failure := fault.Wrap(fault.Internal, err, "commit to shard %s/%d", s.cfg.Class, s.cfg.Partition)
	for _, p := range group {
		p.result, p.err = Result{}, failure
	}
	s.mu.Lock()
	s.broken = err
	abandoned := s.waiting
	s.waiting = nil
	s.mu.Unlock()
	for _, p := range abandoned {
		p.err = failure
		p.wake <- false
	}
}

// Sweep removes what has outlived its time and gives the number of records.
func (s *Shard) Sweep(ctx context.Context) (int, error) {
	const batch = 1000
	total := 0
	for {
		due, err := s.expiryDue()
		if err != nil || !due {
			return total, err
		}
		result, err := s.Do(ctx, &record.Command{Body: &record.Command_Expire{Expire: &record.Expire{Limit: batch}}})
		total += result.Count
		if err != nil || result.Count < batch {
			return total, err
		}
	}
}

// expiryDue looks first, so that a sweep of a shard with nothing to remove commits nothing.
func (s *Shard) expiryDue() (due bool, err error) {
	err = s.cfg.Engine.View(func(r engine.Reader) error {
		at, ok, err := nextExpiry(r)
		if due = ok && at <= s.cfg.Now().UnixNano(); due || err != nil {
			return err
		}
		due, err = s.changesDue(r)
		return err
	})
	return due, err
}

// Replay moves the named dead letters, or all that are there now, back to the outbox, or drops them; it gives their number. Naming one that
// is not there is refused, and nothing is moved.
func (s *Shard) Replay(ctx context.Context, seqs []uint64, all, drop bool) (int, error) {
	if !all {
		result, err := s.Do(ctx, replayCommand(&record.Replay{Seqs: seqs, Drop: drop}))
		return result.Count, err
	}
	last, err := s.lastDeadLetter()
	if err != nil || last == 0 {
		return 0, err
	}
	total := 0
	for {
		result, err := s.Do(ctx, replayCommand(&record.Replay{All: true, Seqs: []uint64{last}, Drop: drop}))
		total += result.Count
		if err != nil || result.Count < replayBatch {
			return total, err
		}
	}
}

func replayCommand(r *record.Replay) *record.Command {
	return &record.Command{Body: &record.Command_Replay{Replay: r}}
}

// Wants reports whether a trigger, or the change log, waits for the end of a method of the object (an empty id: of a stateless function), with success
// (EVENT_TYPE_FUNC_COMPLETE) or failure (EVENT_TYPE_FUNC_ERROR), so that it is worth a commit. When it cannot tell, it says yes.
func (s *Shard) Wants(id, method string, end oprc.EventType) bool {
	if id != "" && s.ClassConfig().GetChanges().GetOutcomes() {
		return true
	}
	for _, t := range s.ClassConfig().GetTriggers() {
		if t.GetOn() == end && (t.GetMethod() == "" || t.GetMethod() == method) {
			return true
		}
	}
	if id == "" {
		return false
	}
	triggers, err := s.triggersOf(id)
	if err != nil {
		return true
	}
	if end == oprc.EventType_EVENT_TYPE_FUNC_ERROR {
		return len(triggers.GetFuncTrigger()[method].GetOnError()) > 0
	}
	return len(triggers.GetFuncTrigger()[method].GetOnComplete()) > 0
}

// ClassConfig gives the class configuration in force; it must not be changed.
func (s *Shard) ClassConfig() *record.ClassConfig {
	s.configMu.RLock()
	defer s.configMu.RUnlock()
	return s.config
}
