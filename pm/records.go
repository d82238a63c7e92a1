package pm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/opackage"
)

// packageRecord is the newest version of a package.
type packageRecord struct {
	// Package has no deployments; they have records of their own.
	Package *opackage.Package `json:"package"`
	// Revision counts the versions from 1.
	Revision int       `json:"revision"`
	Created  time.Time `json:"created"`
	Updated  time.Time `json:"updated"`
	// Origin is the folder that relative sources of functions are in, "" for a document without one.
	Origin string `json:"origin,omitempty"`
}

// deploymentRecord is a deployment with what runs of it.
type deploymentRecord struct {
	// Deployment is the effective document.
	Deployment *opackage.Deployment `json:"deployment"`
	// Revision is the version of the package that is deployed.
	Revision int `json:"revision"`
	// Package is that version, so that it can be brought up again whatever becomes of the versions.
	Package *opackage.Package `json:"package"`
	Origin  string            `json:"origin,omitempty"`
	// Units has the id of the unit in each environment.
	Units map[string]string `json:"units"`
	// Leaving has units in environments that the deployment has left, until they have ended.
	Leaving map[string]string `json:"leaving,omitempty"`
	// Pending is set while environments are being changed, so that Reconcile finds what a crash interrupted.
	Pending bool `json:"pending,omitempty"`
}

// artifactRecord is an uploaded module; its bytes are in a file.
type artifactRecord struct {
	ID    string    `json:"id"`
	Size  int64     `json:"size"`
	Built time.Time `json:"built_at"`
}

func versionKey(name string, revision int) string {
	return fmt.Sprintf("%s%s/%010d", versionPrefix, name, revision)
}

// set makes the change that stores a document.
func set(key string, document any) (Change, error) {
	text, err := json.Marshal(document)
	if err != nil {
		return Change{}, fmt.Errorf("encode record %s: %w", key, err)
	}
	return Change{Key: key, Value: text}, nil
}

// load reads the document of a key; nil if there is none.
func load[T any](ctx context.Context, s Store, key string) (*T, error) {
	r, err := s.Get(ctx, key)
	if err != nil || r.Revision == 0 {
		return nil, err
	}
	return decode[T](r)
}

// loadAll reads all documents with a prefix, in the order of their keys.
func loadAll[T any](ctx context.Context, s Store, prefix string) ([]*T, error) {
	records, err := s.List(ctx, prefix)
	if err != nil {
		return nil, err
	}
	list := make([]*T, 0, len(records))
	for _, r := range records {
		document, err := decode[T](r)
		if err != nil {
			return nil, err
		}
		list = append(list, document)
	}
	return list, nil
}

func decode[T any](r Record) (*T, error) {
	document := new(T)
	if err := json.Unmarshal(r.Value, document); err != nil {
		return nil, fmt.Errorf("record %s: %w", r.Key, err)
	}
	return document, nil
}

// write stores changes; what another process changed meanwhile is the caller's conflict.
func (m *Manager) write(ctx context.Context, changes ...Change) error {
	err := m.store.Write(ctx, changes...)
	if errors.Is(err, ErrConflict) {
		return fault.Wrap(fault.Conflict, err, "write to the package store; try again")
	}
	return err
}
