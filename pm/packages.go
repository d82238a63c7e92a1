package pm

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/opackage"
)

// PackageFilter narrows a list of packages; the zero value takes all.
type PackageFilter struct {
	// NamePattern is part of the name.
	NamePattern string
	// Tags are those that a package must have, all of them.
	Tags []string
	// Disabled is whether no class of the package is deployed; nil takes both.
	Disabled *bool
}

// Packages gives the packages in the order of their names, without deployments.
func (m *Manager) Packages(ctx context.Context, f PackageFilter) ([]*opackage.Package, error) {
	records, err := loadAll[packageRecord](ctx, m.store, packagePrefix)
	if err != nil {
		return nil, err
	}
	deployed := map[string]bool{}
	if f.Disabled != nil {
		deployments, err := loadAll[deploymentRecord](ctx, m.store, deploymentPrefix)
		if err != nil {
			return nil, err
		}
		for _, d := range deployments {
			deployed[d.Deployment.PackageName] = true
		}
	}
	list := make([]*opackage.Package, 0, len(records))
	for _, r := range records {
		if p := r.Package; f.takes(p) && (f.Disabled == nil || *f.Disabled != deployed[p.Name]) {
			list = append(list, p)
		}
	}
	return list, nil
}

func (f *PackageFilter) takes(p *opackage.Package) bool {
	missing := func(tag string) bool { return !slices.Contains(p.Metadata.Tags, tag) }
	return strings.Contains(p.Name, f.NamePattern) && !slices.ContainsFunc(f.Tags, missing)
}

// Package gives the newest version of a package.
func (m *Manager) Package(ctx context.Context, name string) (*opackage.Package, error) {
	r, err := m.packageRecord(ctx, name)
	if err != nil {
		return nil, err
	}
	return r.Package, nil
}

func (m *Manager) packageRecord(ctx context.Context, name string) (*packageRecord, error) {
	r, err := load[packageRecord](ctx, m.store, packagePrefix+name)
	if err == nil && r == nil {
		err = fault.New(fault.NotFound, "Package not found: %s", name)
	}
	return r, err
}

// CreatePackage registers a package. Its deployments are left out.
func (m *Manager) CreatePackage(ctx context.Context, p *opackage.Package) error {
	return m.putPackage(ctx, p, func(old *packageRecord) error {
		if old != nil {
			return fault.New(fault.AlreadyExists, "Package already exists: %s", p.Name)
		}
		return nil
	})
}

// UpdatePackage registers a new version of a package; the same document again makes none. What runs stays as it is until it is deployed again.
func (m *Manager) UpdatePackage(ctx context.Context, p *opackage.Package) error {
	return m.putPackage(ctx, p, func(old *packageRecord) error {
		if old == nil {
			return fault.New(fault.NotFound, "Package not found: %s", p.Name)
		}
		return nil
	})
}

func (m *Manager) putPackage(ctx context.Context, p *opackage.Package, allow func(old *packageRecord) error) error {
	release, err := m.claims.take(ctx, p.Name)
	if err != nil {
		return err
	}
	defer release()
	m.mu.Lock()
	defer m.mu.Unlock()
	old, err := load[packageRecord](ctx, m.store, packagePrefix+p.Name)
	if err != nil {
		return err
	}
	if err := allow(old); err != nil {
		return err
	}
	origin := ""
	if old != nil {
		origin = old.Origin
	}
	if err := m.checkPackage(ctx, p); err != nil {
		return err
	}
	if err := m.checkDeployed(ctx, p); err != nil {
		return err
	}
	_, changes, err := m.version(ctx, old, p, origin)
	if err != nil {
		return err
	}
	return m.write(ctx, changes...)
}

// checkPackage checks a document, and what it depends on. The caller has mu.
func (m *Manager) checkPackage(ctx context.Context, p *opackage.Package) error {
	if err := m.validate(p); err != nil {
		return err
	}
	return m.checkDependencies(ctx, p)
}

// validate checks a document for what it says itself.
func (m *Manager) validate(p *opackage.Package) error {
	return p.Validate(slices.Concat(m.opt.Validate, []opackage.ValidateOption{opackage.WithAbsoluteSource()})...)
}

