package pm

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/opackage"
)

// Version is a document of a package as it was registered once.
type Version struct {
	// Revision counts the versions of the package from 1; it is never used twice while the package is there.
	Revision int `json:"revision"`
	// Version is that of the document.
	Version *string   `json:"version"`
	Created time.Time `json:"created_at"`
	Current bool      `json:"current"`
}

// latest names the newest version.
const latest = "latest"

// Versions gives the versions of a package that are kept, newest first.
func (m *Manager) Versions(ctx context.Context, name string) ([]Version, error) {
	head, err := m.packageRecord(ctx, name)
	if err != nil {
		return nil, err
	}
	records, err := loadAll[packageRecord](ctx, m.store, versionPrefix+name+"/")
	if err != nil {
		return nil, err
	}
	list := make([]Version, len(records))
	for i, r := range records {
		list[len(records)-1-i] = Version{Revision: r.Revision, Version: r.Package.Version, Created: r.Updated, Current: r.Revision == head.Revision}
	}
	return list, nil
}

// Version gives a version of a package: by its revision, by the version text of its document (the newest that has it), or "latest".
func (m *Manager) Version(ctx context.Context, name, which string) (*opackage.Package, int, error) {
	head, err := m.packageRecord(ctx, name)
	if err != nil || which == latest {
		return packageOf(head), revisionOf(head), err
	}
	if n, err := strconv.Atoi(which); err == nil && n > 0 {
		if r, err := load[packageRecord](ctx, m.store, versionKey(name, n)); err != nil || r != nil {
			return packageOf(r), revisionOf(r), err
		}
	}
	records, err := loadAll[packageRecord](ctx, m.store, versionPrefix+name+"/")
	if err != nil {
		return nil, 0, err
	}
	for i := len(records) - 1; i >= 0; i-- {
		if v := records[i].Package.Version; v != nil && *v == which {
			return records[i].Package, records[i].Revision, nil
		}
	}
	return nil, 0, fault.New(fault.NotFound, "Package %s has no version %q; it is a revision, the version of a document, or latest", name, which)
}

func packageOf(r *packageRecord) *opackage.Package {
	if r == nil {
		return nil
	}
	return r.Package
}

func revisionOf(r *packageRecord) int {
	if r == nil {
		return 0
	}
	return r.Revision
}

// outdated makes the changes that remove the oldest versions of a package, so that with a new one there are as many as are kept.
func (m *Manager) outdated(ctx context.Context, name string) ([]Change, error) {
	records, err := m.store.List(ctx, versionPrefix+name+"/")
	if err != nil {
		return nil, err
	}
	var changes []Change
	for i := range max(0, len(records)+1-m.opt.KeepVersions) {
		changes = append(changes, Change{Key: records[i].Key})
	}
	return changes, nil
}

// Diff is what changed from one version to another.
type Diff struct {
	Package string       `json:"package"`
	From    int          `json:"from"`
	To      int          `json:"to"`
	Changes []Difference `json:"changes"`
}

// Diff compares two versions, each named as for Version.
func (m *Manager) Diff(ctx context.Context, name, from, to string) (*Diff, error) {
	a, fromRevision, err := m.Version(ctx, name, from)
	if err != nil {
		return nil, err
	}
	b, toRevision, err := m.Version(ctx, name, to)
	if err != nil {
		return nil, err
	}
	changes, err := DiffPackages(a, b)
	return &Diff{Package: name, From: fromRevision, To: toRevision, Changes: changes}, err
}

// DiffPackages compares two documents. Elements of lists that have a key or a name are compared by it, so their order does not matter.
func DiffPackages(a, b *opackage.Package) ([]Difference, error) {
	x, err := plainJSON(a)
	if err != nil {
		return nil, err
	}
	y, err := plainJSON(b)
	if err != nil {
		return nil, err
	}
	d := differ{list: []Difference{}}
	d.compare("", x, y)
	return d.list, nil
}

func plainJSON(document any) (any, error) {
	text, err := json.Marshal(document)
	if err != nil {
		return nil, fmt.Errorf("compare documents: %w", err)
	}
	var plain any
	err = json.Unmarshal(text, &plain)
	return plain, err
}
