package memory

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/hpcclab/oaas-go/odgm/engine"
	"github.com/hpcclab/oaas-go/odgm/engine/enginetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(testing.TB) engine.Engine { return New() }

func TestContract(t *testing.T) {
	enginetest.Run(t, func(t *testing.T) engine.Engine { return open(t) })
}

func FuzzKeys(f *testing.F) {
	enginetest.FuzzKeys(f, func(t *testing.T) engine.Engine { return open(t) })
}

func BenchmarkEngine(b *testing.B) {
	enginetest.Benchmark(b, func(b *testing.B) engine.Engine { return open(b) })
}

func TestSizeFollowsTheData(t *testing.T) {
	e := New()
	defer func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, c := range []struct {
		name string
		do   func(engine.Tx) error
		want int64
	}{
		{"put", func(tx engine.Tx) error { return tx.Put([]byte("ab"), make([]byte, 100)) }, 102 + itemOverhead},
		{"overwrite", func(tx engine.Tx) error { return tx.Put([]byte("ab"), make([]byte, 10)) }, 12 + itemOverhead},
		{"delete", func(tx engine.Tx) error { return tx.Delete([]byte("ab")) }, 0},
		{"delete again", func(tx engine.Tx) error { return tx.Delete([]byte("ab")) }, 0},
	} {
		if err := e.Update(c.do); err != nil {
			t.Fatal(err)
		}
		if size, err := e.Size(); err != nil || size != c.want {
			t.Errorf("size after %s: %d, %v; want %d", c.name, size, err, c.want)
		}
	}
}
