package opackage

import (
	"reflect"
	"testing"
	"time"
)

func TestEffectiveBinding(t *testing.T) {
	c := mustParse(t, shop).Class("cart")
	for _, tc := range []struct {
		method   string
		readonly bool
		state    []string
		timeout  time.Duration
	}{
		{"add", false, []string{"total", "item:*"}, 10 * time.Second},
		{"peek", true, []string{"*"}, DefaultTimeout},
		{"old_peek", true, []string{}, DefaultTimeout},
		{"price", false, nil, DefaultTimeout},
	} {
		b := c.Binding(tc.method)
		if b.IsReadonly() != tc.readonly || !reflect.DeepEqual(b.EffectiveState(), tc.state) || b.EffectiveTimeout() != tc.timeout {
			t.Errorf("%s: readonly %v, state %#v, timeout %s", tc.method, b.IsReadonly(), b.EffectiveState(), b.EffectiveTimeout())
		}
		if b.EffectiveAccess() != Public {
			t.Errorf("%s: access %s", tc.method, b.EffectiveAccess())
		}
	}
}

func TestEffectiveTargetAndSource(t *testing.T) {
	p := mustParse(t, shop)
	c := p.Class("cart")
	for i, want := range []string{"shop.alarm", "", "base.audit"} {
		if got := p.EffectiveTarget(c, &c.Triggers[i]).Class; got != want {
			t.Errorf("trigger %d: class %q, want %q", i, got, want)
		}
	}
	if got := p.EffectiveTarget(c, &Trigger{Target: Target{Method: "add"}}).Class; got != "shop.cart" {
		t.Errorf("own class: %q", got)
	}
	for i, want := range []string{"cartid", ""} {
		if got := c.Subscriptions[i].EffectiveObjectFrom(); got != want {
			t.Errorf("subscription %d: %q, want %q", i, got, want)
		}
	}
	if got := new(Subscription).EffectiveObjectFrom(); got != "subject" {
		t.Errorf("default: %q", got)
	}
}

func TestEffectiveDeploymentsByDefault(t *testing.T) {
	p := mustParse(t, "name: p\nfunctions: [{key: f, config: {A: 1}}]\nclasses:\n"+
		"- {key: c, options: {mailbox_limit: 3}, function_bindings: [{name: a, function_key: f}, {name: b, function_key: f}]}\n"+
		"- {key: s, state_spec: {consistency_model: STRONG, persistent: true}}\n")
	got := p.EffectiveDeployments()
	if len(got) != 2 {
		t.Fatalf("%d deployments", len(got))
	}
	want := `{"key":"p-c","package_name":"p","class_key":"c","nfr_requirements":{"min_throughput_rps":null,"availability":null,` +
		`"cpu_utilization_target":null},"functions":[{"function_key":"f","config":{"A":"1"}}],"condition":"PENDING","odgm":{"collections":["p.c"],` +
		`"partition_count":1,"replica_count":1,"shard_type":"none","options":{"mailbox_limit":"3"}}}`
	if text := mustJSON(t, got[0]); text != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	if *got[1].Odgm.ShardType != Raft {
		t.Errorf("shard type of STRONG: %s", *got[1].Odgm.ShardType)
	}
	if len(p.Deployments) != 0 {
		t.Error("the document was changed")
	}
}

func TestEffectiveDeploymentsGiven(t *testing.T) {
	p := mustParse(t, shop)
	before := mustJSON(t, p)
	got := p.EffectiveDeployments()
	if mustJSON(t, p) != before {
		t.Error("the document was changed")
	}
	cart := got[0].Odgm
	if *cart.PartitionCount != 4 || *cart.ShardType != MST || cart.Options["storage_backend"] != "bbolt" || cart.Options["mailbox_limit"] != "64" {
		t.Errorf("got %s", mustJSON(t, got[0]))
	}
	if got[1].PackageName != "shop" {
		t.Errorf("package name %q", got[1].PackageName)
	}
	p.Deployments[0].ClassKey = "gone"
	if n := len(p.EffectiveDeployments()); n != 1 {
		t.Errorf("%d deployments, one of an unknown class", n)
	}
}

