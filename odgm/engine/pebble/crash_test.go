package pebble

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/hpcclab/oaas-go/odgm/engine"
	"github.com/hpcclab/oaas-go/odgm/engine/enginetest"
)

func TestFull(t *testing.T) { enginetest.RunFull(t, openDir) }

func openFS(t *testing.T, files vfs.FS) *Engine {
	t.Helper()
	e, err := open("data", slog.New(slog.DiscardHandler), files)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return e
}

func writeBatch(e engine.Engine, n int) error {
	return e.Update(func(tx engine.Tx) error { return enginetest.WriteBatch(tx, n) })
}

// crash is what a disk may hold if the power fails at one moment.
type crash struct {
	disk         *vfs.MemFS
	acknowledged int // the last batch that was acknowledged before
	survived     int // percent of the data not synced that survived
}

// crasher takes a crash before every write, sync, rename and so on.
type crasher struct {
	disk         *vfs.MemFS
	acknowledged atomic.Int64
	on           atomic.Bool

	mu      sync.Mutex // guards what follows: flushes run beside commits
	random  *rand.Rand
	crashes []crash
}

func (c *crasher) MaybeError(op errorfs.Op) error {
	if c.on.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
		c.take()
	}
	return nil
}

func (c *crasher) String() string { return "crasher" }

func (c *crasher) take() {
	c.mu.Lock()
	defer c.mu.Unlock()
	acknowledged := int(c.acknowledged.Load())
	for _, survived := range []int{0, 50} {
		clone := c.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: survived, RNG: c.random})
		c.crashes = append(c.crashes, crash{clone, acknowledged, survived})
	}
}

func (c *crasher) drain() []crash {
	c.mu.Lock()
	defer c.mu.Unlock()
	crashes := c.crashes
	c.crashes = nil
	return crashes
}

// TestCrashAtEveryWrite cuts the power at each write of 60 commits, with flushes and compactions between them.
func TestCrashAtEveryWrite(t *testing.T) {
	disk := vfs.NewCrashableMem()
	c := &crasher{disk: disk, random: rand.New(rand.NewPCG(1, 4))}
	e := openFS(t, errorfs.Wrap(disk, c))
	c.on.Store(true)
	checked := 0
	for n := 1; n <= 60; n++ {
		if err := writeBatch(e, n); err != nil {
			t.Fatal(err)
		}
		c.acknowledged.Store(int64(n))
		c.take()
		var err error
		switch n % 20 {
		case 10:
			err = e.db.Flush()
		case 19:
			err = e.db.Compact(t.Context(), []byte("a"), []byte("z"), false)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, crash := range c.drain() {
			if err := recoverFrom(t, crash); err != nil {
				t.Fatalf("batch %d, crash %d, %d %% survived: %v", n, checked, crash.survived, err)
			}
			checked++
		}
	}
	c.on.Store(false)
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if checked < 240 {
		t.Errorf("only %d crashes were tried", checked)
	}
}

// recoverFrom opens what a crash left: it must hold the acknowledged batch or the one after it, and take further ones.
func recoverFrom(t *testing.T, c crash) error {
	e := openFS(t, c.disk)
	last, err := enginetest.CheckBatches(e)
	if err == nil && last != c.acknowledged && last != c.acknowledged+1 {
		err = fmt.Errorf("batch %d was acknowledged, but batch %d was found last", c.acknowledged, last)
	}
	return errors.Join(err, writeBatch(e, last+1), e.Close())
}

// errDisk is what a broken disk says.
var errDisk = errors.New("disk is broken")

// TestBrokenDisk fails one kind of operation on log files, and all later ones.
func TestBrokenDisk(t *testing.T) {
	for _, c := range []struct {
		name  string
		kinds []errorfs.OpKind
	}{
		{"write", []errorfs.OpKind{errorfs.OpFileWrite}},
		{"sync", []errorfs.OpKind{errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var broken atomic.Bool
			disk := vfs.NewCrashableMem()
			e := openFS(t, errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
				for _, kind := range c.kinds {
					if broken.Load() && op.Kind == kind && strings.HasSuffix(op.Path, ".log") {
						return errDisk
					}
				}
				return nil
			})))
			for n := 1; n <= 10; n++ {
				if err := writeBatch(e, n); err != nil {
					t.Fatal(err)
				}
			}
			broken.Store(true)
			err := writeBatch(e, 11)
			if !errors.Is(err, errDisk) {
				t.Errorf("update does not give the cause: %v", err)
			}
			enginetest.CheckFailed(t, e, err, 10)
			clone := disk.CrashClone(vfs.CrashCloneCfg{})
			if err := e.Close(); err != nil && !errors.Is(err, errDisk) {
				t.Errorf("close: %v", err)
			}
			if err := recoverFrom(t, crash{disk: clone, acknowledged: 10}); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestViewsWaitForTheSync holds a sync back: the batch is in pebble by then, but no View may show it.
func TestViewsWaitForTheSync(t *testing.T) {
	var hold atomic.Bool
	syncing, proceed := make(chan struct{}), make(chan struct{})
	e := openFS(t, errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		isSync := op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData
		if isSync && strings.HasSuffix(op.Path, ".log") && hold.CompareAndSwap(true, false) {
			close(syncing)
			<-proceed
		}
		return nil
	})))
	if err := writeBatch(e, 1); err != nil {
		t.Fatal(err)
	}
	hold.Store(true)
	done := make(chan error)
	go func() { done <- writeBatch(e, 2) }()
	<-syncing
	for range 100 {
		if last, err := enginetest.CheckBatches(e); err != nil || last != 1 {
			t.Errorf("view during the sync: batch %d, %v", last, err)
			break
		}
	}
	close(proceed)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if last, err := enginetest.CheckBatches(e); err != nil || last != 2 {
		t.Errorf("view after the sync: batch %d, %v", last, err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// TestBreakdown has pebble panic in a commit, here because it was closed behind the engine's back.
func TestBreakdown(t *testing.T) {
	e := openFS(t, vfs.NewMem())
	err := e.Update(func(tx engine.Tx) error {
		if err := e.db.Close(); !strings.Contains(fmt.Sprint(err), "leaked snapshots") {
			return err
		}
		return tx.Put([]byte("a"), nil)
	})
	if !errors.Is(err, engine.ErrFailed) {
		t.Errorf("update: %v", err)
	}
	if err := e.Close(); err == nil || !strings.Contains(err.Error(), "stay open") {
		t.Errorf("close: %v", err)
	}
}
