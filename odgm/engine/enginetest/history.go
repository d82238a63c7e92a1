package enginetest

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/hpcclab/oaas-go/odgm/engine"
)

// histories is how many random histories are played, and steps how long each is.
const histories, steps = 6, 60

// model is what an engine should contain.
type model map[string]string

// history plays random steps on an engine and on a model, and compares after each.
type history struct {
	engine engine.Engine
	reopen func(engine.Engine) (engine.Engine, error) // nil for an engine that keeps nothing
	random *rand.Rand
	want   model
}

// errGiveUp is what some updates of a history fail with.
var errGiveUp = errors.New("give up")

func testHistories(t *testing.T, open func(t *testing.T) engine.Engine) {
	for seed := range uint64(histories) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			playHistory(t, &history{engine: open(t), random: rand.New(rand.NewPCG(seed, 1)), want: model{}})
		})
	}
}

func playHistory(t *testing.T, h *history) {
	t.Helper()
	for i := range steps {
		if err := h.step(); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		if err := h.compare(); err != nil {
			t.Fatalf("after step %d: %v", i, err)
		}
	}
	if err := h.engine.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

func (h *history) step() (err error) {
	if h.reopen != nil && h.random.IntN(10) == 0 {
		h.engine, err = h.reopen(h.engine)
		return err
	}
	after := maps.Clone(h.want)
	giveUp := h.random.IntN(5) == 0
	err = h.engine.Update(func(tx engine.Tx) error {
		for range h.random.IntN(40) {
			if err := h.operate(tx, after); err != nil {
				return err
			}
		}
		if giveUp {
			return errGiveUp
		}
		return nil
	})
	if giveUp && errors.Is(err, errGiveUp) {
		return nil
	}
	h.want = after
	return err
}

// operate does one random thing in an update.
func (h *history) operate(tx engine.Tx, m model) error {
	key := h.key()
	switch h.random.IntN(8) {
	case 0, 1, 2:
		value := h.value()
		m[key] = value
		return tx.Put([]byte(key), []byte(value))
	case 3:
		delete(m, key)
		return tx.Delete([]byte(key))
	case 4:
		from, to := h.bounds()
		maps.DeleteFunc(m, func(key, _ string) bool { return inRange(key, from, to) })
		return tx.DeleteRange(from, to)
	case 5:
		value, found := m[key]
		return expect(tx, key, value, found)
	default:
		from, to := h.bounds()
		return m.compareRange(tx, from, to, h.random.IntN(20))
	}
}

// compare reads all, a range and some keys in a View.
func (h *history) compare() error {
	return h.engine.View(func(r engine.Reader) error {
		from, to := h.bounds()
		err := errors.Join(h.want.compareRange(r, nil, nil, 1<<30), h.want.compareRange(r, from, to, h.random.IntN(20)))
		for range 5 {
			key := h.key()
			value, found := h.want[key]
			err = errors.Join(err, expect(r, key, value, found))
		}
		return err
	})
}

// compareRange scans at most limit keys of a range.
func (m model) compareRange(r engine.Reader, from, to []byte, limit int) error {
	var got, want []pair
	err := r.Scan(from, to, func(key, value []byte) bool {
		got = append(got, pair{string(key), string(value)})
		return len(got) < limit
	})
	if err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if inRange(key, from, to) && len(want) < max(limit, 1) {
			want = append(want, pair{key, m[key]})
		}
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("scan from %q to %q (%v), limit %d: %.2000q, want %.2000q", from, to, to == nil, limit, got, want)
	}
	return nil
}

func inRange(key string, from, to []byte) bool {
	return key >= string(from) && (to == nil || key < string(to))
}

// key gives short keys over few bytes, so that they collide and are prefixes of each other.
func (h *history) key() string {
	key := make([]byte, 1+h.random.IntN(4))
	for i := range key {
		key[i] = "\x00\x01am\xfe\xff"[h.random.IntN(6)]
	}
	return string(key)
}

// value gives mostly short values, some empty, some over several pages.
func (h *history) value() string {
	size := h.random.IntN(20)
	if h.random.IntN(10) == 0 {
		size = h.random.IntN(20_000)
	}
	value := make([]byte, size)
	for i := range value {
		value[i] = byte('a' + h.random.IntN(26))
	}
	return string(value)
}

// bounds gives a range, often empty, sometimes open.
func (h *history) bounds() (from, to []byte) {
	if h.random.IntN(8) > 0 {
		from = []byte(h.key())
	}
	if h.random.IntN(8) > 0 {
		to = []byte(h.key())
	}
	return from, to
}
