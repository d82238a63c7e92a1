package dev

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/hpcclab/oaas-go/api/opackage"
	"github.com/hpcclab/oaas-go/dev/control"
	"github.com/hpcclab/oaas-go/dev/project"
	"github.com/hpcclab/oaas-go/runtime/builder"
)

// settle is how long a folder must be quiet before it is looked at: editors and version control write several files at once.
const settle = 150 * time.Millisecond

// watcher deploys a project folder again when its source changes.
type watcher struct {
	platform *platform
	dir      string
	events   *fsnotify.Watcher
	poke     chan struct{}
	ctx      context.Context
	stop     context.CancelFunc
	done     chan struct{}

	// seen is the fingerprint of the source that was last deployed or tried.
	mu   sync.Mutex
	seen string
}

// watch begins to watch a folder, if it is not watched already. seen is the fingerprint of its source that is being served, or "".
func (p *platform) watch(dir, seen string) (*watcher, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w := p.watched[dir]; w != nil {
		w.note(seen)
		return w, nil
	}
	if p.stopping.Err() != nil {
		return nil, context.Cause(p.stopping)
	}
	events, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", dir, err)
	}
	w := &watcher{platform: p, dir: dir, events: events, poke: make(chan struct{}, 1), done: make(chan struct{}), seen: seen}
	w.ctx, w.stop = context.WithCancel(p.stopping)
	p.watched[dir] = w
	p.work.Go(w.run)
	return w, nil
}

// unwatch ends the watching of a folder.
func (p *platform) unwatch(dir string) {
	p.mu.Lock()
	w := p.watched[dir]
	delete(p.watched, dir)
	p.mu.Unlock()
	if w != nil {
		w.stop() // not waited for here: it may be the one that is deploying just now
	}
}

// note tells what source is being served.
func (w *watcher) note(seen string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = seen
}

// check has the watcher compare the source with what it has seen, now.
func (w *watcher) check() {
	select {
	case w.poke <- struct{}{}:
	default:
	}
}

// run waits for changes until it is stopped.
func (w *watcher) run() {
	defer close(w.done)
	defer w.events.Close() //nolint:errcheck // nothing is read from it any more
	defer w.stop()
	w.addAll()
	quiet := time.NewTimer(settle)
	quiet.Stop()
	defer quiet.Stop()
	for {
		select {
		case <-w.ctx.Done():
			return
		case e := <-w.events.Events:
			if !e.Has(fsnotify.Chmod) && w.relevant(e.Name) {
				quiet.Reset(settle)
			}
		case err := <-w.events.Errors:
			// The queue of changes ran over, or so: something has changed, it is not known what.
			w.platform.log.Debug("watch source", "dir", w.dir, "error", err)
			quiet.Reset(settle)
		case <-w.poke:
			w.look()
		case <-quiet.C:
			w.look()
		}
	}
}

// look deploys the folder if its source is another one than was seen.
func (w *watcher) look() {
	w.addAll()
	now := project.Fingerprint(w.dir, w.platform.dataDir)
	w.mu.Lock()
	changed := now != w.seen
	w.seen = now
	w.mu.Unlock()
	if !changed {
		return
	}
	source := w.platform.reload(w.ctx, w.dir)
	if w.buildsItself() {
		// Its own build command may write into the source; that is no change to be built again. What was changed since then is one.
		if source == "" {
			source = project.Fingerprint(w.dir, w.platform.dataDir)
		}
		w.note(source)
	}
}

func (w *watcher) buildsItself() bool {
	p, err := project.Load(w.dir)
	return err == nil && buildsItself(p.Package)
}

// buildsItself reports whether a package has functions with build commands of their own.
func buildsItself(p *opackage.Package) bool {
	return slices.ContainsFunc(p.Functions, func(f opackage.Function) bool { return len(f.Build) > 0 })
}

// relevant reports whether a changed path can be source.
func (w *watcher) relevant(path string) bool {
	if path == w.platform.dataDir || strings.HasPrefix(path, w.platform.dataDir+string(filepath.Separator)) {
		return false
	}
	return !builder.Ignored(filepath.Base(path))
}

// addAll watches all folders of the project and of its functions' sources.
func (w *watcher) addAll() {
	roots := []string{w.dir}
	if p, err := project.Load(w.dir); err == nil {
		for i := range p.Functions {
			if project.Local(&p.Functions[i]) {
				roots = append(roots, p.Source(&p.Functions[i]))
			}
		}
	}
	for _, root := range roots {
		if err := w.add(root); err != nil && w.ctx.Err() == nil {
			w.platform.problem(control.Activity{
				Message: fmt.Sprintf("watch %s: %v", root, err), Hint: "changes in it are not noticed; deploy them with: oaas func deploy " + w.dir,
			})
		}
	}
}

func (w *watcher) add(root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil // gone again
		}
		if err != nil {
			return err
		}
		if !d.IsDir() {
			return nil
		}
		if path != root && !w.relevant(path) {
			return filepath.SkipDir
		}
		if err := w.events.Add(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	})
}
