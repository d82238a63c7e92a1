package filelock

import (
	"os"
	"path/filepath"
	"testing"
)

func TestOneHolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	open := func() *os.File {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	first, second := open(), open()
	if taken, err := Try(first); !taken || err != nil {
		t.Fatalf("the first: %v, %v", taken, err)
	}
	if taken, err := Try(second); taken || err != nil {
		t.Errorf("the second: %v, %v", taken, err)
	}
	first.Close()
	if taken, err := Try(second); !taken || err != nil {
		t.Errorf("the second, after the first: %v, %v", taken, err)
	}
	closed := open()
	closed.Close()
	if taken, err := Try(closed); taken || err == nil {
		t.Errorf("a closed file: %v, %v", taken, err)
	}
}
