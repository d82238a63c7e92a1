package enginetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hpcclab/oaas-go/odgm/engine"
)

// RunDurable tests what an engine that keeps its data promises over a restart.
func RunDurable(t *testing.T, open Opener) {
	t.Run("folder is made", func(t *testing.T) {
		closeEngine(t, mustOpen(t, open, filepath.Join(t.TempDir(), "a", "b [c]")))
	})
	t.Run("open twice", func(t *testing.T) { testOpenTwice(t, open) })
	t.Run("reopen", func(t *testing.T) { testReopen(t, open) })
	t.Run("failed update is not kept", func(t *testing.T) { testFailedIsNotKept(t, open) })
	t.Run("folder is a file", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if e, err := open(filepath.Join(file, "dir")); err == nil {
			t.Error("opened a folder in a file")
			closeEngine(t, e)
		}
	})
	t.Run("random histories", func(t *testing.T) {
		for seed := range uint64(histories) {
			t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
				dir := t.TempDir()
				reopen := func(e engine.Engine) (engine.Engine, error) {
					if err := e.Close(); err != nil {
						return nil, err
					}
					return open(dir)
				}
				first := mustOpen(t, open, dir)
				playHistory(t, &history{engine: first, reopen: reopen, random: rand.New(rand.NewPCG(seed, 2)), want: model{}})
			})
		}
	})
}

func mustOpen(t testing.TB, open Opener, dir string) engine.Engine {
	t.Helper()
	e, err := open(dir)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return e
}

func closeEngine(t testing.TB, e engine.Engine) {
	t.Helper()
	if err := e.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

func testOpenTwice(t *testing.T, open Opener) {
	dir := t.TempDir()
	e := mustOpen(t, open, dir)
	put(t, e, "a", "1")
	if second, err := open(dir); err == nil {
		t.Error("opened a folder that is open")
		closeEngine(t, second)
	} else if !strings.Contains(err.Error(), dir) {
		t.Errorf("the error does not name the folder: %v", err)
	}
	expectDump(t, e, "a=1")
	closeEngine(t, e)
}

func testReopen(t *testing.T, open Opener) {
	dir := t.TempDir()
	large := strings.Repeat("large", 1<<20)
	e := mustOpen(t, open, dir)
	update(t, e, func(tx engine.Tx) error {
		return errors.Join(fill(tx, 5000), tx.Put([]byte("a"), nil), tx.Put([]byte("b"), []byte(large)), tx.Put([]byte("z"), []byte("1")))
	})
	update(t, e, func(tx engine.Tx) error {
		return errors.Join(tx.Delete([]byte("z")), tx.DeleteRange([]byte(numbered(10)), []byte(numbered(4990))))
	})
	before := dump(t, e)
	if len(before) != 22 || before[1].value != large {
		t.Fatalf("%d keys before closing, want 22", len(before))
	}
	for range 3 {
		closeEngine(t, e)
		e = mustOpen(t, open, dir)
		after := dump(t, e)
		if fmt.Sprint(len(after), after) != fmt.Sprint(len(before), before) {
			t.Fatalf("%d keys after opening again, want %d", len(after), len(before))
		}
	}
	put(t, e, "c", "1")
	closeEngine(t, e)
	e = mustOpen(t, open, dir)
	view(t, e, func(r engine.Reader) error { return expect(r, "c", "1", true) })
	closeEngine(t, e)
}

func testFailedIsNotKept(t *testing.T, open Opener) {
	dir := t.TempDir()
	e := mustOpen(t, open, dir)
	put(t, e, "a", "1")
	if err := e.Update(func(tx engine.Tx) error { return errors.Join(fill(tx, 1000), errGiveUp) }); !errors.Is(err, errGiveUp) {
		t.Errorf("update: %v", err)
	}
	closeEngine(t, e)
	e = mustOpen(t, open, dir)
	expectDump(t, e, "a=1")
	closeEngine(t, e)
}
