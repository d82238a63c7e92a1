package pm

import (
	"context"
	"slices"
	"strings"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/opackage"
)

// Classes gives the classes of all packages whose names have the filter in them, with the name as key: <package>.<class>.
func (m *Manager) Classes(ctx context.Context, filter string) ([]opackage.Class, error) {
	packages, err := m.Packages(ctx, PackageFilter{})
	if err != nil {
		return nil, err
	}
	list := []opackage.Class{}
	for _, p := range packages {
		for _, c := range p.Classes {
			if c.Key = p.ClassName(c.Key); strings.Contains(c.Key, filter) {
				list = append(list, c)
			}
		}
	}
	return list, nil
}

// Functions gives the functions of all packages for which the filter is part of <package>.<function>; their keys are those of the package.
func (m *Manager) Functions(ctx context.Context, filter string) ([]opackage.Function, error) {
	packages, err := m.Packages(ctx, PackageFilter{})
	if err != nil {
		return nil, err
	}
	list := []opackage.Function{}
	for _, p := range packages {
		for _, f := range p.Functions {
			if strings.Contains(p.Name+"."+f.Key, filter) {
				list = append(list, f)
			}
		}
	}
	return list, nil
}

// DeleteClass takes a class out of its package, which makes a new version of it, unless the class is deployed or the package needs it. The name is
// <package>.<class>.
func (m *Manager) DeleteClass(ctx context.Context, name string) error {
	pkg, key, ok := opackage.SplitClassName(name)
	if !ok {
		return fault.New(fault.NotFound, "Class not found: %s; the name of a class is <package>.<class>", name)
	}
	release, err := m.claims.take(ctx, pkg)
	if err != nil {
		return err
	}
	defer release()
	m.mu.Lock()
	defer m.mu.Unlock()
	old, err := load[packageRecord](ctx, m.store, packagePrefix+pkg)
	if err != nil {
		return err
	}
	if old == nil || old.Package.Class(key) == nil {
		return fault.New(fault.NotFound, "Class not found: %s", name)
	}
	p := *old.Package
	p.Classes = slices.DeleteFunc(slices.Clone(p.Classes), func(c opackage.Class) bool { return c.Key == key })
	if err := m.checkDeployed(ctx, &p); err != nil {
		return err
	}
	if err := m.checkPackage(ctx, &p); err != nil {
		return fault.Wrap(fault.Conflict, err, "the package %s needs its class %s", pkg, key)
	}
	_, changes, err := m.version(ctx, old, &p, old.Origin)
	if err != nil {
		return err
	}
	return m.write(ctx, changes...)
}
