// Package enginetest is the contract test of storage engines, with histories, crashes and benchmarks.
//
// Guarantee: what passes Run keeps the promises of engine.Engine while the process lives, what passes RunDurable and RunKill keeps them over
// restarts and kills. What is particular to one engine (a torn page, a disk that fails) is tested beside that engine.
package enginetest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/hpcclab/oaas-go/odgm/engine"
)

// Opener opens an engine with its data in dir, which may be empty or have the data of an earlier engine.
type Opener func(dir string) (engine.Engine, error)

// Run tests the contract that all engines keep. open gives a new, empty engine; Run closes it.
func Run(t *testing.T, open func(t *testing.T) engine.Engine) {
	for _, c := range []struct {
		name string
		test func(*testing.T, engine.Engine)
	}{
		{"empty engine", testEmpty},
		{"put get delete", testPutGetDelete},
		{"empty value is a value", testEmptyValue},
		{"any bytes as key", testKeyBytes},
		{"refused writes", testRefusedWrites},
		{"caller's slices are copied", testCopies},
		{"slices stay valid in a view", testStableSlices},
		{"scan bounds and order", testScanBounds},
		{"scan stops early", testScanStops},
		{"scan while writing", testScanWhileWriting},
		{"scan merges own writes", testScanMerge},
		{"delete range", testDeleteRange},
		{"failed update leaves nothing", testFailedUpdate},
		{"panic leaves nothing and passes", testPanic},
		{"update without writes", testIdleUpdate},
		{"large values", testLargeValues},
		{"size", testSize},
		{"view keeps its state", testViewKeepsState},
		{"view does not wait for an update", testViewDuringUpdate},
		{"update does not wait for a view", testUpdateDuringView},
		{"views and updates at once", testConcurrency},
		{"transfers keep their sum", testTransfers},
		{"close waits", testCloseWaits},
		{"closed engine", testClosed},
		{"many keys in little memory", testManyKeys},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := open(t)
			t.Cleanup(func() {
				if err := e.Close(); err != nil && !errors.Is(err, engine.ErrClosed) {
					t.Errorf("close: %v", err)
				}
			})
			c.test(t, e)
		})
	}
	t.Run("random histories", func(t *testing.T) { testHistories(t, open) })
}

// put writes one value.
func put(t testing.TB, e engine.Engine, key, value string) {
	t.Helper()
	update(t, e, func(tx engine.Tx) error { return tx.Put([]byte(key), []byte(value)) })
}

func update(t testing.TB, e engine.Engine, fn func(engine.Tx) error) {
	t.Helper()
	if err := e.Update(fn); err != nil {
		t.Fatalf("update: %v", err)
	}
}

func view(t testing.TB, e engine.Engine, fn func(engine.Reader) error) {
	t.Helper()
	if err := e.View(fn); err != nil {
		t.Fatalf("view: %v", err)
	}
}

// pair is a key and its value, as text that a failure can show.
type pair struct{ key, value string }

// pairs reads [from, to) of r.
func pairs(r engine.Reader, from, to []byte) (all []pair, err error) {
	err = r.Scan(from, to, func(key, value []byte) bool {
		all = append(all, pair{string(key), string(value)})
		return true
	})
	return all, err
}

// dump reads everything.
func dump(t testing.TB, e engine.Engine) (all []pair) {
	t.Helper()
	view(t, e, func(r engine.Reader) (err error) {
		all, err = pairs(r, nil, nil)
		return err
	})
	return all
}

// expect compares one value; found says whether there should be one.
func expect(r engine.Reader, key, value string, found bool) error {
	got, ok, err := r.Get([]byte(key))
	if err != nil {
		return err
	}
	if ok != found || string(got) != value {
		return fmt.Errorf("get %q: %.40q, %v; want %.40q, %v", key, got, ok, value, found)
	}
	return nil
}

// expectDump compares everything with "key=value" texts, in order.
func expectDump(t testing.TB, e engine.Engine, want ...string) {
	t.Helper()
	expectPairs(t, dump(t, e), want...)
}

func expectPairs(t testing.TB, got []pair, want ...string) {
	t.Helper()
	texts := make([]string, 0, len(got))
	for _, p := range got {
		texts = append(texts, p.key+"="+p.value)
	}
	if fmt.Sprintf("%q", texts) != fmt.Sprintf("%q", append([]string{}, want...)) {
		t.Errorf("found %q, want %q", texts, want)
	}
}
