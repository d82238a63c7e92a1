package dev

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/internal/filelock"
)

// lockName is the file whose lock says that a process uses the data folder. Its text is that process's id, for people.
const lockName = "lock"

// takeover is how long a lock or an address that is taken is waited for: a process that was killed gives them back a moment after it.
const takeover = time.Second

// wait calls done again and again until it is true, for no longer than takeover.
func wait(ctx context.Context, done func() bool) {
	ctx, cancel := context.WithTimeout(ctx, takeover)
	defer cancel()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// lockDir takes a data folder for this process. The system gives it back when the process ends, however it ends.
func lockDir(ctx context.Context, dir string) (*os.File, error) {
	path := filepath.Join(dir, lockName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock data folder: %w", err)
	}
	taken, err := false, error(nil)
	wait(ctx, func() bool {
		taken, err = filelock.Try(f)
		return taken || err != nil
	})
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock data folder %s: %w", dir, err)
	}
	if !taken {
		f.Close()
		return nil, fault.New(fault.AlreadyExists, "the data folder %s is in use by another oaas dev%s", dir, holder(path))
	}
	if err := writePID(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock data folder %s: %w", dir, err)
	}
	return f, nil
}

func writePID(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// holder names the process that has the lock, if its file says.
func holder(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return ""
	}
	return fmt.Sprintf(" (process %d)", pid)
}
