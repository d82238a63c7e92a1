package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hpcclab/oaas-go/odgm/condition"
	"github.com/hpcclab/oaas-go/odgm/engine"
	"github.com/hpcclab/oaas-go/odgm/engine/backend"
	"github.com/hpcclab/oaas-go/odgm/record"
	"github.com/hpcclab/oaas-go/odgm/shard"
)

// storage measures synced sets of 1 KiB: the engine with batches of the same size, and the shard with as many clients.
func storage(ctx context.Context, t *table, length time.Duration) error {
	for _, kind := range []string{backend.Pebble, backend.Bbolt} {
		for _, clients := range []int{1, 64} {
			limit, err := engineSets(kind, clients, length)
			if err != nil {
				return err
			}
			ours, err := shardSets(ctx, kind, clients, length)
			if err != nil {
				return err
			}
			t.add(fmt.Sprintf("synced set of 1 KiB, %s, %d clients", kind, clients),
				fmt.Sprintf("%.0f/s", ours), fmt.Sprintf("engine alone, batches of %d: %.0f/s", clients, limit), ours/limit)
		}
	}
	return nil
}

// engineSets commits batches of the given size as fast as the engine can, and gives the sets per second.
func engineSets(kind string, batch int, length time.Duration) (float64, error) {
	dir, err := os.MkdirTemp("", "oaas-bench-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	eng, err := backend.Open(kind, filepath.Join(dir, "0"))
	if err != nil {
		return 0, err
	}
	defer eng.Close()
	value := make([]byte, 1024)
	sets := 0
	begun := time.Now()
	for time.Since(begun) < length {
		if err := eng.Update(func(tx engine.Tx) error {
			for i := range batch {
				if err := tx.Put(fmt.Appendf(nil, "object-%d", i), value); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return 0, err
		}
		sets += batch
	}
	return float64(sets) / time.Since(begun).Seconds(), nil
}

// shardSets has clients set an entry of an object of their own, each waiting for its answer, and gives the sets per second.
func shardSets(ctx context.Context, kind string, clients int, length time.Duration) (float64, error) {
	dir, err := os.MkdirTemp("", "oaas-bench-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	eng, err := backend.Open(kind, filepath.Join(dir, "0"))
	if err != nil {
		return 0, err
	}
	s, err := shard.Open(shard.Config{Class: "bench.record", Engine: eng, Conditions: condition.NewCache(1024)})
	if err != nil {
		return 0, err
	}
	defer s.Close()
	value := make([]byte, 1024)
	var sets atomic.Int64
	errs := make([]error, clients)
	var wg sync.WaitGroup
	begun := time.Now()
	for c := range clients {
		wg.Go(func() {
			id := fmt.Sprintf("object-%d", c)
			for time.Since(begun) < length {
				w := &record.Write{Object: id, Puts: []*record.Put{{Key: "value", Data: value}}}
				if _, errs[c] = s.Do(ctx, &record.Command{Body: &record.Command_Write{Write: w}}); errs[c] != nil {
					return
				}
				sets.Add(1)
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return 0, err
		}
	}
	return float64(sets.Load()) / time.Since(begun).Seconds(), nil
}
