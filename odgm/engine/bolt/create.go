package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"go.etcd.io/bbolt"
)

// create makes an empty file of the engine at path, unless there is one. bbolt writes a new file in place, and a crash meanwhile leaves one that
// cannot be opened; so the file is made under another name first. Each folder on the way is synced: what is acknowledged later must not
// vanish with the name of the file.
func create(dir, path string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := makeDir(dir); err != nil {
		return err
	}
	draft, err := makeDraft(dir)
	if err == nil {
		err = publish(draft, path)
	}
	if err != nil {
		return err
	}
	return syncDir(dir)
}

// makeDraft writes an empty file of the engine under a name of its own.
func makeDraft(dir string) (path string, err error) {
	file, err := os.CreateTemp(dir, draftPrefix+"*")
	if err != nil {
		return "", err
	}
	if err := file.Close(); err != nil {
		return "", err
	}
	db, err := bbolt.Open(file.Name(), 0o600, &bbolt.Options{Timeout: lockTimeout})
	if err != nil {
		return "", err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket(bucketName)
		return err
	})
	return file.Name(), errors.Join(err, db.Close())
}

// publish gives the draft its name, unless another process was faster: replacing a file that it has open would split the data in two.
func publish(draft, path string) error {
	err := os.Link(draft, path)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return os.Remove(draft)
	}
	if _, statErr := os.Stat(path); statErr == nil {
		return nil // the other process has also tidied up
	}
	return os.Rename(draft, path) // the file system has no links
}

// removeDrafts removes what crashes while creating have left. The caller has the file at its final name locked.
func removeDrafts(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), draftPrefix) {
			continue
		}
		if removeErr := os.Remove(filepath.Join(dir, entry.Name())); removeErr != nil && !errors.Is(removeErr, fs.ErrNotExist) {
			err = errors.Join(err, removeErr)
		}
	}
	return err
}

// makeDir makes a folder and its parents, durably.
func makeDir(dir string) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := makeDir(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(parent)
}

// syncDir makes the names in a folder durable.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // folders cannot be synced there; NTFS logs the changes of names
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	if err := d.Sync(); err != nil {
		return errors.Join(fmt.Errorf("sync %s: %w", dir, err), d.Close())
	}
	return d.Close()
}
