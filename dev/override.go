package dev

import (
	"maps"
	"reflect"
	"slices"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/opackage"
)

// overrides gives what a deployment says of functions otherwise than the package does. What a document leaves open, the plan has filled in with what
// the package says.
func overrides(p *opackage.Package, d *opackage.Deployment) []opackage.FunctionDeployment {
	return slices.DeleteFunc(slices.Clone(d.Functions), func(o opackage.FunctionDeployment) bool {
		f := p.Function(o.FunctionKey)
		return f == nil || reflect.DeepEqual(overridden(*f, &o), *f)
	})
}

// overridden gives a function as a deployment wants it: variables of its config, and what it gives of provision_config, go before the function's own.
func overridden(f opackage.Function, o *opackage.FunctionDeployment) opackage.Function {
	if len(o.Config) > 0 {
		config := make(map[string]string, len(f.Config)+len(o.Config))
		maps.Copy(config, f.Config)
		maps.Copy(config, o.Config)
		f.Config = config
	}
	if o.Provision == nil {
		return f
	}
	var provision opackage.ProvisionConfig
	if f.Provision != nil {
		provision = *f.Provision
	}
	given, into := reflect.ValueOf(o.Provision).Elem(), reflect.ValueOf(&provision).Elem()
	for i := range given.NumField() {
		if value := given.Field(i); !value.IsZero() {
			into.Field(i).Set(value)
		}
	}
	f.Provision = &provision
	return f
}

// override gives the functions of a document as its units want them. A function that several units use runs once, so they have to agree.
func override(p *opackage.Package, units map[string]rememberedUnit) ([]opackage.Function, error) {
	functions, by := slices.Clone(p.Functions), map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(units)) {
		for _, o := range units[key].Functions {
			i := slices.IndexFunc(functions, func(f opackage.Function) bool { return f.Key == o.FunctionKey })
			if i < 0 {
				continue
			}
			f := overridden(p.Functions[i], &o)
			if other := by[f.Key]; other != "" && !reflect.DeepEqual(f, functions[i]) {
				return nil, fault.New(fault.Conflict, "function %s: the deployments %s and %s want it with different config or provision_config, "+
					"but on this machine a function runs once; say the same in both, or give the classes functions of their own", f.Key, other, key)
			}
			functions[i], by[f.Key] = f, key
		}
	}
	return functions, nil
}
