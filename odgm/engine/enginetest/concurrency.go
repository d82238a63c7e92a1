package enginetest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hpcclab/oaas-go/odgm/engine"
)

func testViewKeepsState(t *testing.T, e engine.Engine) {
	put(t, e, "a", "0")
	view(t, e, func(r engine.Reader) error {
		for i := 1; i <= 20; i++ {
			done := make(chan error)
			go func() { done <- e.Update(func(tx engine.Tx) error { return replace(tx, i) }) }()
			err := errors.Join(<-done, expect(r, "a", "0", true), expect(r, "b", "", false))
			got, scanErr := pairs(r, nil, nil)
			expectPairs(t, got, "a=0")
			if err := errors.Join(err, scanErr); err != nil {
				return err
			}
			view(t, e, func(now engine.Reader) error { return expect(now, "a", strconv.Itoa(i), true) })
		}
		return nil
	})
	expectDump(t, e, "a=20", "b=20")
}

// replace deletes everything and writes i twice.
func replace(tx engine.Tx, i int) error {
	value := []byte(strconv.Itoa(i))
	return errors.Join(tx.DeleteRange(nil, nil), tx.Put([]byte("a"), value), tx.Put([]byte("b"), value))
}

// testViewDuringUpdate would hang if Views waited for a running Update.
func testViewDuringUpdate(t *testing.T, e engine.Engine) {
	put(t, e, "a", "1")
	update(t, e, func(tx engine.Tx) error {
		if err := tx.Put([]byte("a"), []byte("2")); err != nil {
			return err
		}
		done := make(chan error)
		go func() { done <- e.View(func(r engine.Reader) error { return expect(r, "a", "1", true) }) }()
		return <-done
	})
	expectDump(t, e, "a=2")
}

