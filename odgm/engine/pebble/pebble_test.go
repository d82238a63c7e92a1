package pebble

import (
	"log/slog"
	"testing"

	"go.uber.org/goleak"

	"github.com/hpcclab/oaas-go/odgm/engine"
	"github.com/hpcclab/oaas-go/odgm/engine/enginetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func openDir(dir string) (engine.Engine, error) {
	e, err := Open(dir, slog.New(slog.DiscardHandler))
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
