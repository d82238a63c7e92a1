package bolt

import (
	"errors"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/hpcclab/oaas-go/odgm/engine"
	"github.com/hpcclab/oaas-go/odgm/engine/enginetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func openDir(dir string) (engine.Engine, error) {
	e, err := Open(dir)
	if err != nil {
		return nil, err // not e: a nil *Engine would be an engine.Engine that is not nil
	}
	return e, nil
}

func openTemp(t testing.TB) engine.Engine {
	t.Helper()
	e, err := openDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestContract(t *testing.T) {
	enginetest.Run(t, func(t *testing.T) engine.Engine { return openTemp(t) })
}

func TestDurable(t *testing.T) { enginetest.RunDurable(t, openDir) }

func TestKill(t *testing.T) { enginetest.RunKill(t, openDir) }

func FuzzKeys(f *testing.F) {
	enginetest.FuzzKeys(f, func(t *testing.T) engine.Engine { return openTemp(t) })
}

func BenchmarkEngine(b *testing.B) {
	enginetest.Benchmark(b, func(b *testing.B) engine.Engine { return openTemp(b) })
}

// TestSmallMap grows a file that cannot be mapped beyond its size, as on Windows, with readers coming and going.
func TestSmallMap(t *testing.T) {
	for _, mapped := range []int64{0, 1 << 20} {
		e, err := open(t.TempDir(), mapped, os.OpenFile)
		if err != nil {
			t.Fatal(err)
		}
		stop := make(chan struct{})
		done := make(chan error)
		go func() { done <- readUntil(stop, e) }()
		for i := 1; i <= 200; i++ {
			err := e.Update(func(tx engine.Tx) error {
				return errors.Join(enginetest.WriteBatch(tx, i))
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		close(stop)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
}

func readUntil(stop <-chan struct{}, e engine.Engine) error {
	for {
		if _, err := enginetest.CheckBatches(e); err != nil {
			return err
		}
		select {
		case <-stop:
			return nil
		default:
		}
	}
}
