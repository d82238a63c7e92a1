package enginetest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/hpcclab/oaas-go/odgm/engine"
)

const (
	// childDir tells the process that RunKill starts where to write.
	childDir = "ENGINETEST_CHILD_DIR"

	// kills is how often the child is killed, on the same data.
	kills = 8

	// window is how many of the latest batches the data holds, so that deletions are part of the history.
	window = 5

	// batchKeys is the number of keys in a batch.
	batchKeys = 20

	// killAfter bounds the number of acknowledgements that the parent awaits before it kills.
	killAfter = 60
)

// RunKill has a process of its own write numbered batches, kills it (kill -9) at a random point, and expects that each acknowledged batch is
// there, the one after it whole or not at all, and nothing else; again and again on the same data. The process is the test binary, which runs
// nothing but the calling test; so RunKill must be called directly in a top-level test.
func RunKill(t *testing.T, open Opener) {
	if dir := os.Getenv(childDir); dir != "" {
		t.Fatalf("child: %v", writeBatches(open, dir, os.Stdout))
	}
	dir := t.TempDir()
	random := rand.New(rand.NewPCG(1, 3))
	last := 0 // the newest batch found
	for range kills {
		acknowledged, err := killChild(t.Name(), dir, 1+random.IntN(killAfter), random.IntN(4000))
		if err != nil {
			t.Fatal(err)
		}
		acknowledged = max(acknowledged, last)
		e := mustOpen(t, open, dir)
		view(t, e, func(r engine.Reader) (err error) {
			last, err = checkBatches(r)
			return err
		})
		closeEngine(t, e)
		if last != acknowledged && last != acknowledged+1 {
			t.Fatalf("batch %d was acknowledged last, but batch %d was found last", acknowledged, last)
		}
	}
}

// killChild starts the child, awaits acks acknowledgements, lets the child go on for a random while (spins rounds of the scheduler, to hit
// any point of a commit), and kills it. It gives the last acknowledged number.
func killChild(test, dir string, acks, spins int) (last int, err error) {
	child := exec.Command(os.Args[0], "-test.run=^"+test+"$", "-test.timeout=60s")
	child.Env = append(os.Environ(), childDir+"="+dir)
	var diagnosis bytes.Buffer
	child.Stderr = &diagnosis
	out, err := child.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := child.Start(); err != nil {
		return 0, err
	}
	lines := bufio.NewScanner(out)
	var text strings.Builder
	for got := 0; lines.Scan(); {
		if n, err := strconv.Atoi(lines.Text()); err == nil {
			last = n
			got++
		} else {
			fmt.Fprintln(&text, lines.Text())
		}
		if got == acks {
			break
		}
	}
	for range spins {
		if _, err := os.Stat(dir); err != nil {
			return 0, err
		}
	}
	if err := child.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return 0, err
	}
	for lines.Scan() { // what was acknowledged before the kill took effect
		if n, err := strconv.Atoi(lines.Text()); err == nil {
			last = n
		}
	}
	_ = child.Wait() // its end is always a kill
	if last == 0 {
		return 0, fmt.Errorf("the child acknowledged nothing: %s %s", text.String(), diagnosis.String())
	}
	return last, lines.Err()
}

// writeBatches goes on where the data ends, without an end, and prints the number of each batch that is acknowledged.
func writeBatches(open Opener, dir string, out io.Writer) error {
	e, err := open(dir)
	if err != nil {
		return err
	}
	var last int
	if err := e.View(func(r engine.Reader) (err error) {
		last, err = checkBatches(r)
		return err
	}); err != nil {
		return err
	}
	for n := last + 1; ; n++ {
		if err := e.Update(func(tx engine.Tx) error { return WriteBatch(tx, n) }); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(out, n); err != nil {
			return err
		}
	}
}

// WriteBatch writes batch n, from 1, and removes one that falls out of the window.
func WriteBatch(tx engine.Tx, n int) error {
	for i := range batchKeys {
		if err := tx.Put(batchKey(n, i), batchValue(n, i)); err != nil {
			return err
		}
	}
	if n <= window {
		return tx.Put([]byte("last"), []byte(strconv.Itoa(n)))
	}
	return errors.Join(tx.DeleteRange(batchKey(n-window, 0), batchKey(n-window, batchKeys)), tx.Put([]byte("last"), []byte(strconv.Itoa(n))))
}

// CheckBatches reads all that WriteBatch has written and gives the number of the last batch, 0 if there is none. It is an error if a batch is
// there in part, or if anything is there that should not be.
func CheckBatches(e engine.Engine) (last int, err error) {
	err = e.View(func(r engine.Reader) error {
		last, err = checkBatches(r)
		return err
	})
	return last, err
}

func checkBatches(r engine.Reader) (last int, err error) {
	value, found, err := r.Get([]byte("last"))
	if err != nil {
		return 0, err
	}
	if found {
		if last, err = strconv.Atoi(string(value)); err != nil {
			return 0, err
		}
	}
	var want, got []pair
	for n := max(1, last-window+1); n <= last; n++ {
		for i := range batchKeys {
			want = append(want, pair{string(batchKey(n, i)), string(batchValue(n, i))})
		}
	}
	if found {
		want = append(want, pair{"last", string(value)})
	}
	if got, err = pairs(r, nil, nil); err != nil {
		return 0, err
	}
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			return 0, fmt.Errorf("last batch is %d: key %q is missing at the end", last, want[i].key)
		case i >= len(want):
			return 0, fmt.Errorf("last batch is %d: key %q is too many", last, got[i].key)
		case got[i] != want[i]:
			return 0, fmt.Errorf("last batch is %d: found %q=%.40q, want %q=%.40q", last, got[i].key, got[i].value, want[i].key, want[i].value)
		}
	}
	return last, nil
}

func batchKey(n, i int) []byte { return fmt.Appendf(nil, "batch-%08d-%04d", n, i) }

// batchValue gives values of 10 bytes to some pages, which tell which batch they are of.
func batchValue(n, i int) []byte {
	size := 10
	if i%7 == 0 {
		size = 1000 * (1 + (n+i)%9)
	}
	return bytes.Repeat(fmt.Appendf(nil, "%d/%d ", n, i), size/8)
}
