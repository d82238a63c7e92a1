package enginetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/odgm/engine"
)

func testEmpty(t *testing.T, e engine.Engine) {
	expectDump(t, e)
	view(t, e, func(r engine.Reader) error { return expect(r, "a", "", false) })
	update(t, e, func(tx engine.Tx) error {
		return errors.Join(expect(tx, "a", "", false), tx.Delete([]byte("a")), tx.DeleteRange(nil, nil))
	})
	expectDump(t, e)
}

func testPutGetDelete(t *testing.T, e engine.Engine) {
	update(t, e, func(tx engine.Tx) error {
		return errors.Join(
			tx.Put([]byte("b"), []byte("1")), expect(tx, "b", "1", true),
			tx.Put([]byte("b"), []byte("2")), expect(tx, "b", "2", true),
			tx.Put([]byte("a"), []byte("3")),
			tx.Put([]byte("c"), []byte("4")), tx.Delete([]byte("c")), expect(tx, "c", "", false),
		)
	})
	expectDump(t, e, "a=3", "b=2")
	update(t, e, func(tx engine.Tx) error {
		return errors.Join(
			expect(tx, "a", "3", true), tx.Delete([]byte("a")), expect(tx, "a", "", false),
			tx.Delete([]byte("b")), tx.Put([]byte("b"), []byte("5")), expect(tx, "b", "5", true),
		)
	})
	expectDump(t, e, "b=5")
	view(t, e, func(r engine.Reader) error {
		return errors.Join(expect(r, "a", "", false), expect(r, "b", "5", true), expect(r, "", "", false))
	})
}

func testEmptyValue(t *testing.T, e engine.Engine) {
	update(t, e, func(tx engine.Tx) error {
		return errors.Join(tx.Put([]byte("nil"), nil), tx.Put([]byte("empty"), []byte{}),
			expect(tx, "nil", "", true), expect(tx, "empty", "", true), expect(tx, "absent", "", false))
	})
	view(t, e, func(r engine.Reader) error {
		return errors.Join(expect(r, "nil", "", true), expect(r, "empty", "", true), expect(r, "absent", "", false))
	})
	expectDump(t, e, "empty=", "nil=")
}

func testKeyBytes(t *testing.T, e engine.Engine) {
	keys := []string{"\x00", "\x00\x00", "\x00\x01", "a", "a\x00", "a\x00b", "aa", "a\xff", "b", "\x7f", "\x80", "\xff", "\xff\x00", "\xff\xff",
		strings.Repeat("k", engine.MaxKey), strings.Repeat("\xff", engine.MaxKey)}
	checkKeys(t, e, keys)
}

// checkKeys writes keys, in the order given, and reads them back one by one and in order.
func checkKeys(t testing.TB, e engine.Engine, keys []string) {
	t.Helper()
	update(t, e, func(tx engine.Tx) error {
		for _, key := range keys {
			if err := tx.Put([]byte(key), []byte("v"+key)); err != nil {
				return err
			}
		}
		return nil
	})
	sorted := slices.Compact(slices.Sorted(slices.Values(keys)))
	view(t, e, func(r engine.Reader) error {
		got, err := pairs(r, nil, nil)
		if err != nil {
			return err
		}
		if len(got) != len(sorted) {
			return fmt.Errorf("scan gave %d keys, want %d", len(got), len(sorted))
		}
		for i, key := range sorted {
			if got[i].key != key || got[i].value != "v"+key {
				return fmt.Errorf("key %d of the scan is %.40q with %.40q, want %.40q", i, got[i].key, got[i].value, key)
			}
			if err := errors.Join(expect(r, key, "v"+key, true), checkFrom(r, sorted[i:])); err != nil {
				return err
			}
		}
		return nil
	})
}

// checkFrom scans from the first key, and from the first key up to the last.
func checkFrom(r engine.Reader, keys []string) error {
	last := len(keys) - 1
	all, err := pairs(r, []byte(keys[0]), nil)
	if err != nil {
		return err
	}
	but, err := pairs(r, []byte(keys[0]), []byte(keys[last]))
	if err != nil {
		return err
	}
	if len(all) != len(keys) || all[0].key != keys[0] || len(but) != last {
		return fmt.Errorf("scans from %.40q gave %d and %d keys, want %d and %d", keys[0], len(all), len(but), len(keys), last)
	}
	return nil
}

func testRefusedWrites(t *testing.T, e engine.Engine) {
	long := bytes.Repeat([]byte("k"), engine.MaxKey+1)
	update(t, e, func(tx engine.Tx) error {
		for _, c := range []struct {
			name string
			err  error
			code fault.Code
		}{
			{"put nil key", tx.Put(nil, []byte("v")), fault.InvalidArgument},
			{"put empty key", tx.Put([]byte{}, []byte("v")), fault.InvalidArgument},
			{"put long key", tx.Put(long, []byte("v")), fault.TooLarge},
			{"delete empty key", tx.Delete(nil), fault.InvalidArgument},
			{"delete long key", tx.Delete(long), fault.TooLarge},
		} {
			if f, ok := errors.AsType[*fault.Error](c.err); !ok || f.Code != c.code {
				t.Errorf("%s: %v, want code %s", c.name, c.err, c.code)
			}
		}
		return errors.Join(expect(tx, string(long), "", false), tx.Put([]byte("a"), []byte("v")))
	})
	expectDump(t, e, "a=v")
}

