package enginetest

import (
	"errors"
	"fmt"
	"runtime"
	"testing"

	"github.com/hpcclab/oaas-go/odgm/engine"
)

func testScanBounds(t *testing.T, e engine.Engine) {
	update(t, e, func(tx engine.Tx) error {
		var err error
		for _, key := range []string{"c", "a", "e", "b", "d"} {
			err = errors.Join(err, tx.Put([]byte(key), []byte(key)))
		}
		return err
	})
	check := func(r engine.Reader) error {
		for _, c := range []struct{ from, to, want string }{
			{"-", "-", "abcde"}, {"", "-", "abcde"}, {"b", "-", "bcde"}, {"-", "d", "abc"}, {"b", "d", "bc"}, {"b", "b\x00", "b"},
			{"bb", "d", "c"}, {"b\x00", "c\x00", "c"}, {"b", "b", ""}, {"d", "b", ""}, {"a", "", ""}, {"-", "", ""}, {"e", "-", "e"},
			{"f", "-", ""}, {"0", "a", ""}, {"e", "f", "e"},
		} {
			got, err := pairs(r, bound(c.from), bound(c.to))
			if err != nil {
				return err
			}
			keys := ""
			for _, p := range got {
				keys += p.key
			}
			if keys != c.want {
				return fmt.Errorf("scan from %q to %q: %q, want %q", c.from, c.to, keys, c.want)
			}
		}
		return nil
	}
	view(t, e, check)
	update(t, e, func(tx engine.Tx) error { return check(tx) })
}

// bound reads a bound of a table: "-" is nil.
func bound(text string) []byte {
	if text == "-" {
		return nil
	}
	return []byte(text)
}

func testScanStops(t *testing.T, e engine.Engine) {
	update(t, e, func(tx engine.Tx) error { return fill(tx, 100) })
	check := func(r engine.Reader) error {
		for _, limit := range []int{1, 2, 99, 100} {
			calls := 0
			err := r.Scan(nil, nil, func(_, _ []byte) bool {
				calls++
				return calls < limit
			})
			if err != nil || calls != limit {
				return fmt.Errorf("a scan that stops after %d calls made %d: %w", limit, calls, err)
			}
		}
		return nil
	}
	view(t, e, check)
	update(t, e, func(tx engine.Tx) error {
		err := check(tx)
		for i := range 100 { // own writes between, before and behind those that are below
			err = errors.Join(err, tx.Put([]byte(numbered(i*3%100)+"x"), nil))
		}
		return errors.Join(err, check(tx))
	})
}

// testScanWhileWriting deletes, changes and adds keys behind and ahead of a running scan, which shows none of it.
func testScanWhileWriting(t *testing.T, e engine.Engine) {
	const n = 300
	update(t, e, func(tx engine.Tx) error { return fill(tx, n) })
	update(t, e, func(tx engine.Tx) error {
		seen := 0
		var failed error
		err := tx.Scan(nil, nil, func(key, _ []byte) bool {
			if string(key) != numbered(seen) {
				failed = errors.Join(failed, fmt.Errorf("key %d of the scan is %q", seen, key))
			}
			seen++
			failed = errors.Join(failed, tx.Delete(key), tx.Put([]byte("z"+string(key)), key), tx.Delete([]byte(numbered(seen))))
			return failed == nil
		})
		if seen != n {
			failed = errors.Join(failed, fmt.Errorf("scan showed %d keys, want %d", seen, n))
		}
		return errors.Join(failed, err)
	})
	all := dump(t, e)
	if len(all) != n || all[0].key != "z"+numbered(0) || all[n-1].value != numbered(n-1) {
		t.Errorf("%d keys are left, want %d", len(all), n)
	}
}

