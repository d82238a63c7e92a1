package enginetest

import (
	"fmt"
	"testing"

	"github.com/hpcclab/oaas-go/odgm/engine"
)

// benchKeys is the number of keys, with values of 1 KiB, that reads choose from.
const benchKeys = 20_000

// Benchmark measures the operations that the grid is made of. open gives a new, empty engine.
func Benchmark(b *testing.B, open func(b *testing.B) engine.Engine) {
	value := make([]byte, 1<<10)
	for i := range value {
		value[i] = byte(i * i)
	}
	for _, size := range []int{1, 64} {
		b.Run(fmt.Sprintf("commit of %d x 1 KiB", size), func(b *testing.B) {
			e := open(b)
			defer closeEngine(b, e)
			n := 0
			for b.Loop() {
				update(b, e, func(tx engine.Tx) error {
					for range size {
						n++
						if err := tx.Put([]byte(numbered(n*7919%1_000_003)), value); err != nil {
							return err
						}
					}
					return nil
				})
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "puts/s")
		})
	}
	b.Run("reads", func(b *testing.B) {
		e := open(b)
		defer closeEngine(b, e)
		for i := 0; i < benchKeys; i += 1000 {
			update(b, e, func(tx engine.Tx) error {
				for j := range 1000 {
					if err := tx.Put([]byte(numbered(i+j)), value); err != nil {
						return err
					}
				}
				return nil
			})
		}
		b.Run("get", func(b *testing.B) { benchGet(b, e) })
		b.Run("scan of 100", func(b *testing.B) { benchScan(b, e) })
	})
}

func benchGet(b *testing.B, e engine.Engine) {
	b.RunParallel(func(loop *testing.PB) {
		for n := 0; loop.Next(); n++ {
			key := []byte(numbered(n * 7919 % benchKeys))
			err := e.View(func(r engine.Reader) error {
				_, found, err := r.Get(key)
				if !found {
					return fmt.Errorf("key %s is not there: %w", key, err)
				}
				return err
			})
			if err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func benchScan(b *testing.B, e engine.Engine) {
	n := 0
	for b.Loop() {
		n++
		from := []byte(numbered(n * 7919 % (benchKeys - 100)))
		count := 0
		view(b, e, func(r engine.Reader) error {
			return r.Scan(from, nil, func(_, _ []byte) bool {
				count++
				return count < 100
			})
		})
		if count != 100 {
			b.Fatalf("scan gave %d keys", count)
		}
	}
}