func testCopies(t *testing.T, e engine.Engine) {
	key, value := []byte("key"), []byte("value")
	update(t, e, func(tx engine.Tx) error {
		err := tx.Put(key, value)
		copy(key, "xxx")
		copy(value, "yyyyy")
		return errors.Join(err, expect(tx, "key", "value", true), expect(tx, "xxx", "", false))
	})
	copy(key, "zzz")
	expectDump(t, e, "key=value")
	copy(key, "key")
	update(t, e, func(tx engine.Tx) error {
		err := tx.Delete(key)
		copy(key, "zzz")
		return errors.Join(err, expect(tx, "key", "", false))
	})
	expectDump(t, e)
}

// testStableSlices keeps what Get and Scan hand out while the function that got the Reader goes on, in a View and in an Update.
func testStableSlices(t *testing.T, e engine.Engine) {
	const n = 500
	update(t, e, func(tx engine.Tx) error { return fill(tx, n) })
	check := func(r engine.Reader, disturb func() error) error {
		var keys, values [][]byte
		err := r.Scan(nil, nil, func(key, value []byte) bool {
			got, _, _ := r.Get(key)
			keys, values = append(keys, key, key), append(values, value, got)
			return true
		})
		if err := errors.Join(err, disturb()); err != nil {
			return err
		}
		for i := range keys {
			if want := numbered(i / 2); string(keys[i]) != want || !strings.HasPrefix(string(values[i]), want) {
				return fmt.Errorf("slices of key %s have become %.20q and %.20q", want, keys[i], values[i])
			}
		}
		return nil
	}
	view(t, e, func(r engine.Reader) error {
		return check(r, func() error { _, err := pairs(r, nil, nil); return err })
	})
	update(t, e, func(tx engine.Tx) error {
		return check(tx, func() error {
			for i := range n {
				if err := tx.Put([]byte(numbered(i)), []byte("overwritten")); err != nil {
					return err
				}
			}
			return tx.DeleteRange(nil, nil)
		})
	})
}

// numbered gives the i-th of many keys, in order.
func numbered(i int) string { return fmt.Sprintf("key-%08d", i) }

// fill puts n numbered keys, with values that begin with the key and take 100 bytes.
func fill(tx engine.Tx, n int) error {
	for i := range n {
		key := numbered(i)
		if err := tx.Put([]byte(key), fmt.Appendf(nil, "%-100s", key)); err != nil {
			return err
		}
	}
	return nil
}

func testFailedUpdate(t *testing.T, e engine.Engine) {
	put(t, e, "a", "1")
	own := errors.New("own error")
	err := e.Update(func(tx engine.Tx) error {
		return errors.Join(tx.Put([]byte("a"), []byte("2")), tx.Put([]byte("b"), []byte("2")), tx.DeleteRange(nil, nil), own)
	})
	if !errors.Is(err, own) || errors.Is(err, engine.ErrFailed) {
		t.Errorf("update: %v, want the own error alone", err)
	}
	expectDump(t, e, "a=1")
	if err := e.View(func(engine.Reader) error { return own }); !errors.Is(err, own) {
		t.Errorf("view: %v, want the own error", err)
	}
	put(t, e, "c", "3")
	expectDump(t, e, "a=1", "c=3")
}

func testPanic(t *testing.T, e engine.Engine) {
	put(t, e, "a", "1")
	panics := func(name string, call func() error) {
		defer func() {
			if got := recover(); got != "own panic" {
				t.Errorf("%s: panic %v did not pass", name, got)
			}
		}()
		_ = call() // the panic comes first
	}
	panics("update", func() error {
		return e.Update(func(tx engine.Tx) error {
			if err := errors.Join(tx.Put([]byte("b"), []byte("2")), tx.Delete([]byte("a"))); err != nil {
				return err
			}
			panic("own panic")
		})
	})
	panics("scan in update", func() error {
		return e.Update(func(tx engine.Tx) error { return tx.Scan(nil, nil, func(_, _ []byte) bool { panic("own panic") }) })
	})
	panics("view", func() error { return e.View(func(engine.Reader) error { panic("own panic") }) })
	panics("scan in view", func() error {
		return e.View(func(r engine.Reader) error { return r.Scan(nil, nil, func(_, _ []byte) bool { panic("own panic") }) })
	})
	expectDump(t, e, "a=1")
	put(t, e, "c", "3")
	expectDump(t, e, "a=1", "c=3")
}

func testIdleUpdate(t *testing.T, e engine.Engine) {
	put(t, e, "a", "1")
	update(t, e, func(tx engine.Tx) error { return expect(tx, "a", "1", true) })
	expectDump(t, e, "a=1")
}

func testLargeValues(t *testing.T, e engine.Engine) {
	large := strings.Repeat("0123456789abcdef", 1<<20) // 16 MiB
	other := strings.Repeat("x", len(large)-1)
	update(t, e, func(tx engine.Tx) error {
		return errors.Join(tx.Put([]byte("a"), []byte(large)), tx.Put([]byte("b"), []byte("small")), expect(tx, "a", large, true))
	})
	view(t, e, func(r engine.Reader) error {
		return errors.Join(expect(r, "a", large, true), expect(r, "b", "small", true))
	})
	put(t, e, "a", other)
	view(t, e, func(r engine.Reader) error {
		got, err := pairs(r, nil, nil)
		if len(got) != 2 || got[0].value != other {
			return errors.Join(err, errors.New("scan does not give the large value"))
		}
		return errors.Join(err, expect(r, "a", other, true))
	})
}

func testSize(t *testing.T, e engine.Engine) {
	update(t, e, func(tx engine.Tx) error { return fill(tx, 1000) })
	size, err := e.Size()
	if err != nil || size < 10_000 || size > 64<<20 {
		t.Errorf("size of 100 kB: %d, %v", size, err)
	}
}