// checkDependencies refuses a document that depends on what is not there, or on itself. The caller has mu.
func (m *Manager) checkDependencies(ctx context.Context, p *opackage.Package) error {
	if len(p.Dependencies) == 0 {
		return nil
	}
	records, err := loadAll[packageRecord](ctx, m.store, packagePrefix)
	if err != nil {
		return err
	}
	depends := make(map[string][]string, len(records))
	for _, r := range records {
		depends[r.Package.Name] = orEmpty(r.Package.Dependencies)
	}
	depends[p.Name] = p.Dependencies
	var missing []string
	for _, name := range p.Dependencies {
		if depends[name] == nil {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fault.New(fault.InvalidArgument, "Dependency not found: %s", strings.Join(missing, ", "))
	}
	if cycle := findCycle(p.Name, depends); cycle != nil {
		return fault.New(fault.InvalidArgument, "the packages depend on each other in a circle: %s", strings.Join(cycle, " → "))
	}
	return nil
}

// findCycle gives a path from a package back to itself, or nil.
func findCycle(start string, depends map[string][]string) []string {
	seen := map[string]bool{}
	var walk func(name string, path []string) []string
	walk = func(name string, path []string) []string {
		path = append(path, name)
		for _, next := range depends[name] {
			if next == start {
				return append(path, next)
			}
			if seen[next] {
				continue
			}
			seen[next] = true
			if cycle := walk(next, path); cycle != nil {
				return cycle
			}
		}
		return nil
	}
	return walk(start, nil)
}

// checkDeployed refuses a document that lacks a class which is deployed.
func (m *Manager) checkDeployed(ctx context.Context, p *opackage.Package) error {
	deployments, err := m.deploymentsOf(ctx, p.Name)
	if err != nil {
		return err
	}
	var keep []string
	for _, d := range deployments {
		if p.Class(d.Deployment.ClassKey) == nil {
			keep = append(keep, d.Deployment.ClassKey+" (deployment "+d.Deployment.Key+")")
		}
	}
	if len(keep) > 0 {
		return fault.New(fault.Conflict, "the document lacks classes that are deployed: %s; delete those deployments first", strings.Join(keep, ", "))
	}
	return nil
}

// version makes the changes that register a document as the newest version: none if it is that already.
func (m *Manager) version(ctx context.Context, old *packageRecord, p *opackage.Package, origin string) (*packageRecord, []Change, error) {
	plain := *p
	plain.Deployments = nil
	now := m.now().UTC()
	next := &packageRecord{Package: &plain, Revision: 1, Created: now, Updated: now, Origin: origin}
	if old != nil {
		same, err := sameJSON(old.Package, next.Package)
		if err != nil {
			return nil, nil, err
		}
		if same && old.Origin == origin {
			return old, nil, nil
		}
		next.Revision, next.Created = old.Revision+1, old.Created
		if same {
			next.Revision = old.Revision
		}
	}
	head, err := set(packagePrefix+p.Name, next)
	if err != nil {
		return nil, nil, err
	}
	changes := []Change{head, {Key: versionKey(p.Name, next.Revision), Value: head.Value}}
	dropped, err := m.outdated(ctx, p.Name)
	return next, append(changes, dropped...), err
}

func sameJSON(a, b any) (bool, error) {
	x, err := json.Marshal(a)
	if err != nil {
		return false, err
	}
	y, err := json.Marshal(b)
	return bytes.Equal(x, y), err
}

// DeletePackage removes a package with its versions, unless it is deployed or others depend on it.
func (m *Manager) DeletePackage(ctx context.Context, name string) error {
	release, err := m.claims.take(ctx, name)
	if err != nil {
		return err
	}
	defer release()
	if _, err := m.packageRecord(ctx, name); err != nil {
		return err
	}
	deployments, err := m.deploymentsOf(ctx, name)
	if err != nil {
		return err
	}
	if len(deployments) > 0 && !m.opt.DeleteCascade {
		return fault.New(fault.Conflict, "Package %s is deployed: %s; delete those deployments first", name, strings.Join(keysOf(deployments), ", "))
	}
	if err := m.checkDependents(ctx, name); err != nil {
		return err
	}
	return m.remove(ctx, name, deployments, false)
}

// remove ends deployments and removes the package. The caller has its token.
func (m *Manager) remove(ctx context.Context, name string, deployments []*deploymentRecord, purge bool) error {
	if err := m.end(ctx, deployments, purge); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.checkDependents(ctx, name); err != nil { // perhaps since a moment ago
		return err
	}
	versions, err := m.store.List(ctx, versionPrefix+name+"/")
	if err != nil {
		return err
	}
	changes := []Change{{Key: packagePrefix + name}}
	for _, v := range versions {
		changes = append(changes, Change{Key: v.Key})
	}
	return m.write(ctx, changes...)
}

// checkDependents refuses when others depend on a package.
func (m *Manager) checkDependents(ctx context.Context, name string) error {
	records, err := loadAll[packageRecord](ctx, m.store, packagePrefix)
	if err != nil {
		return err
	}
	var dependents []string
	for _, r := range records {
		if slices.Contains(r.Package.Dependencies, name) {
			dependents = append(dependents, r.Package.Name)
		}
	}
	if len(dependents) > 0 {
		return fault.New(fault.Conflict, "other packages depend on %s: %s", name, strings.Join(dependents, ", "))
	}
	return nil
}

func keysOf(deployments []*deploymentRecord) []string {
	keys := make([]string, len(deployments))
	for i, d := range deployments {
		keys[i] = d.Deployment.Key
	}
	return keys
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
