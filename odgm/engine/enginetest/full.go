package enginetest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/hpcclab/oaas-go/odgm/engine"
)

// fullLimit is the largest file that the child of RunFull may write, in blocks of 512 bytes.
const fullLimit = 512

// finished is what the child prints last if all was as it should be.
const finished = "the engine behaved"

// RunFull has a process of its own write batches until the system refuses to let a file grow. The Update that meets this, and all later ones, must
// give engine.ErrFailed, Views must go on with the last acknowledged batch, and so must the data when it is opened again, perhaps with the
// batch that failed. Like RunKill, it must be called directly in a top-level test.
func RunFull(t *testing.T, open Opener) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := writeUntilFull(open, dir, os.Stdout); err != nil {
			t.Fatalf("child: %v", err)
		}
		return
	}
	if runtime.GOOS == "windows" {
		t.Skip("there is no limit of file sizes on Windows")
	}
	dir := t.TempDir()
	script := fmt.Sprintf(`ulimit -f %d && exec "$0" "$@"`, fullLimit)
	child := exec.Command("sh", "-c", script, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.timeout=60s")
	child.Env = append(os.Environ(), childDir+"="+dir)
	out, err := child.CombinedOutput()
	if err != nil || !strings.Contains(string(out), finished) {
		t.Fatalf("child: %v: %s", err, out)
	}
	var acknowledged int
	if _, err := fmt.Sscanf(string(out), "%d", &acknowledged); err != nil {
		t.Fatalf("child: %v: %s", err, out)
	}
	e := mustOpen(t, open, dir)
	defer closeEngine(t, e)
	last, err := CheckBatches(e)
	if err != nil || last != acknowledged && last != acknowledged+1 {
		t.Fatalf("batch %d was acknowledged last, but batch %d was found last: %v", acknowledged, last, err)
	}
	update(t, e, func(tx engine.Tx) error { return WriteBatch(tx, last+1) })
}

// writeUntilFull prints the number of the last acknowledged batch.
func writeUntilFull(open Opener, dir string, out io.Writer) error {
	e, err := open(dir)
	if err != nil {
		return err
	}
	n := 0
	for err == nil {
		n++
		err = e.Update(func(tx engine.Tx) error { return WriteBatch(tx, n) })
	}
	if err := checkFailed(e, err, n-1); err != nil {
		return err
	}
	_ = e.Close() // must return; but with a disk like this it may well report errors
	_, err = fmt.Fprintf(out, "%d\n%s\n", n-1, finished)
	return err
}

// CheckFailed tests an engine whose Update gave err after batch last had been acknowledged.
func CheckFailed(t *testing.T, e engine.Engine, err error, last int) {
	t.Helper()
	if err := checkFailed(e, err, last); err != nil {
		t.Error(err)
	}
}

func checkFailed(e engine.Engine, err error, last int) error {
	if !errors.Is(err, engine.ErrFailed) {
		return fmt.Errorf("update after batch %d: %v, want %w", last, err, engine.ErrFailed)
	}
	for range 3 {
		err := e.Update(func(engine.Tx) error { return errors.New("must not run") })
		if !errors.Is(err, engine.ErrFailed) {
			return fmt.Errorf("update of a failed engine: %v, want %w", err, engine.ErrFailed)
		}
		if found, err := CheckBatches(e); err != nil || found != last {
			return fmt.Errorf("view of a failed engine: batch %d, %w; want %d", found, err, last)
		}
	}
	return nil
}
