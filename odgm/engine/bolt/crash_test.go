package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/hpcclab/oaas-go/odgm/engine"
	"github.com/hpcclab/oaas-go/odgm/engine/enginetest"
)

func TestFull(t *testing.T) { enginetest.RunFull(t, openDir) }

func writeBatch(e engine.Engine, n int) error {
	return e.Update(func(tx engine.Tx) error { return enginetest.WriteBatch(tx, n) })
}

// image is the file at one moment: the pages in use, and the length.
type image struct {
	data   []byte
	length int64
}

func readImage(t *testing.T, e *Engine) image {
	t.Helper()
	used, err := e.Size()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(e.db.Path())
	if err != nil {
		t.Fatal(err)
	}
	return image{data: data[:min(used, int64(len(data)))], length: int64(len(data))}
}

// tear is what the disk may hold if the power fails in a commit: some ranges of bytes of the file after it, the others as before.
type tear struct {
	name   string
	ranges [][2]int
	before image
	after  image
	newLen bool // whether the length is that after the commit
}

func (r tear) bytes() []byte {
	torn := bytes.Clone(r.before.data)
	for _, span := range r.ranges {
		if missing := span[1] - len(torn); missing > 0 {
			torn = append(torn, make([]byte, missing)...)
		}
		copy(torn[span[0]:span[1]], r.after.data[span[0]:span[1]])
	}
	return torn
}

// tears gives what can be left of a commit, in two groups: torn while the data pages were written, where the old state must be found, and
// torn in the meta page, which is written when the data is synced, where it is the old or the new state.
func tears(before, after image, page int, random *rand.Rand) (data, meta []tear) {
	var changed [][2]int // data pages
	var header int       // the changed meta page
	for at := 0; at < len(after.data); at += page {
		old := make([]byte, page)
		if at < len(before.data) {
			old = before.data[at : at+page]
		}
		switch {
		case bytes.Equal(old, after.data[at:at+page]):
		case at < 2*page:
			header = at
		default:
			changed = append(changed, [2]int{at, at + page})
		}
	}
	base := tear{before: before, after: after}
	for i := range changed {
		r := base
		r.name, r.ranges = fmt.Sprintf("%d of %d pages", i, len(changed)), changed[:i]
		data = append(data, r)
		half := [2]int{changed[i][0], changed[i][0] + page/2}
		r.name, r.ranges, r.newLen = r.name+" and a half", append(slices.Clone(changed[:i]), half), true
		data = append(data, r)
		r.name, r.ranges = fmt.Sprintf("random pages %d", i), nil
		for _, span := range changed {
			if random.IntN(2) == 0 {
				r.ranges = append(r.ranges, span)
			}
		}
		data = append(data, r)
	}
	for _, length := range []int{0, 1, 8, 16, 17, 24, 32, 40, 48, 56, 64, 65, 71, 72, 76, 79, 80, 512, page} {
		r := base
		r.name, r.newLen = fmt.Sprintf("%d bytes of the meta page", length), true
		r.ranges = append(slices.Clone(changed), [2]int{header, header + length})
		meta = append(meta, r)
		if length > 0 && length < page { // the end came first
			r.name = fmt.Sprintf("meta page without its first %d bytes", length)
			r.ranges = append(slices.Clone(changed), [2]int{header + length, header + page})
			meta = append(meta, r)
		}
	}
	return data, meta
}

// TestTornFile leaves a commit half written in every way, and opens the result.
func TestTornFile(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 5))
	e, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	page := e.db.Info().PageSize
	dir := t.TempDir()
	tried := 0
	for n := 1; n <= 12; n++ {
		before := readImage(t, e)
		if err := writeBatch(e, n); err != nil {
			t.Fatal(err)
		}
		data, meta := tears(before, readImage(t, e), page, random)
		for _, r := range data {
			if last, err := openTorn(dir, r, false); err != nil || last != n-1 {
				t.Errorf("batch %d, %s: found batch %d, %v", n, r.name, last, err)
			}
		}
		for i, r := range meta {
			if last, err := openTorn(dir, r, i == n); err != nil || last != n-1 && last != n {
				t.Errorf("batch %d, %s: found batch %d, %v", n, r.name, last, err)
			}
		}
		tried += len(data) + len(meta)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	t.Logf("%d torn files", tried)
}

// openTorn writes a torn file and gives the last batch that is found in it; goOn also writes a further one.
func openTorn(dir string, r tear, goOn bool) (last int, err error) {
	path := filepath.Join(dir, FileName)
	torn := r.bytes()
	if err := os.WriteFile(path, torn, 0o600); err != nil {
		return 0, err
	}
	length := max(r.before.length, int64(len(torn)))
	if r.newLen {
		length = r.after.length
	}
	if err := os.Truncate(path, length); err != nil {
		return 0, err
	}
	e, err := Open(dir)
	if err != nil {
		return 0, err
	}
	last, err = enginetest.CheckBatches(e)
	if goOn && err == nil {
		var next int
		err = writeBatch(e, last+1)
		if next, _ = enginetest.CheckBatches(e); next != last+1 {
			err = errors.Join(err, fmt.Errorf("wrote batch %d, found %d", last+1, next))
		}
	}
	return last, errors.Join(err, e.Close())
}

// TestBrokenDisk closes the file behind bbolt's back, so that writes fail.
func TestBrokenDisk(t *testing.T) {
	for _, mapped := range []int64{mapSize, 0} {
		dir := t.TempDir()
		var file *os.File
		e, err := open(dir, mapped, func(name string, flag int, perm os.FileMode) (f *os.File, err error) {
			file, err = os.OpenFile(name, flag, perm)
			return file, err
		})
		if err != nil {
			t.Fatal(err)
		}
		for n := 1; n <= 10; n++ {
			if err := writeBatch(e, n); err != nil {
				t.Fatal(err)
			}
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
		err = writeBatch(e, 11)
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("update does not give the cause: %v", err)
		}
		if mapped > 0 {
			enginetest.CheckFailed(t, e, err, 10)
		} else if err := e.View(func(engine.Reader) error { return nil }); !errors.Is(err, engine.ErrFailed) {
			t.Errorf("view of a failed engine whose state had to be given up: %v", err)
		}
		if err := e.Close(); err == nil {
			t.Error("close does not report the file")
		}
		e, err = Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		if last, err := enginetest.CheckBatches(e); err != nil || last != 10 {
			t.Errorf("after opening again: batch %d, %v", last, err)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestCrashWhileCreating leaves drafts of a file behind.
func TestCrashWhileCreating(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{draftPrefix + "1", draftPrefix + "2"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("half a file"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	e, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(writeBatch(e, 1), e.Close()); err != nil {
		t.Error(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != FileName {
		t.Errorf("the folder has %v, %v", entries, err)
	}
}

// TestNotOurFile has files that are no database, and one that is another program's.
func TestNotOurFile(t *testing.T) {
	for _, content := range []string{"x", "not a database", string(make([]byte, 64<<10))} {
		dir := t.TempDir()
		path := filepath.Join(dir, FileName)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if e, err := Open(dir); err == nil {
			t.Errorf("opened a file of %d bytes that is no database", len(content))
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != content {
			t.Errorf("a file that is no database was changed: %v", err)
		}
	}
}