// testScanMerge has own writes before, between, on and after committed keys.
func testScanMerge(t *testing.T, e engine.Engine) {
	update(t, e, func(tx engine.Tx) error {
		return errors.Join(tx.Put([]byte("b"), []byte("1")), tx.Put([]byte("d"), []byte("1")), tx.Put([]byte("f"), []byte("1")),
			tx.Put([]byte("h"), []byte("1")))
	})
	update(t, e, func(tx engine.Tx) error {
		err := errors.Join(tx.Put([]byte("a"), []byte("2")), tx.Put([]byte("d"), []byte("2")), tx.Delete([]byte("f")),
			tx.Put([]byte("g"), []byte("2")), tx.Put([]byte("gg"), []byte("2")), tx.Delete([]byte("gg")),
			tx.Delete([]byte("h")), tx.Put([]byte("i"), []byte("2")))
		for _, c := range []struct {
			from, to string
			want     []string
		}{
			{"-", "-", []string{"a=2", "b=1", "d=2", "g=2", "i=2"}},
			{"b", "i", []string{"b=1", "d=2", "g=2"}},
			{"e", "g\x00", []string{"g=2"}},
			{"f", "g", nil},
			{"h", "-", []string{"i=2"}},
		} {
			got, scanErr := pairs(tx, bound(c.from), bound(c.to))
			err = errors.Join(err, scanErr)
			expectPairs(t, got, c.want...)
		}
		return err
	})
	expectDump(t, e, "a=2", "b=1", "d=2", "g=2", "i=2")
}

func testDeleteRange(t *testing.T, e engine.Engine) {
	reset := func(tx engine.Tx) error {
		return errors.Join(tx.DeleteRange(nil, nil), tx.Put([]byte("a"), nil), tx.Put([]byte("b"), nil), tx.Put([]byte("c"), nil))
	}
	for _, c := range []struct {
		from, to string
		want     []string
	}{
		{"-", "-", []string{"bb="}},
		{"-", "", []string{"a=", "b=", "bb=", "c=", "d="}},
		{"b", "b", []string{"a=", "b=", "bb=", "c=", "d="}},
		{"c", "b", []string{"a=", "b=", "bb=", "c=", "d="}},
		{"b", "c", []string{"a=", "bb=", "c=", "d="}},
		{"b", "-", []string{"a=", "bb="}},
		{"-", "c", []string{"bb=", "c=", "d="}},
		{"c\x00", "x", []string{"a=", "b=", "bb=", "c="}},
	} {
		update(t, e, reset)
		update(t, e, func(tx engine.Tx) error { // over committed keys and an own one; then a write into the range
			err := errors.Join(tx.Put([]byte("d"), nil), tx.DeleteRange(bound(c.from), bound(c.to)), tx.Put([]byte("bb"), nil))
			got, scanErr := pairs(tx, nil, nil)
			expectPairs(t, got, c.want...)
			return errors.Join(err, scanErr)
		})
		expectDump(t, e, c.want...)
	}
}

// testManyKeys scans many keys; the limit is far above what streaming takes, and far below what holding all of them would.
func testManyKeys(t *testing.T, e engine.Engine) {
	const batches, batch = 20, 10_000
	for b := range batches {
		update(t, e, func(tx engine.Tx) error {
			for i := range batch {
				key := numbered(b*batch + i)
				if err := tx.Put([]byte(key), fmt.Appendf(nil, "%-100s", key)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	view(t, e, func(r engine.Reader) error {
		before := heap()
		var highest uint64
		count := 0
		err := r.Scan(nil, nil, func(key, _ []byte) bool {
			if string(key) != numbered(count) {
				return false
			}
			if count++; count%(batches*batch/4) == 0 {
				highest = max(highest, heap())
			}
			return true
		})
		if err != nil || count != batches*batch {
			return fmt.Errorf("scan stopped after %d keys: %w", count, err)
		}
		if limit := before + 8<<20; highest > limit {
			return fmt.Errorf("the heap grew from %d to %d bytes during a scan", before, highest)
		}
		return nil
	})
}

// heap gives the bytes of live objects.
func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
