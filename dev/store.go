package dev

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/hpcclab/oaas-go/api/opackage"
	"github.com/hpcclab/oaas-go/pm"
)

// remembered is a deployment as it is kept on disk: enough to serve it again without looking at its source.
type remembered struct {
	Dir      string                    `json:"dir"`
	Deployed time.Time                 `json:"deployed"`
	Package  *opackage.Package         `json:"package"`
	Builds   map[string]rememberedFunc `json:"functions"`
	// Source is the hash of the sources that it was made from, "" for a document without a folder.
	Source string `json:"source"`
	// Units are what the Package Manager knows it by, by the keys of the deployments.
	Units map[string]rememberedUnit `json:"units"`
}

// rememberedFunc is how a built function is started.
type rememberedFunc struct {
	Runtime string   `json:"runtime"`
	Hash    string   `json:"hash"`
	Command []string `json:"command"`
	Dir     string   `json:"dir"`
	Env     []string `json:"env,omitempty"`
}

// rememberedUnit is a unit of the Package Manager's.
type rememberedUnit struct {
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
}

// storeName is the file in the data folder that has the Package Manager's records and, under localPrefix, what this machine serves.
const (
	storeName   = "pm.db"
	localPrefix = "local/"
)

// loadProjects reads what is deployed, in the order of the packages' names.
func loadProjects(ctx context.Context, store pm.Store) ([]remembered, error) {
	records, err := store.List(ctx, localPrefix)
	if err != nil {
		return nil, fmt.Errorf("read what is deployed: %w", err)
	}
	list := make([]remembered, len(records))
	for i, r := range records {
		if err := json.Unmarshal(r.Value, &list[i]); err != nil {
			return nil, fmt.Errorf("read what is deployed: %s: %w", r.Key, err)
		}
		if list[i].Package == nil || list[i].Package.Name == "" {
			return nil, fmt.Errorf("read what is deployed: %s has no package", r.Key)
		}
	}
	return list, nil
}

// saveProject remembers a deployment; after a crash at any moment there is the old one or the new one.
func saveProject(ctx context.Context, store pm.Store, r *remembered) error {
	text, err := json.Marshal(r)
	if err == nil {
		err = store.Write(ctx, pm.Change{Key: localPrefix + r.Package.Name, Value: text})
	}
	if err != nil {
		return fmt.Errorf("remember what is deployed: %w", err)
	}
	return nil
}

// dropProject forgets a deployment.
func dropProject(ctx context.Context, store pm.Store, pkg string) error {
	if err := store.Write(ctx, pm.Change{Key: localPrefix + pkg}); err != nil {
		return fmt.Errorf("forget what is deployed: %w", err)
	}
	return nil
}
