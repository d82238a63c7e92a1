// Package builder makes something that can be started out of the source folder of a function.
//
// Guarantee: what [Builder.Build] gives does not change when the source changes afterwards: each build has a folder of its own, named by the
// content that it was made from, which appears complete or not at all. Building the same content twice does the work once. A build that
// fails leaves nothing behind, and its error has the tool's whole output (bounded).
package builder

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hpcclab/oaas-go/api/opackage"
)

// Builder keeps builds in folders Root/<package>/<function>/<hash>.
type Builder struct {
	Root string
}

// Request says what to build.
type Request struct {
	Package  string
	Function string
	// Dir is the source folder.
	Dir string
	// Runtime is guessed from the files in Dir when it is empty.
	Runtime opackage.Runtime
	// Build and Command replace the runtime's own way to build and to start.
	Build   []string
	Command []string
	// Exclude are folders (absolute paths) that are no source although they lie in Dir, such as the one that the builds are kept in.
	Exclude []string
}

// Result is a finished build.
type Result struct {
	Runtime opackage.Runtime
	// Hash names the content of the build: builds of equal hashes are equal.
	Hash string
	// Command starts the function in the folder Dir with the additional environment Env.
	Command []string
	Dir     string
	Env     []string
	// Reused is true when an earlier build of the same content was taken.
	Reused bool
	Took   time.Duration
}

// outputLimit bounds how much of a tool's output an error keeps; the end of it is the part that says why.
const outputLimit = 256 << 10

// keep is the number of builds of a function that stay on disk: the newest, and the one that may still be serving.
const keep = 3

// Build builds the function unless a build of the same content is there already.
func (b *Builder) Build(ctx context.Context, req Request) (*Result, error) {
	started := time.Now()
	if err := req.check(); err != nil {
		return nil, err
	}
	kind, err := runtimeOf(req)
	if err != nil {
		return nil, err
	}
	req.Runtime = kind
	if err := runBuildCommand(ctx, req); err != nil {
		return nil, err
	}
	source, err := scan(req)
	if err != nil {
		return nil, err
	}
	home := filepath.Join(b.Root, req.Package, req.Function)
	result := &Result{Runtime: kind, Hash: source.hash, Reused: source.complete && isDir(filepath.Join(home, source.hash))}
	if !result.Reused {
		if result.Hash, err = b.make(ctx, req, source, home); err != nil {
			return nil, err
		}
	}
	final := filepath.Join(home, result.Hash)
	if err := result.locate(req, final); err != nil {
		return nil, err
	}
	now := time.Now()
	// The folder's time says when the build was last wanted; pruning goes by it. A failure only makes it look older.
	_ = os.Chtimes(final, now, now)
	result.Took = time.Since(started)
	return result, b.prune(home, result.Hash)
}

// Prepare runs the build command of a request in its source folder, and nothing else.
func (b *Builder) Prepare(ctx context.Context, req Request) error {
	if err := req.check(); err != nil {
		return err
	}
	return runBuildCommand(ctx, req)
}

// Place makes a build of a WebAssembly module that is there already.
func (b *Builder) Place(pkg, function string, module []byte) (*Result, error) {
	started := time.Now()
	if !isName(pkg) || !isName(function) {
		return nil, fmt.Errorf("place module of %q of %q: not usable as folder names", function, pkg)
	}
	sum := sha256.Sum256(module)
	r := &Result{Runtime: opackage.WasmRuntime, Hash: hex.EncodeToString(sum[:])[:16]}
	home := filepath.Join(b.Root, pkg, function)
	r.Dir = filepath.Join(home, r.Hash)
	r.Command = []string{filepath.Join(r.Dir, ModuleName)}
	if r.Reused = isDir(r.Dir); !r.Reused {
		if err := b.place(home, r.Dir, module); err != nil {
			return nil, fmt.Errorf("place module of %s: %w", function, err)
		}
	}
	r.Took = time.Since(started)
	return r, b.prune(home, r.Hash)
}

