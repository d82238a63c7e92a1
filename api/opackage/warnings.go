package opackage

import (
	"cmp"
	"slices"
	"strings"
)

// Warnings gives what a document asks for that has no effect on this platform, each with the reason. A document without them is meant as it is
// written; one with them can still be deployed, because packages of OaaS-RS have much that says nothing there either.
//
// It is for documents that Validate accepts. docs/differences.md has the whole list.
func (p *Package) Warnings() []Problem {
	w := &warner{validator: newValidator(p)}
	if p.places != nil {
		w.file = p.places.file
	}
	for i := range p.Classes {
		w.class(index("classes", i), &p.Classes[i])
	}
	for i := range p.Functions {
		w.function(index("functions", i), &p.Functions[i])
	}
	for i := range p.Deployments {
		w.deployment(index("deployments", i), &p.Deployments[i])
	}
	slices.SortStableFunc(w.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return w.problems
}

// warner collects warnings, with the positions that the validator knows.
type warner struct{ *validator }

// given warns of a setting that is there.
func (w *warner) given(path string, there bool, why string) {
	if there {
		w.fail(path, "has no effect: %s", why)
	}
}

// unused has the options that are read and checked, and nothing more, with the reasons.
var unused = map[string]string{
	"storage_path":           "the data is in the platform's data folder (oaas dev --data), one folder for each class and partition",
	"batch_size":             "writes that wait are committed together, as many as there are",
	"timeout_ms":             "the timeout of a method is that of its binding",
	"enable_metrics":         "metrics are always there, at /metrics",
	"offload_max_pool_size":  "the calls that one instance of a function takes at once are max_concurrency of its provision_config",
	"pool_max_idle_lifetime": "connections to functions are kept as long as they are good",
	"pool_max_lifetime":      "connections to functions are kept as long as they are good",
	"mst_sync_interval":      "a partition has one copy, so there is nothing to synchronise",
	"mst_sync_events":        "a partition has one copy, so no changes come from others",
	"raft_net_leader_only":   "a partition has one copy, which is always ready to serve",
	"raft_init_leader_only":  "a partition has one copy, so there is no group to begin",
}

func (w *warner) options(path string, options map[string]string) {
	for _, name := range sortedKeys(options) {
		why, ok := unused[name]
		switch name {
		case "enable_metrics":
			ok = strings.EqualFold(options[name], "false")
		case "mst_sync_events":
			ok = strings.EqualFold(options[name], "true")
		}
		w.given(keyPath(path, name), ok, why)
	}
}

func (w *warner) class(path string, c *Class) {
	w.options(path+".options", c.Options)
	s := c.StateSpec
	if s == nil {
		return
	}
	provider := settings(c.Options, s.Persistent).Engine
	w.given(path+".state_spec.default_provider", s.DefaultProvider != "" && s.DefaultProvider != string(provider),
		"objects are kept by engine "+string(provider)+"; persistent and the option storage_backend decide that")
	w.given(path+".state_spec.serialization_format", s.SerializationFormat != "", "entries are bytes; functions decide what they mean")
	for i, spec := range s.KeySpecs {
		if why := checkKey(spec.Name); why != "" {
			w.given(index(path+".state_spec.key_specs", i)+".name", true, "no entry can have this key, which "+why)
		}
	}
}

func (w *warner) function(path string, f *Function) {
	w.given(path+".function_type", slices.Contains([]FunctionType{BuiltinFunction, MacroFunction, LogicalFunction}, f.FunctionType),
		"functions of all kinds but WASM are run alike")
	if f.Provision == nil {
		return
	}
	w.given(path+".provision_config.wasm_fuel", f.Provision.WasmFuel != nil,
		"a module is stopped by the clock, when the timeout of the method is over, and not by counting its steps")
}

func (w *warner) deployment(path string, d *Deployment) {
	const later = "it is kept for clusters; a platform in one process does not act on it"
	w.given(path+".nfr_requirements", d.NFR.MinThroughputRPS != nil || d.NFR.CPUUtilizationTarget != nil, later)
	w.given(path+".telemetry", d.Telemetry != nil, "telemetry is set up for the whole platform, with the environment variables OTEL_*")
	for i := range d.Functions {
		f := &d.Functions[i]
		w.given(index(path+".functions", i), f.Provision != nil || len(f.Config) > 0 || f.QoS != nil || f.AvailableLocation != nil,
			later+"; what the function itself says counts")
	}
	if d.Odgm != nil {
		w.odgm(path+".odgm", d.Odgm)
	}
}

func (w *warner) odgm(path string, o *OdgmData) {
	w.options(path+".options", o.Options)
	w.given(path+".replica_count", o.ReplicaCount != nil && *o.ReplicaCount > 1, "each partition has one copy, in this process; replicas come with clusters")
	w.given(path+".shard_type", o.ShardType != nil && (*o.ShardType == Raft || *o.ShardType == MST),
		"each partition has one copy, so nothing is replicated. Reads and writes are linearizable in any case")
	w.given(path+".collections", len(o.Collections) > 0, "a class is one collection, named package.class")
	w.given(path+".env_node_ids", len(o.EnvNodeIDs) > 0, "the process is the only node")
	w.given(path+".log", o.Log != nil, "oaas dev logs as its own flags say")
	w.given(path+".zenoh_mode", o.ZenohMode != nil, "the objects are in the same process as the gateway")
	if o.Invocations == nil {
		return
	}
	for _, name := range sortedKeys(o.Invocations.Routes) {
		r := o.Invocations.Routes[name]
		w.given(keyPath(path+".invocations.fn_routes", name), r.Standby || len(r.ActiveGroup) > 0,
			"a partition has one copy, which serves the method because no other one does")
	}
}
