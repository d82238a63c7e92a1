package endpoint

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/broker/keys"
	"github.com/hpcclab/oaas-go/odgm/message"
)

// capable is what a shard can do, in the words of OaaS-RS.
type capable struct {
	Class         string   `json:"class"`
	Partition     uint32   `json:"partition"`
	Shard         uint64   `json:"shard_id"`
	EventPipeline bool     `json:"event_pipeline_v2"`
	Storage       string   `json:"storage_backend"`
	Version       string   `json:"odgm_version"`
	Features      features `json:"features"`
}

type features struct {
	Granular bool `json:"granular_storage"`
	// Bridge says that objects with numbers as ids and those with text are the same.
	Bridge bool `json:"bridge_mode"`
	Wasm   bool `json:"wasm_runtime"`
}

// unable is the answer where there is no such shard.
type unable struct {
	Error string `json:"error"`
}

// capabilities answers for each shard that the key may mean.
func (r *request) capabilities(ctx context.Context) error {
	partition, shard := uint64(0), uint64(0)
	var err error
	if r.key.Partition != keys.Any {
		partition, err = strconv.ParseUint(r.key.Partition, 10, 32)
	}
	if r.key.Name != keys.Any && err == nil {
		shard, err = strconv.ParseUint(r.key.Name, 10, 64)
	}
	if err != nil || r.key.Class != keys.Any && keys.IsWild(r.key.Class) {
		return r.told(ctx, unable{"bad_request"}, r.key)
	}
	found := false
	for _, c := range r.e.served() {
		spec := c.spec.Load()
		if r.key.Class != keys.Any && r.key.Class != c.name || spec == nil {
			continue
		}
		first, last := uint64(0), uint64(max(spec.Partitions, 1))
		if r.key.Partition != keys.Any {
			first, last = partition, min(last, partition+1)
		}
		for n := first; n < last; n++ {
			id := message.ShardID(c.name, uint32(n))
			if r.key.Name != keys.Any && shard != id {
				continue
			}
			found = true
			if err := r.told(ctx, capable{
				Class: c.name, Partition: uint32(n), Shard: id, EventPipeline: true, Storage: spec.Engine, Version: r.e.cfg.Version,
				Features: features{Granular: true, Bridge: true, Wasm: r.e.cfg.Modules},
			}, keys.Of(c.name, uint32(n)).Capabilities(strconv.FormatUint(id, 10))); err != nil {
				return err
			}
		}
	}
	if !found && !r.query.KeyExpr().IsWild() {
		return r.told(ctx, unable{"not_found"}, r.key)
	}
	return nil
}

func (r *request) told(ctx context.Context, answer any, key keys.Key) error {
	text, err := json.Marshal(answer)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "encode capabilities")
	}
	return r.send(ctx, key, text, nil)
}

// served gives the classes in the order of their names.
func (e *Endpoint) served() []*class {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := make([]*class, 0, len(e.classes))
	for _, name := range slices.Sorted(maps.Keys(e.classes)) {
		list = append(list, e.classes[name])
	}
	return list
}
