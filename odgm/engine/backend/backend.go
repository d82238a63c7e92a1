// Package backend opens a storage engine by the name of its kind, as the packages' configuration has it.
//
// Guarantee: a folder that holds data of one kind is never taken for an empty folder of another kind.
package backend

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/odgm/engine"
	"github.com/hpcclab/oaas-go/odgm/engine/bolt"
	"github.com/hpcclab/oaas-go/odgm/engine/memory"
	"github.com/hpcclab/oaas-go/odgm/engine/pebble"
)

// The kinds of engines.
const (
	Memory = "memory" // nothing is kept; no files
	Bbolt  = "bbolt"  // one file, a B+tree
	Pebble = "pebble" // a folder, an LSM tree
)

// durable has, for each kind that keeps data, its place in the folder of an engine.
var durable = map[string]string{Bbolt: bolt.FileName, Pebble: "pebble"}

// Kinds gives the kinds that Open takes.
func Kinds() []string { return []string{Memory, Bbolt, Pebble} }

// Check tells whether Open takes kind. The error is a *fault.Error.
func Check(kind string) error {
	if slices.Contains(Kinds(), kind) {
		return nil
	}
	return fault.New(fault.InvalidArgument, "storage engine %q is not known; allowed are %s", kind, strings.Join(Kinds(), ", "))
}

// Open opens the engine of a kind with its data in the folder dir, which is made if there is none, and which kind Memory does not use. A
// folder with data of another kind is refused. What engines log goes to slog.Default.
func Open(kind, dir string) (engine.Engine, error) {
	if err := Check(kind); err != nil {
		return nil, err
	}
	if kind == Memory {
		return memory.New(), nil
	}
	if err := refuseOthers(kind, dir); err != nil {
		return nil, err
	}
	if kind == Bbolt {
		return opened(bolt.Open(dir))
	}
	return opened(pebble.Open(filepath.Join(dir, durable[Pebble]), slog.Default()))
}

// opened keeps a nil pointer from becoming an engine that is not nil.
func opened[E engine.Engine](e E, err error) (engine.Engine, error) {
	if err != nil {
		return nil, err
	}
	return e, nil
}

// refuseOthers looks for data of kinds other than kind.
func refuseOthers(kind, dir string) error {
	for other, name := range durable {
		if other == kind {
			continue
		}
		_, err := os.Stat(filepath.Join(dir, name))
		if err == nil {
			return fault.New(fault.Conflict, "folder %s holds data of storage engine %s, but %s is asked for: use %s, or another folder",
				dir, other, kind, other)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("look for data of %s: %w", other, err)
		}
	}
	return nil
}
