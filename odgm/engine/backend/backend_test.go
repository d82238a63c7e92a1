package backend

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/odgm/engine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestOpen(t *testing.T) {
	for _, kind := range Kinds() {
		t.Run(kind, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "shard")
			for _, want := range []bool{false, kind != Memory} {
				e, err := Open(kind, dir)
				if err != nil {
					t.Fatal(err)
				}
				err = errors.Join(
					e.View(func(r engine.Reader) error {
						if _, found, err := r.Get([]byte("a")); err != nil || found != want {
							t.Errorf("found %v, want %v: %v", found, want, err)
						}
						return nil
					}),
					e.Update(func(tx engine.Tx) error { return tx.Put([]byte("a"), []byte("1")) }),
					e.Close(),
				)
				if err != nil {
					t.Fatal(err)
				}
			}
			if _, err := os.Stat(dir); os.IsNotExist(err) != (kind == Memory) {
				t.Errorf("folder: %v", err)
			}
		})
	}
}

func TestUnknownKind(t *testing.T) {
	for _, kind := range []string{"", "Memory", "bolt", "fjall", "bbolt ", "../pebble"} {
		e, err := Open(kind, t.TempDir())
		f, ok := errors.AsType[*fault.Error](err)
		if e != nil || !ok || f.Code != fault.InvalidArgument || !strings.Contains(f.Message, "memory, bbolt, pebble") {
			t.Errorf("open %q: %v, %v", kind, e, err)
		}
	}
}

func TestFolderOfAnotherKind(t *testing.T) {
	for _, pair := range [][2]string{{Bbolt, Pebble}, {Pebble, Bbolt}} {
		dir := t.TempDir()
		e, err := Open(pair[0], dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		e, err = Open(pair[1], dir)
		if f, ok := errors.AsType[*fault.Error](err); e != nil || !ok || f.Code != fault.Conflict || !strings.Contains(f.Message, pair[0]) {
			t.Errorf("open %s where %s was: %v, %v", pair[1], pair[0], e, err)
		}
	}
}

func TestFolderThatCannotBe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{Bbolt, Pebble} {
		if e, err := Open(kind, file); err == nil || e != nil {
			t.Errorf("open %s in a file: %v, %v", kind, e, err)
		}
	}
}
