package config

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/hpcclab/oaas-go/internal/filelock"
)

// lockStep is the pause between two attempts to get the lock.
const lockStep = 5 * time.Millisecond

// Load reads a file. Without a file the error is fs.ErrNotExist.
func Load(path string) (*Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return Parse(path, text)
}

// Update changes a file, or makes it from what initial gives. While it runs, no other Update of the file does. If change fails, or the file does not
// parse, or is read-only, nothing is written.
func Update(ctx context.Context, path string, initial func() *Config, change func(*Config) error) error {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // what is replaced is the file, and not a link to it
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("make the folder of the configuration: %w", err)
	}
	unlock, err := lock(ctx, path+".lock")
	if err != nil {
		return err
	}
	defer unlock()
	c, err := Load(path)
	if errors.Is(err, fs.ErrNotExist) {
		c, err = initial(), nil
	}
	if err != nil {
		return err
	}
	if err := change(c); err != nil {
		return err
	}
	return write(path, c)
}

// lock waits for the lock of a file.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock configuration: %w", err)
	}
	for {
		taken, err := filelock.Try(f)
		if taken {
			return func() { f.Close() }, nil //nolint:errcheck // nothing was written to it
		}
		if err != nil {
			f.Close() //nolint:errcheck // the error before it says more
			return nil, fmt.Errorf("lock configuration: %w", err)
		}
		select {
		case <-ctx.Done():
			f.Close() //nolint:errcheck // nothing was written to it
			return nil, fmt.Errorf("wait for the lock %s: %w", path, context.Cause(ctx))
		case <-time.After(lockStep):
		}
	}
}

// write puts the content in the place of the file: all of it, on disk, before the name leads to it.
func write(path string, c *Config) error {
	mode := fs.FileMode(0o644)
	if info, err := os.Stat(path); err == nil {
		if mode = info.Mode().Perm(); mode&0o200 == 0 {
			return fmt.Errorf("write configuration: %s is read-only: %w", path, fs.ErrPermission)
		}
	}
	var text bytes.Buffer
	enc := yaml.NewEncoder(&text)
	enc.SetIndent(2)
	if err := errors.Join(enc.Encode(c), enc.Close()); err != nil {
		return fmt.Errorf("encode configuration: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	_, err = tmp.Write(text.Bytes())
	err = errors.Join(err, tmp.Chmod(mode), tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		os.Remove(tmp.Name()) //nolint:errcheck // the error before it says more
		return fmt.Errorf("write configuration: %w", err)
	}
	return nil
}
