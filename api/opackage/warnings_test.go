package opackage

import (
	"slices"
	"strings"
	"testing"
)

func TestWarnings(t *testing.T) {
	options := func(name, value string) string { return class("options: {" + name + ": \"" + value + "\"}") }
	for _, tc := range []struct {
		name, text string
		want       []string // begin of each warning, in order
	}{
		{"nothing", class(""), nil},
		{"what works", class("options: {storage_backend: bbolt, mailbox_limit: 3, result_ttl: 1h, invoke_only_primary: true, enable_metrics: true, " +
			"zenoh_event_publish: false}\nstate_spec: {consistency_model: STRONG, persistent: true, default_provider: bbolt, key_specs: [{name: n, key_type: int}]}"), nil},
		{"one copy", deployment("odgm: {replica_count: 1, shard_type: none, partition_count: 9}"), nil},
		{"path", options("storage_path", "/data"), []string{"classes[0].options.storage_path: has no effect: the data is in the platform's data folder"}},
		{"metrics off", options("enable_metrics", "FALSE"), []string{"classes[0].options.enable_metrics: has no effect"}},
		{"zenoh", options("zenoh_event_publish", "true"), nil},
		{"provider", class("state_spec: {default_provider: redis, serialization_format: json}"), []string{
			"classes[0].state_spec.default_provider: has no effect: objects are kept by engine memory",
			"classes[0].state_spec.serialization_format: has no effect: entries are bytes",
		}},
		{"key that cannot be", class("state_spec: {key_specs: [{name: a b, key_type: x}]}"),
			[]string{"classes[0].state_spec.key_specs[0].name: has no effect: no entry can have this key"}},
		{"kind", function("function_type: MACRO"), []string{"functions[0].function_type: has no effect"}},
		{"fuel", function("provision_config: {wasm_fuel: 5}"), []string{"functions[0].provision_config.wasm_fuel: has no effect: a module is stopped by the clock"}},
		{"replicas", deployment("odgm: {replica_count: 3, shard_type: raft, log: debug, zenoh_mode: peer, collections: [x], env_node_ids: {e: [1]}}"), []string{
			"deployments[0].odgm.replica_count: has no effect: each partition has one copy", "deployments[0].odgm.shard_type: has no effect",
			"deployments[0].odgm.log: ", "deployments[0].odgm.zenoh_mode: ", "deployments[0].odgm.collections: ", "deployments[0].odgm.env_node_ids: ",
		}},
		{"deployment", deployment("nfr_requirements: {min_throughput_rps: 5}, telemetry: {enabled: true}, odgm: {options: {batch_size: 5}}"), []string{
			"deployments[0].nfr_requirements: ", "deployments[0].telemetry: ", "deployments[0].odgm.options.batch_size: ",
		}},
		{"function of a deployment", binding("retries: 1") + "deployments: [{key: d, class_key: c, functions: [{function_key: f, config: {A: b}}]}]",
			[]string{"deployments[0].functions[0]: has no effect"}},
		{"standby", deploymentOfMethod("fn_routes: {m: {standby: true, active_group: [1]}}, disabled_fn: [m]"),
			[]string{"deployments[0].odgm.invocations.fn_routes.m: has no effect: a partition has one copy, which serves"}},
	} {
		p, err := ParseYAML([]byte(tc.text), InFile("p.yaml"))
		if err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		if err := p.Validate(); err != nil {
			t.Errorf("%s: refused: %v", tc.name, err)
		}
		got := p.Warnings()
		for i, w := range got {
			if w.Line == 0 || w.File != "p.yaml" {
				t.Errorf("%s: no position: %v", tc.name, w)
			}
			if text := w.Path + ": " + w.Message; i >= len(tc.want) || !strings.HasPrefix(text, tc.want[i]) {
				t.Errorf("%s: warning %q", tc.name, text)
			}
		}
		if len(got) < len(tc.want) {
			t.Errorf("%s: %d warnings, want %d", tc.name, len(got), len(tc.want))
		}
	}
}

// Every option is acted upon, holds by itself, or is warned of.
func TestNoOptionIsIgnoredInSilence(t *testing.T) {
	acts := []string{OptionEngine, OptionMailboxLimit, OptionResultTTL, OptionEventRetention, OptionEventRecords, OptionEventBytes, OptionEventValues, OptionEventOutcomes,
		OptionEventPublish, OptionEventLocality}
	holds := []string{"invoke_only_primary"} // one copy is the primary
	for _, name := range KnownOptions() {
		silent := !slices.Contains(acts, name) && !slices.Contains(holds, name)
		if silent != (unused[name] != "") {
			t.Errorf("option %s: neither has it an effect, nor is one warned that it has none; or both", name)
		}
	}
}
