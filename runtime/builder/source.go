package builder

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hpcclab/oaas-go/api/opackage"
	"golang.org/x/mod/modfile"
)

// format is part of every hash; raise it when builds of equal sources come out differently.
const format = "oaas build 1"

// maxSource bounds a source folder; a larger one is most likely the wrong folder.
const maxSource = 1 << 30

// linked folders hold what a package manager installed. They are neither watched, hashed nor copied, only linked to.
var linked = []string{"node_modules", ".venv", "venv"}

// Ignored reports whether a file or folder of that name is no source: version control, the platform's data, caches, installed
// packages, hidden and editor files.
func Ignored(name string) bool {
	switch {
	case slices.Contains(linked, name), name == "__pycache__", name == "4913":
		return true
	case strings.HasPrefix(name, ".") && name != ".env":
		return true
	case strings.HasPrefix(name, "#") && strings.HasSuffix(name, "#"):
		return true
	}
	for _, ending := range []string{"~", ".swp", ".swx", ".tmp", ".pyc", ".test", ".orig", ".bak"} {
		if strings.HasSuffix(name, ending) {
			return true
		}
	}
	return false
}

// tree is a source folder as it was found.
type tree struct {
	dir     string
	exclude []string
	files   []string
	size    int64
	hash    string
	// complete is true when the hash covers everything that the build depends on.
	complete bool
}

// scan reads and hashes the source of a request.
func scan(req Request) (*tree, error) {
	t := &tree{dir: req.Dir, exclude: req.Exclude, complete: true}
	sum := sha256.New()
	field(sum, format)
	field(sum, string(req.Runtime))
	for _, argv := range [][]string{req.Build, req.Command} {
		field(sum, fmt.Sprint(len(argv)))
		for _, a := range argv {
			field(sum, a)
		}
	}
	files, err := t.add(sum, req.Dir)
	if err != nil {
		return nil, fmt.Errorf("read source of %s: %w", req.Function, err)
	}
	t.files = files
	if (req.Runtime == opackage.GoRuntime || req.Runtime == opackage.WasmRuntime) && len(req.Build) == 0 {
		if err := t.addReplaced(sum); err != nil {
			return nil, fmt.Errorf("read source of %s: %w", req.Function, err)
		}
	}
	t.hash = hex.EncodeToString(sum.Sum(nil))[:16]
	return t, nil
}

// add hashes all files under dir and gives their names relative to it.
func (t *tree) add(sum hash.Hash, dir string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if path != dir && (Ignored(d.Name()) || slices.Contains(t.exclude, path)) {
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if d.IsDir() {
			return nil
		}
		info, err := os.Stat(path)
		if err != nil || !info.Mode().IsRegular() {
			return nil // a dangling link, a socket: no source
		}
		if t.size += info.Size(); t.size > maxSource {
			return fmt.Errorf("%s has more than %d MiB of files; is it the right folder?", dir, maxSource>>20)
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		files = append(files, name)
		return hashFile(sum, path, name, info)
	})
	return files, err
}

// addReplaced hashes the folders that go.mod takes modules from. Without a go.mod of its own the folder is a part of a larger module,
// and what it imports from there is not known.
func (t *tree) addReplaced(sum hash.Hash) error {
	text, err := os.ReadFile(filepath.Join(t.dir, "go.mod"))
	if os.IsNotExist(err) {
		t.complete = false
		return nil
	}
	if err != nil {
		return err
	}
	mod, err := modfile.Parse("go.mod", text, nil)
	if err != nil {
		return nil // the go command says it better
	}
	for _, r := range mod.Replace {
		if r.New.Version != "" {
			continue
		}
		dir := r.New.Path
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(t.dir, dir)
		}
		if t.covers(dir) {
			continue // hashed already
		}
		field(sum, r.New.Path)
		if _, err := t.add(sum, dir); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return nil
}

// covers reports whether a folder was hashed as a part of the source.
func (t *tree) covers(dir string) bool {
	rel, err := filepath.Rel(t.dir, dir)
	if err != nil || !filepath.IsLocal(rel) {
		return false
	}
	return !slices.ContainsFunc(strings.Split(filepath.ToSlash(rel), "/"), func(name string) bool { return name != "." && Ignored(name) })
}

func hashFile(sum hash.Hash, path, name string, info fs.FileInfo) error {
	field(sum, filepath.ToSlash(name))
	field(sum, fmt.Sprint(info.Mode()&0o111 != 0))
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	inner := sha256.New()
	if _, err := io.Copy(inner, f); err != nil {
		return err
	}
	sum.Write(inner.Sum(nil))
	return nil
}

// hashOf gives the hash of one file, for use as a name.
func hashOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil))[:16], nil
}

// field writes text with its length before it, so that neighbours cannot run together.
func field(sum hash.Hash, text string) {
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], uint64(len(text)))
	sum.Write(n[:])
	io.WriteString(sum, text) //nolint:errcheck // a hash takes everything
}

// copyTo copies the files to another folder, and links the folders of installed packages.
func (t *tree) copyTo(to string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, name := range t.files {
		if err := copyFile(filepath.Join(t.dir, name), filepath.Join(to, name)); err != nil {
			return err
		}
	}
	for _, name := range linked {
		installed := filepath.Join(t.dir, name)
		if !isDir(installed) {
			continue
		}
		if err := os.Symlink(installed, filepath.Join(to, name)); err != nil {
			return fmt.Errorf("link %s: %w", name, err)
		}
	}
	return nil
}

func copyFile(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, info.Mode().Perm()|0o200)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
