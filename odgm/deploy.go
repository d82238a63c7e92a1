package odgm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"

	"google.golang.org/protobuf/proto"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/odgm/call"
	"github.com/hpcclab/oaas-go/odgm/engine/backend"
	"github.com/hpcclab/oaas-go/odgm/invoke"
	"github.com/hpcclab/oaas-go/odgm/outbox"
	"github.com/hpcclab/oaas-go/odgm/record"
	"github.com/hpcclab/oaas-go/odgm/shard"
	"github.com/hpcclab/oaas-go/odgm/stream"
)

// class is a deployed class with its partitions. The partitions never change while it is deployed; the spec may.
type class struct {
	spec       atomic.Pointer[Class]
	partitions []*partition
	hub        atomic.Pointer[stream.Hub] // replaced when the class keeps changes no longer
}

// partition is a shard with what works on it.
type partition struct {
	class  string
	number uint32
	shard  *shard.Shard
	outbox atomic.Pointer[outbox.Outbox] // set once deliveries have begun
	async  *invoke.Async
}

// Deploy makes a class known, or changes it. Its objects stay; calls that are running finish as they began. A class that has data keeps its
// engine and its number of partitions: another number is refused, as objects would no longer be found.
func (g *Grid) Deploy(ctx context.Context, spec Class) error {
	if err := checkClass(&spec); err != nil {
		return err
	}
	g.deploying.Lock()
	defer g.deploying.Unlock()
	if err := g.deploy(ctx, spec); err != nil {
		return err
	}
	g.tell(spec.Name, &spec)
	return nil
}

// deploy is Deploy of a spec that is checked. The caller holds deploying.
func (g *Grid) deploy(ctx context.Context, spec Class) error {
	g.mu.RLock()
	known, closed := g.classes[spec.Name], g.closed
	g.mu.RUnlock()
	if closed {
		return fault.New(fault.Unavailable, "deploy class %s: the platform is stopping", spec.Name)
	}
	if known != nil {
		return g.redeploy(ctx, known, &spec)
	}
	c := &class{}
	c.hub.Store(stream.NewHub(spec.Name))
	c.spec.Store(&spec)
	if err := g.openPartitions(ctx, c, &spec); err != nil {
		return errors.Join(err, c.close(ctx))
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.classes[spec.Name] = c
	return nil
}

// redeploy changes the spec of a class in place.
func (g *Grid) redeploy(ctx context.Context, known *class, spec *Class) error {
	old := known.spec.Load()
	if err := checkUnchanged(spec, layout{Partitions: old.Partitions, Engine: old.Engine}); err != nil {
		return err
	}
	for _, p := range known.partitions {
		if err := configure(ctx, p.shard, spec); err != nil {
			return fmt.Errorf("deploy class %s: %w", spec.Name, err)
		}
	}
	known.spec.Store(spec)
	if spec.Changes.Off {
		known.hub.Swap(stream.NewHub(spec.Name)).Close(unwatched(spec.Name))
	}
	return nil
}

// configure gives a shard the part of the class that it keeps, if it differs from what it has.
func configure(ctx context.Context, s *shard.Shard, spec *Class) error {
	config := spec.config()
	if proto.Equal(s.ClassConfig(), config) {
		return nil
	}
	_, err := s.Do(ctx, &record.Command{Body: &record.Command_Configure{Configure: config}})
	return err
}

// Undeploy stops a class; with purge its data is removed as well, else it is there again when the class is deployed again.
func (g *Grid) Undeploy(ctx context.Context, name string, purge bool) error {
	g.deploying.Lock()
	defer g.deploying.Unlock()
	c, err := g.class(name)
	if err != nil {
		return err
	}
	g.tell(name, nil)
	g.mu.Lock()
	delete(g.classes, name)
	g.mu.Unlock()
	if err := c.close(ctx); err != nil {
		return fmt.Errorf("undeploy class %s: %w", name, err)
	}
	if !purge || g.cfg.Dir == "" {
		return nil
	}
	if err := os.RemoveAll(filepath.Join(g.cfg.Dir, name)); err != nil {
		return fmt.Errorf("remove data of class %s: %w", name, err)
	}
	return nil
}

func checkClass(spec *Class) error {
	if spec.Partitions == 0 {
		spec.Partitions = 1
	}
	if spec.Partitions < 1 || spec.Partitions > 65535 {
		return fault.New(fault.InvalidArgument, "class %s: %d partitions; allowed are 1 to 65535", spec.Name, spec.Partitions)
	}
	if spec.Name == "" || filepath.Base(spec.Name) != spec.Name || spec.Name == "." || spec.Name == ".." {
		return fault.New(fault.InvalidArgument, "class name %q is not of the form package.class", spec.Name)
	}
	if spec.Engine == "" {
		spec.Engine = backend.Memory
	}
	return nil
}

// layout is what cannot change while a class has data; it is kept beside the data.
type layout struct {
	Partitions int    `json:"partitions"`
	Engine     string `json:"engine"`
}

func checkUnchanged(spec *Class, have layout) error {
	if spec.Partitions == have.Partitions && spec.Engine == have.Engine {
		return nil
	}
	return fault.New(fault.InvalidArgument,
		"class %s has data in %d partitions of engine %s and cannot change to %d partitions of engine %s; remove the class with its data first",
		spec.Name, have.Partitions, have.Engine, spec.Partitions, spec.Engine)
}

// openPartitions opens the shards of a new class and starts their deliveries and asynchronous calls.
func (g *Grid) openPartitions(ctx context.Context, c *class, spec *Class) error {
	dir, err := g.classDir(spec)
	if err != nil {
		return fmt.Errorf("deploy class %s: %w", spec.Name, err)
	}
	for number := range spec.Partitions {
		p, err := g.openPartition(ctx, spec, uint32(number), dir, c)
		if p != nil {
			c.partitions = append(c.partitions, p)
		}
		if err != nil {
			return fmt.Errorf("deploy class %s: partition %d: %w", spec.Name, number, err)
		}
	}
	return nil
}

// classDir makes the folder of a durable class, and checks that its data fits the spec.
func (g *Grid) classDir(spec *Class) (string, error) {
	if spec.Engine == backend.Memory {
		return "", nil
	}
	if g.cfg.Dir == "" {
		return "", fault.New(fault.InvalidArgument, "engine %s needs a data folder, and the grid has none", spec.Engine)
	}
	dir := filepath.Join(g.cfg.Dir, spec.Name)
	file := filepath.Join(dir, "layout.json")
	want := layout{Partitions: spec.Partitions, Engine: spec.Engine}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return dir, writeLayout(dir, file, want)
	}
	if err != nil {
		return "", err
	}
	var have layout
	decoder := json.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&have); err != nil {
		return "", fmt.Errorf("read %s: %w", file, err)
	}
	return dir, checkUnchanged(spec, have)
}

