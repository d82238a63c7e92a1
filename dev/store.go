package dev

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/hpcclab/oaas-go/api/opackage"
)

// projectsName is the file in the data folder that remembers what is deployed.
const projectsName = "projects.json"

// remembered is a deployment as it is kept on disk: enough to serve it again without looking at its source.
type remembered struct {
	Dir      string                    `json:"dir"`
	Deployed time.Time                 `json:"deployed"`
	Package  *opackage.Package         `json:"package"`
	Builds   map[string]rememberedFunc `json:"functions"`
	// Source is the hash of the sources that it was made from.
	Source string `json:"source"`
}

// rememberedFunc is how a built function is started.
type rememberedFunc struct {
	Runtime string   `json:"runtime"`
	Hash    string   `json:"hash"`
	Command []string `json:"command"`
	Dir     string   `json:"dir"`
	Env     []string `json:"env,omitempty"`
}

// loadProjects reads what is deployed; nothing when there is no file.
func loadProjects(dir string) ([]remembered, error) {
	path := filepath.Join(dir, projectsName)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read deployed projects: %w", err)
	}
	var list []remembered
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("read deployed projects: %s: %w", path, err)
	}
	for i, r := range list {
		if r.Package == nil || r.Package.Name == "" {
			return nil, fmt.Errorf("read deployed projects: %s: project %d has no package", path, i)
		}
	}
	return list, nil
}

// saveProjects replaces the file; after a crash at any moment it has the old list or the new one.
func saveProjects(dir string, projects map[string]remembered) error {
	list := make([]remembered, 0, len(projects))
	for _, name := range slices.Sorted(maps.Keys(projects)) {
		list = append(list, projects[name])
	}
	text, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		return fmt.Errorf("save deployed projects: %w", err)
	}
	if err := writeWhole(filepath.Join(dir, projectsName), append(text, '\n')); err != nil {
		return fmt.Errorf("save deployed projects: %w", err)
	}
	return nil
}

// writeWhole writes a file so that it is there whole or not at all.
func writeWhole(path string, text []byte) error {
	draft, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(draft.Name()) //nolint:errcheck // renamed already when all went well
	if _, err := draft.Write(text); err != nil {
		draft.Close()
		return err
	}
	if err := draft.Sync(); err != nil {
		draft.Close()
		return err
	}
	if err := draft.Close(); err != nil {
		return err
	}
	if err := os.Rename(draft.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes a rename last. Where folders cannot be synced, the file system takes care of it.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	_ = d.Sync()
	return nil
}