func TestEffectiveSettings(t *testing.T) {
	options := func(pairs ...string) map[string]string {
		m := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
		}
		return m
	}
	for _, tc := range []struct {
		name       string
		class      map[string]string
		persistent bool
		deployment map[string]string
		want       Settings
	}{
		{"nothing", nil, false, nil, Settings{Engine: Memory}},
		{"persistent", nil, true, nil, Settings{Engine: Pebble}},
		{"named wins over persistent", options(OptionEngine, "memory"), true, nil, Settings{Engine: Memory}},
		{"fjall", options(OptionEngine, "fjall"), false, nil, Settings{Engine: Pebble}},
		{"deployment wins", options(OptionEngine, "memory", OptionMailboxLimit, "5"), true, options(OptionEngine, "bbolt"),
			Settings{Engine: Bbolt, MailboxLimit: 5}},
		{"all", options(OptionMailboxLimit, "7", OptionResultTTL, "1h"), false, nil,
			Settings{Engine: Memory, MailboxLimit: 7, ResultTTL: time.Hour}},
		{"events", options(OptionEventRetention, "90m", OptionEventRecords, "7", OptionEventBytes, "65536", OptionEventOutcomes, "True"), false,
			options(OptionEventValues, "true"),
			Settings{Engine: Memory, Events: EventSettings{Retention: 90 * time.Minute, Records: 7, Bytes: 65536, Values: true, Outcomes: true}}},
		{"events off", options(OptionEventRetention, "0"), false, nil, Settings{Engine: Memory, Events: EventSettings{Off: true}}},
		{"invalid counts as absent", options(OptionEngine, "x", OptionMailboxLimit, "x", OptionResultTTL, "x", OptionEventRetention, "x"), true, nil,
			Settings{Engine: Pebble}},
	} {
		c := Class{Options: tc.class, StateSpec: &StateSpec{Persistent: tc.persistent}}
		d := Deployment{Odgm: &OdgmData{Options: tc.deployment}}
		if got := new(Package).EffectiveSettings(&c, &d); got != tc.want {
			t.Errorf("%s: got %+v, want %+v", tc.name, got, tc.want)
		}
	}
}

func TestSplitClassName(t *testing.T) {
	for name, want := range map[string][2]string{"a.b": {"a", "b"}, "a.b.c": {"a.b", "c"}} {
		if pkg, class, ok := SplitClassName(name); !ok || pkg != want[0] || class != want[1] {
			t.Errorf("%s: %s, %s, %v", name, pkg, class, ok)
		}
	}
	for _, name := range []string{"", "a", ".a", "a."} {
		if _, _, ok := SplitClassName(name); ok {
			t.Errorf("%q was split", name)
		}
	}
}

func TestEffectiveContract(t *testing.T) {
	http2 := &ProvisionConfig{NeedHTTP2: true}
	for _, tc := range []struct {
		function Function
		contract Contract
		http2    bool
	}{
		{Function{}, HTTPContract, false},
		{Function{URL: "http://h"}, HTTPContract, false},
		{Function{URL: "grpc://h"}, GRPCContract, true},
		{Function{Contract: GRPCContract}, GRPCContract, true},
		{Function{URL: "http://h", Provision: http2}, GRPCContract, true},
		{Function{Contract: HTTPContract, Provision: http2}, HTTPContract, true},
		{Function{Provision: &ProvisionConfig{}}, HTTPContract, false},
	} {
		if f := &tc.function; f.EffectiveContract() != tc.contract || f.NeedsHTTP2() != tc.http2 {
			t.Errorf("%+v: contract %s, HTTP/2 %v", tc.function, f.EffectiveContract(), f.NeedsHTTP2())
		}
	}
}