// writeLayout writes the file by renaming, so that it is there whole or not at all.
func writeLayout(dir, file string, l layout) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	draft := file + ".new"
	if err := os.WriteFile(draft, append(text, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(draft, file)
}

func (g *Grid) openPartition(ctx context.Context, spec *Class, number uint32, dir string, c *class) (*partition, error) {
	if dir != "" {
		dir = filepath.Join(dir, strconv.Itoa(int(number)))
	}
	eng, err := backend.Open(spec.Engine, dir)
	if err != nil {
		return nil, err
	}
	p := &partition{class: spec.Name, number: number}
	p.shard, err = shard.Open(shard.Config{
		Class: spec.Name, Partition: number, Engine: eng, Conditions: g.conditions, Cache: g.cache, Metrics: g.metrics,
		OnEvents: p.notify, OnChanges: func(commit shard.Changes) { c.hub.Load().Append(number, commit) },
	})
	if err != nil {
		return nil, errors.Join(err, eng.Close())
	}
	if err := configure(ctx, p.shard, spec); err != nil {
		return p, err
	}
	box, err := outbox.Open(outbox.Config{
		Name: fmt.Sprintf("%s/%d", spec.Name, number), Shard: p.shard, Dispatch: g.deliver, Logger: g.log, Registerer: g.cfg.Registerer,
	})
	if err != nil {
		return p, err
	}
	p.outbox.Store(box)
	p.async = invoke.NewAsync(invoke.AsyncConfig{
		Executor: g.executor, Shard: p.shard, Class: spec.Name, Partition: number, Method: c.method, Wait: g.gate.wait,
		Admit: func(kept *call.Call) error { return g.admit(c.spec.Load(), kept, originOf(kept.Caller)) },
	})
	return p, nil
}