// testUpdateDuringView would hang if an Update waited for a running View, also one that makes files grow.
func testUpdateDuringView(t *testing.T, e engine.Engine) {
	put(t, e, "a", "1")
	large := make([]byte, 1<<20)
	view(t, e, func(r engine.Reader) error {
		done := make(chan error)
		go func() {
			for i := range 24 {
				if err := e.Update(func(tx engine.Tx) error { return tx.Put([]byte(numbered(i)), large) }); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
		return errors.Join(<-done, expect(r, "a", "1", true), expect(r, numbered(0), "", false))
	})
}

// testConcurrency has writers that replace the whole state, and readers that must find each state whole and never go back.
func testConcurrency(t *testing.T, e engine.Engine) {
	const writers, updates, readers = 4, 50, 4
	var last atomic.Int64 // highest number of an acknowledged update
	update(t, e, func(tx engine.Tx) error { return replace(tx, 0) })
	var writing, reading sync.WaitGroup
	for range writers {
		writing.Go(func() {
			for range updates {
				var mine int64
				if err := e.Update(func(tx engine.Tx) (err error) {
					mine, err = next(tx)
					return err
				}); err != nil {
					t.Errorf("update: %v", err)
					return
				}
				for seen := last.Load(); seen < mine && !last.CompareAndSwap(seen, mine); seen = last.Load() {
				}
			}
		})
	}
	stop := make(chan struct{})
	for range readers {
		reading.Go(func() {
			for {
				acknowledged := last.Load()
				if err := e.View(func(r engine.Reader) error { return checkWhole(r, acknowledged) }); err != nil {
					t.Errorf("view: %v", err)
					return
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	writing.Wait()
	close(stop)
	reading.Wait()
	expectDump(t, e, "a=200", "b=200")
}

// next replaces the state by its successor.
func next(tx engine.Tx) (int64, error) {
	value, _, err := tx.Get([]byte("a"))
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(string(value))
	if err != nil {
		return 0, err
	}
	return int64(n + 1), replace(tx, n+1)
}

// checkWhole expects a state that replace has written, not older than the one acknowledged before.
func checkWhole(r engine.Reader, acknowledged int64) error {
	all, err := pairs(r, nil, nil)
	if err != nil {
		return err
	}
	if len(all) != 2 || all[0].value != all[1].value {
		return fmt.Errorf("a view shows half an update: %q", all)
	}
	n, err := strconv.ParseInt(all[0].value, 10, 64)
	if err != nil || n < acknowledged {
		return fmt.Errorf("a view shows update %s after %d was acknowledged: %w", all[0].value, acknowledged, err)
	}
	return expect(r, "a", all[0].value, true)
}

// testTransfers moves amounts between accounts while Views add them up.
func testTransfers(t *testing.T, e engine.Engine) {
	const accounts, transfers, initial = 50, 100, 1000
	amount := func(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
	update(t, e, func(tx engine.Tx) (err error) {
		for i := range accounts {
			err = errors.Join(err, tx.Put([]byte(numbered(i)), amount(initial)))
		}
		return err
	})
	move := func(tx engine.Tx, account int, delta int) error {
		key := []byte(numbered(account % accounts))
		value, found, err := tx.Get(key)
		if err != nil || !found {
			return fmt.Errorf("account %s: %v, %w", key, found, err)
		}
		return tx.Put(key, amount(binary.BigEndian.Uint64(value)+uint64(delta)))
	}
	var all sync.WaitGroup
	for worker := range 2 {
		all.Go(func() {
			for i := range transfers {
				if err := e.Update(func(tx engine.Tx) error {
					return errors.Join(move(tx, i*7+worker, -3), move(tx, i*13+worker+1, 3))
				}); err != nil {
					t.Errorf("transfer: %v", err)
				}
			}
		})
		all.Go(func() {
			for range transfers {
				var sum uint64
				err := e.View(func(r engine.Reader) error {
					sum = 0
					return r.Scan(nil, nil, func(_, value []byte) bool {
						sum += binary.BigEndian.Uint64(value)
						return true
					})
				})
				if err != nil || sum != accounts*initial {
					t.Errorf("sum of all accounts is %d, want %d: %v", sum, accounts*initial, err)
				}
			}
		})
	}
	all.Wait()
}

// testCloseWaits closes while a View and an Update run: both finish their work.
func testCloseWaits(t *testing.T, e engine.Engine) {
	put(t, e, "a", "1")
	var running, all sync.WaitGroup
	var finished atomic.Int32
	running.Add(2)
	proceed := make(chan struct{})
	work := func(r engine.Reader) error {
		running.Done()
		<-proceed
		defer finished.Add(1)
		return expect(r, "a", "1", true)
	}
	all.Go(func() {
		if err := e.View(work); err != nil {
			t.Errorf("view: %v", err)
		}
	})
	all.Go(func() {
		err := e.Update(func(tx engine.Tx) error { return errors.Join(work(tx), tx.Put([]byte("b"), nil)) })
		if err != nil {
			t.Errorf("update: %v", err)
		}
	})
	running.Wait()
	closed := make(chan struct{})
	all.Go(func() {
		defer close(closed)
		if err := e.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if n := finished.Load(); n != 2 {
			t.Errorf("close returned when %d of 2 functions had finished", n)
		}
	})
	for { // until Close has begun: it refuses new Views
		if err := e.View(func(engine.Reader) error { return nil }); errors.Is(err, engine.ErrClosed) {
			break
		}
	}
	select {
	case <-closed:
		t.Error("close did not wait")
	default:
	}
	close(proceed)
	all.Wait()
}

func testClosed(t *testing.T, e engine.Engine) {
	put(t, e, "a", "1")
	if err := e.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	_, sizeErr := e.Size()
	for name, err := range map[string]error{
		"view":   e.View(func(engine.Reader) error { return errors.New("must not run") }),
		"update": e.Update(func(engine.Tx) error { return errors.New("must not run") }),
		"size":   sizeErr,
		"close":  e.Close(),
	} {
		if !errors.Is(err, engine.ErrClosed) {
			t.Errorf("%s of a closed engine: %v", name, err)
		}
	}
}