func (b *Builder) place(home, final string, module []byte) error {
	if err := os.MkdirAll(home, 0o755); err != nil {
		return err
	}
	temp, err := os.MkdirTemp(home, ".building-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp) //nolint:errcheck // gone already when all went well
	if err := os.WriteFile(filepath.Join(temp, ModuleName), module, 0o644); err != nil {
		return err
	}
	if err := os.Rename(temp, final); err != nil && !isDir(final) {
		return err
	}
	return nil
}

// Hash gives a hash of the source as it is now, with everything in the request that decides what is built of it.
func Hash(req Request) (string, error) {
	if err := req.check(); err != nil {
		return "", err
	}
	kind, err := runtimeOf(req)
	if err != nil {
		return "", err
	}
	req.Runtime = kind
	source, err := scan(req)
	if err != nil {
		return "", err
	}
	return source.hash, nil
}

// Remove deletes all builds of a package.
func (b *Builder) Remove(pkg string) error {
	if !isName(pkg) {
		return fmt.Errorf("remove builds: %q is not a package name", pkg)
	}
	return os.RemoveAll(filepath.Join(b.Root, pkg))
}

func (r *Request) check() error {
	if !isName(r.Package) || !isName(r.Function) {
		return fmt.Errorf("build %q of %q: not usable as folder names", r.Function, r.Package)
	}
	dir, err := filepath.Abs(r.Dir)
	if err != nil {
		return fmt.Errorf("build %s: %w", r.Function, err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("build %s: source folder: %w", r.Function, err)
	}
	if !info.IsDir() {
		return fmt.Errorf("build %s: source %s is not a folder", r.Function, dir)
	}
	r.Dir = dir
	return nil
}

// isName refuses what would leave the folder of builds.
func isName(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.ContainsAny(name, `/\`)
}

// make builds into a temporary folder, gives it its final name when it is complete, and gives that name.
func (b *Builder) make(ctx context.Context, req Request, source *tree, home string) (string, error) {
	if err := os.MkdirAll(home, 0o755); err != nil {
		return "", fmt.Errorf("build %s: %w", req.Function, err)
	}
	temp, err := os.MkdirTemp(home, ".building-")
	if err != nil {
		return "", fmt.Errorf("build %s: %w", req.Function, err)
	}
	defer os.RemoveAll(temp) //nolint:errcheck // gone already when the build succeeded
	if err := compile(ctx, req, source, temp); err != nil {
		return "", err
	}
	name := source.hash
	if !source.complete {
		// The source alone does not tell whether the build is the same as an earlier one; its outcome does.
		program := programName()
		if req.Runtime == opackage.WasmRuntime {
			program = ModuleName
		}
		if name, err = hashOf(filepath.Join(temp, program)); err != nil {
			return "", fmt.Errorf("build %s: %w", req.Function, err)
		}
	}
	if err := os.Chmod(temp, 0o755); err != nil {
		return "", fmt.Errorf("build %s: %w", req.Function, err)
	}
	final := filepath.Join(home, name)
	if isDir(final) {
		return name, nil
	}
	if err := os.Rename(temp, final); err != nil && !isDir(final) {
		return "", fmt.Errorf("build %s: put in place: %w", req.Function, err)
	}
	return name, nil
}

// prune removes all but the newest builds, and what a killed build left behind.
func (b *Builder) prune(home, current string) error {
	entries, err := os.ReadDir(home)
	if err != nil {
		return fmt.Errorf("list builds: %w", err)
	}
	type build struct {
		name string
		used time.Time
	}
	var builds []build
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("list builds: %w", err)
		}
		if strings.HasPrefix(e.Name(), ".") {
			if time.Since(info.ModTime()) > time.Hour {
				_ = os.RemoveAll(filepath.Join(home, e.Name())) // tried again next time
			}
			continue
		}
		if e.Name() != current {
			builds = append(builds, build{e.Name(), info.ModTime()})
		}
	}
	for len(builds) >= keep {
		oldest := 0
		for i, c := range builds {
			if c.used.Before(builds[oldest].used) {
				oldest = i
			}
		}
		_ = os.RemoveAll(filepath.Join(home, builds[oldest].name)) // tried again next time
		builds = append(builds[:oldest], builds[oldest+1:]...)
	}
	return nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
