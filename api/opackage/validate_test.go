package opackage

import (
	"errors"
	"strings"
	"testing"

	"github.com/hpcclab/oaas-go/api/fault"
)

// class gives a document with one class c of methods m and s (stateless) and function f, with more lines put into the class.
func class(lines string) string {
	return "name: p\nfunctions: [{key: f}]\nclasses:\n- key: c\n" + indent(lines, "  ") +
		"  function_bindings: [{name: m, function_key: f}, {name: s, function_key: f, stateless: true}]\n"
}

func binding(rest string) string {
	return "name: p\nfunctions: [{key: f}]\nclasses: [{key: c, function_bindings: [{name: m, function_key: f, " + rest + "}]}]\n"
}

func trigger(rest string) string { return class("triggers:\n- {name: t, " + rest + "}") }

func function(rest string) string { return "name: p\nfunctions: [{key: f, " + rest + "}]\n" }

func deployment(rest string) string {
	return "name: p\nclasses: [{key: c}]\ndeployments: [{key: d, class_key: c, " + rest + "}]\n"
}

func deploymentOfMethod(invocations string) string {
	return binding("stateless: false") + "deployments: [{key: d, class_key: c, odgm: {invocations: {" + invocations + "}}}]\n"
}

func indent(lines, by string) string {
	if lines == "" {
		return ""
	}
	return by + strings.ReplaceAll(lines, "\n", "\n"+by) + "\n"
}

func TestValidateRefuses(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"package name with a space", "name: a b",
			`name: "a b" holds ' '; allowed are letters, digits, _, - and ., the first one a letter, a digit or _`},
		{"package name empty", `name: ""`, "name: must not be empty"},
		{"package name long", "name: " + strings.Repeat("a", 101), "name: is 101 characters long, the limit is 100"},
		{"package name starts with a dot", "name: .a",
			`name: ".a" holds '.'; allowed are letters, digits, _, - and ., the first one a letter, a digit or _`},
		{"class with a dot", "name: p\nclasses: [{key: a.b}]",
			`classes[0].key: "a.b" holds '.'; allowed are letters, digits, _ and -, the first one a letter, a digit or _`},
		{"class with a slash", "name: p\nclasses: [{key: a/b}]",
			`classes[0].key: "a/b" holds '/'; allowed are letters, digits, _ and -, the first one a letter, a digit or _`},
		{"own dependency", "name: p\ndependencies: [p]", "dependencies[0]: the package depends on itself"},
		{"class twice", "name: p\nclasses: [{key: a}, {key: b}, {key: a}]",
			`classes[2].key: the class "a" is there twice, first at classes[0].key`},
		{"function twice", "name: p\nfunctions: [{key: a}, {key: a}]",
			`functions[1].key: the function "a" is there twice, first at functions[0].key`},
		{"method twice", binding("timeout: 1s}, {name: m, function_key: f"),
			`classes[0].function_bindings[1].name: the method "m" is there twice, first at classes[0].function_bindings[0].name`},
		{"deployment twice", deployment("target_envs: [e]}, {key: d, class_key: c"),
			`deployments[1].key: the deployment "d" is there twice, first at deployments[0].key`},
		{"no such function", "name: p\nfunctions: [{key: shop-fn}]\nclasses: [{key: c, function_bindings: [{name: m, function_key: shopfn}]}]",

			`classes[0].function_bindings[0].function_key: the package has no function "shopfn"; did you mean "shop-fn"?`},
		{"function key empty", "name: p\nclasses: [{key: c, function_bindings: [{name: m, function_key: \"\"}]}]",
			"classes[0].function_bindings[0].function_key: must not be empty"},
		{"consistency", class("state_spec: {consistency_model: strong}"),
			`classes[0].state_spec.consistency_model: "strong" is not one of NONE, READ_YOUR_WRITE, BOUNDED_STALENESS, STRONG; did you mean "STRONG"?`},
		{"key spec", class("state_spec: {key_specs: [{name: \"\", key_type: x}]}"),
			"classes[0].state_spec.key_specs[0].name: must not be empty"},
		{"class sink", class("sink: broker"),
			`classes[0].sink: "broker" is not a URL that starts with http:// or https://; a sink is such a URL or "default"`},
		{"unknown option", class("options: {storage_backed: pebble}"),
			`classes[0].options.storage_backed: unknown option "storage_backed"; did you mean "storage_backend"?`},
		{"engine", class("options: {storage_backend: rocksdb}"),
			`classes[0].options.storage_backend: "rocksdb" is not one of memory, bbolt, pebble, fjall`},
		{"mailbox", class("options: {mailbox_limit: 0}"), `classes[0].options.mailbox_limit: "0" is not a whole number from 1 to 1048576`},
		{"result ttl", class("options: {result_ttl: 1d}"), `classes[0].options.result_ttl: "1d" is not a duration such as 500ms, 10s or 2m`},
		{"event retention", class("options: {event_retention: 10ms}"), `classes[0].options.event_retention: is 10ms, allowed are 1s to 8760h`},
		{"event records", class("options: {event_retention_records: 0}"),
			`classes[0].options.event_retention_records: "0" is not a whole number from 1 to 100000000`},
		{"reference's option", class("options: {mst_sync_interval: often}"),
			`classes[0].options.mst_sync_interval: "often" is not a whole number from 1 to 4294967295`},
		{"locality", class("options: {zenoh_event_locality: everywhere}"),
			`classes[0].options.zenoh_event_locality: "everywhere" is not one of session_local, any, remote`},

		{"access", binding("access_modifier: PUBLICK"),
			`classes[0].function_bindings[0].access_modifier: "PUBLICK" is not one of PUBLIC, INTERNAL, PRIVATE; did you mean "PUBLIC"?`},
		{"trigger of another class calls a private method", "name: p\nfunctions: [{key: f}]\nclasses:\n" +
			"- {key: a, triggers: [{name: t, on: entry.created, target: {class: b, method: m}}]}\n" +
			"- {key: b, function_bindings: [{name: m, function_key: f, access_modifier: PRIVATE}]}\n",
			`classes[0].triggers[0].target.method: "m" of class "b" is PRIVATE: only triggers of that class may call it; make it INTERNAL`},
		{"disabled_fn of no method", deploymentOfMethod("disabled_fn: [mm]"),
			`deployments[0].odgm.invocations.disabled_fn[0]: the class "c" has no method "mm"; did you mean "m"?`},
		{"disabled_fn twice", deploymentOfMethod("disabled_fn: [m, m]"),
			`deployments[0].odgm.invocations.disabled_fn[1]: the method "m" is there twice, first at deployments[0].odgm.invocations.disabled_fn[0]`},
		{"route of no method", deploymentOfMethod("fn_routes: {n: {standby: true}}"),
			`deployments[0].odgm.invocations.fn_routes.n: the class "c" has no method "n"; did you mean "m"?`},
		{"stateless readonly", binding("stateless: true, readonly: true"),
			"classes[0].function_bindings[0].readonly: a stateless method has no object, so it cannot be readonly"},
		{"stateless with state", binding("stateless: true, state: [a]"),
			"classes[0].function_bindings[0].state: a stateless method has no object, so no state can travel with its calls"},
		{"star inside", binding("state: [\"a*b\"]"),
			`classes[0].function_bindings[0].state[0]: "a*b" has a * that is not at its end: only whole keys and prefixes select entries`},
		{"two stars", binding("state: [\"a**\"]"),
			`classes[0].function_bindings[0].state[0]: "a**" has a * that is not at its end: only whole keys and prefixes select entries`},
		{"selector empty", binding("state: [\"\"]"), "classes[0].function_bindings[0].state[0]: must not be empty"},
		{"selector with a slash", binding("state: [a/b]"),
			`classes[0].function_bindings[0].state[0]: "a/b" holds '/'; allowed are letters, digits and . _ : -`},
		{"selector long", binding("state: [" + strings.Repeat("a", 161) + "]"),
			"classes[0].function_bindings[0].state[0]: is 161 characters long, the limit is 160"},
		{"selector twice", binding("state: [A, a]"),
			`classes[0].function_bindings[0].state[1]: the entry "a" is there twice, first at classes[0].function_bindings[0].state[0]`},
		{"timeout without unit", binding("timeout: 10"),
			`classes[0].function_bindings[0].timeout: "10" is not a duration such as 500ms, 10s or 2m`},
		{"timeout negative", binding("timeout: -1s"), "classes[0].function_bindings[0].timeout: is -1s, allowed are 1ms to 24h"},
		{"timeout long", binding("timeout: 25h"), "classes[0].function_bindings[0].timeout: is 25h, allowed are 1ms to 24h"},
		{"retries", binding("retries: 11"), "classes[0].function_bindings[0].retries: is 11, allowed are 0 to 10"},

		{"event", trigger("on: entry.update, target: {method: m}"),
			`classes[0].triggers[0].on: "entry.update" is not one of entry.created, entry.updated, entry.deleted, method.completed, method.failed; did you mean "entry.updated"?`},
		{"event empty", trigger("on: \"\", target: {method: m}"), "classes[0].triggers[0].on: must not be empty"},
		{"trigger twice", trigger("on: entry.updated, target: {method: m}}\n- {name: t, on: entry.deleted, target: {method: m}"),
			`classes[0].triggers[1].name: the trigger "t" is there twice, first at classes[0].triggers[0].name`},
		{"entry for a method event", trigger("on: method.failed, entry: a, target: {method: m}"),
			`classes[0].triggers[0].entry: "method.failed" is about methods: it can be narrowed with method, not entry`},
		{"method for an entry event", trigger("on: entry.created, method: m, target: {method: m}"),
			`classes[0].triggers[0].method: "entry.created" is about entries: it can be narrowed with entry, not method`},
		{"entry pattern", trigger("on: entry.created, entry: \"*a\", target: {method: m}"),
			`classes[0].triggers[0].entry: "*a" has a * that is not at its end: only whole keys and prefixes select entries`},
		{"no such source method", trigger("on: method.failed, method: n, target: {method: m}"),
			`classes[0].triggers[0].method: the class "c" has no method "n"; did you mean "m"?`},
		{"no target", trigger("on: entry.created, target: {}"), "classes[0].triggers[0].target: names neither a method nor a sink"},
		{"no such target method", trigger("on: entry.created, target: {method: rise}"),
			`classes[0].triggers[0].target.method: the class "c" has no method "rise"`},
		{"no such target class", trigger("on: entry.created, target: {class: cc, method: m}"),
			`classes[0].triggers[0].target.class: the package has no class "cc"; did you mean "c"?`},
		{"no such class in own package", trigger("on: entry.created, target: {class: p.x, method: m}"),
			`classes[0].triggers[0].target.class: the package has no class "x"; did you mean "c"?`},
		{"odd class", trigger("on: entry.created, target: {class: p., method: m}"),
			`classes[0].triggers[0].target.class: "p." is not the name of a class: write package.class, or the key of a class of this package`},
		{"other package's method", trigger("on: entry.created, target: {class: q.x, method: a b}"),
			`classes[0].triggers[0].target.method: "a b" holds ' '; allowed are letters, digits, _, - and ., the first one a letter, a digit or _`},
		{"target object", trigger("on: entry.created, target: {object: a b, method: m}"),
			`classes[0].triggers[0].target.object: "a b" holds ' '; allowed are letters, digits and . _ : -`},
		{"target partition", trigger("on: entry.created, target: {partition: 1, method: m}"),
			"classes[0].triggers[0].target.partition: is 1, but p.c has the partitions 0 to 0"},
		{"target sink", trigger("on: entry.created, target: {sink: \"ftp://x\"}"),
			`classes[0].triggers[0].target.sink: "ftp://x" is not a URL that starts with http:// or https://; a sink is such a URL or "default"`},
		{"sink without host", trigger("on: entry.created, target: {sink: \"http://:80\"}"),
			`classes[0].triggers[0].target.sink: "http://:80" is a URL without a host; a sink is such a URL or "default"`},
		{"sink and method", trigger("on: entry.created, target: {sink: default, method: m}"),
			"classes[0].triggers[0].target.method: a target is either a sink or a method: method does not go with sink"},
		{"loop", trigger("on: method.completed, method: m, target: {method: m}"),
			`classes[0].triggers[0]: "m" calls itself whenever it completes, for ever; add a condition or another target`},
		{"loop of every method", trigger("on: method.completed, target: {class: p.c, method: m}"),
			`classes[0].triggers[0]: "m" calls itself whenever it completes, for ever; add a condition or another target`},
		{"condition", trigger("on: entry.created, condition: bad, target: {method: m}"),
			"classes[0].triggers[0].condition: does not compile"},
		{"condition long", trigger("on: entry.created, condition: " + strings.Repeat("a", 4097) + ", target: {method: m}"),
			"classes[0].triggers[0].condition: is 4097 bytes long, the limit is 4096"},

		{"subscription type", class("subscriptions: [{type: \"\", method: m}]"), "classes[0].subscriptions[0].type: must not be empty"},
		{"subscription method", class("subscriptions: [{type: a, method: x}]"),
			`classes[0].subscriptions[0].method: the class "c" has no method "x"; did you mean "m"?`},
		{"subscription object", class("subscriptions: [{type: a, method: m, object: \"a/b\"}]"),
			`classes[0].subscriptions[0].object: "a/b" holds '/'; allowed are letters, digits and . _ : -`},
		{"subscription both", class("subscriptions: [{type: a, method: m, object: a, object_from: subject}]"),
			"classes[0].subscriptions[0].object_from: object and object_from exclude each other"},
		{"subscription attribute", class("subscriptions: [{type: a, method: m, object_from: cart_id}]"),
			`classes[0].subscriptions[0].object_from: "cart_id" is no name of a CloudEvents attribute: 1 to 20 lower-case letters and digits`},
		{"subscription standard attribute", class("subscriptions: [{type: a, method: m, object_from: source}]"),
			`classes[0].subscriptions[0].object_from: "source" is no extension attribute of a CloudEvent; use "subject" or an extension`},
		{"subscription twice", class("subscriptions: [{type: a, method: m}, {type: a, method: m}]"),
			`classes[0].subscriptions[1]: the subscription "a  m  " is there twice, first at classes[0].subscriptions[0]`},

		{"function type", function("function_type: CUSTOME"),
			`functions[0].function_type: "CUSTOME" is not one of BUILTIN, CUSTOM, MACRO, LOGICAL, WASM; did you mean "CUSTOM"?`},
		{"runtime", function("runtime: pyton"),
			`functions[0].runtime: "pyton" is not one of go, python, node, command; did you mean "python"?`},
		{"command runtime", function("runtime: command"), "functions[0].command: the runtime command needs a command"},
		{"absolute source", function("source: /src"), `functions[0].source: "/src" is absolute; the folder is relative to the package file`},
		{"Windows source", function(`source: 'c:/src'`),
			`functions[0].source: "c:/src" is absolute; the folder is relative to the package file`},
		{"backslash", function(`source: 'a\b'`), `functions[0].source: "a\\b" holds a backslash; write / between folders`},
		{"empty program", function("command: [\"\"]"), "functions[0].command[0]: the program to run must not be empty"},
		{"url", function("url: localhost:80"), `functions[0].url: "localhost:80" is not a URL that starts with http:// or https://`},
		{"contract", function("contract: gprc"), `functions[0].contract: "gprc" is not one of http, grpc; did you mean "grpc"?`},
		{"container without host", function("url: \"grpc://:80\""), `functions[0].url: "grpc://:80" is a URL without a host`},
		{"container with path", function("url: \"http://h/a\", contract: grpc"),
			`functions[0].url: "http://h/a" has more than a host and a port, which is all that the URL of a function container can have`},
		{"container with another scheme", function("url: \"dns://h\", contract: grpc"),
			`functions[0].url: "dns://h" is not a URL that starts with http:// or https://, or grpc://host:port for a function container`},
		{"container called by HTTP", function("url: \"grpc://h\", contract: http"),
			`functions[0].url: "grpc://h" is not a URL that starts with http:// or https://`},
		{"url and runtime", function("url: \"http://h\", runtime: go"),
			"functions[0].runtime: the function has a url, so somebody else runs it: runtime does not go with url"},
		{"environment name", function("config: {1A: x}"),
			`functions[0].config.1A: "1A" is no name of an environment variable: letters, digits, _, - and ., not a digit first`},
		{"scaling without prefix", function("scaling: {min-scale: 1}"),
			`functions[0].scaling.min-scale: "min-scale" does not begin with autoscaling.knative.dev/; did you mean "autoscaling.knative.dev/min-scale"?`},
		{"scaling of somebody else", function("scaling: {example.com/x: 1}"),
			`functions[0].scaling["example.com/x"]: "example.com/x" does not begin with autoscaling.knative.dev/`},
		{"scaling spelling", function("scaling: {autoscaling.knative.dev/minScale: 1}"),
			`functions[0].scaling["autoscaling.knative.dev/minScale"]: unknown key "autoscaling.knative.dev/minScale"; did you mean "autoscaling.knative.dev/min-scale"?`},
		{"scaling value", function("scaling: {autoscaling.knative.dev/window: \"\"}"),
			`functions[0].scaling["autoscaling.knative.dev/window"]: must not be empty`},
		{"port", function("provision_config: {port: 0}"), "functions[0].provision_config.port: is 0, allowed are 1 to 65535"},
		{"scale", function("provision_config: {min_scale: 3, max_scale: 2}"),
			"functions[0].provision_config.min_scale: is 3, more than max_scale, which is 2"},
		{"quantity", function("provision_config: {cpu_limit: lots}"),
			`functions[0].provision_config.cpu_limit: "lots" is not a quantity such as 250m, 2, 64Mi or 1G`},
		{"request over limit", function("provision_config: {memory_request: 1Gi, memory_limit: 1G}"),
			"functions[0].provision_config.memory_request: is 1Gi, more than memory_limit, which is 1G"},
		{"image", function("provision_config: {container_image: a b}"),
			`functions[0].provision_config.container_image: "a b" is not the name of an image`},
		{"module", function("provision_config: {wasm_module_url: \"ftp://x/y\"}"),
			`functions[0].provision_config.wasm_module_url: "ftp://x/y" starts with none of file://, http://, https://, oci://, oci+http:// and is no file path`},

		{"deployed class", deployment("condition: UP}, {key: e, class_key: d"),
			"deployments[0].condition: \"UP\" is not one of PENDING, DEPLOYING, RUNNING, DOWN, DELETED\n" +
				`deployments[1].class_key: the package has no class "d"; did you mean "c"?`},
		{"other package", deployment("package_name: q"), `deployments[0].package_name: is "q", but the package is "p"; leave it out`},
		{"partitions", deployment("odgm: {partition_count: 65536}"), "deployments[0].odgm.partition_count: is 65536, allowed are 1 to 65535"},
		{"no partitions", deployment("odgm: {partition_count: 0}"), "deployments[0].odgm.partition_count: is 0, allowed are 1 to 65535"},
		{"replicas", deployment("odgm: {replica_count: 51}"), "deployments[0].odgm.replica_count: is 51, allowed are 1 to 50"},
		{"shard type", deployment("odgm: {shard_type: rafft}"),
			`deployments[0].odgm.shard_type: "rafft" is not one of none, raft, mst, basic, single; did you mean "raft"?`},
		{"availability", deployment("nfr_requirements: {availability: 99}"),
			"deployments[0].nfr_requirements.availability: is 99, allowed are 0 to 1"},
		{"utilization", deployment("nfr_requirements: {cpu_utilization_target: -0.5}"),
			"deployments[0].nfr_requirements.cpu_utilization_target: is -0.5, allowed are 0 to 1"},
		{"sampling", deployment("telemetry: {sampling_rate: 1.5}"), "deployments[0].telemetry.sampling_rate: is 1.5, allowed are 0 to 1"},
		{"deployed function", deployment("functions: [{function_key: f}]"),
			`deployments[0].functions[0].function_key: the package has no function "f"`},
		{"environment twice", deployment("target_envs: [e, e]"),
			`deployments[0].target_envs[1]: the environment "e" is there twice, first at deployments[0].target_envs[0]`},
		{"deployment option", deployment("odgm: {options: {mailboxlimit: 3}}"),
			`deployments[0].odgm.options.mailboxlimit: unknown option "mailboxlimit"; did you mean "mailbox_limit"?`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := mustParse(t, tc.text)
			err := p.Validate(WithCondition(refuseBad))
			if err == nil {
				t.Fatal("accepted")
			}
			problems, ok := errors.AsType[ValidationErrors](err)
			if !ok || fault.CodeOf(err) != fault.InvalidArgument {
				t.Fatalf("got %T with code %s", err, fault.CodeOf(err))
			}
			for i := range problems {
				if problems[i].Line < 1 || problems[i].Column < 1 {
					t.Errorf("no position: %+v", problems[i])
				}
				problems[i].Line, problems[i].Column = 0, 0
			}
			if got := problems.Error(); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

func refuseBad(expression string) error {
	if expression == "bad" {
		return errors.New("does not compile")
	}
	return nil
}

func TestValidatePositions(t *testing.T) {
	p, err := ParseYAML([]byte("name: p\nclasses:\n  - key: c\n    function_bindings:\n      - name: m\n        function_key: x\n    options:\n      odd: 1\n"), InFile("f.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	want := "f.yaml:6:23: classes[0].function_bindings[0].function_key: the package has no function \"x\"\n" +
		"f.yaml:8:12: classes[0].options.odd: unknown option \"odd\""
	if got := p.Validate(); got == nil || got.Error() != want {
		t.Errorf("got  %v\nwant %s", got, want)
	}
	built := Package{Name: "p", Classes: []Class{{Key: ""}}}
	if got, want := built.Validate(), "classes[0].key: must not be empty"; got == nil || got.Error() != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func TestValidateAccepts(t *testing.T) {
	for name, text := range map[string]string{
		"everything":                        shop,
		"methods of the SDK":                binding("immutable: false, parameters: []"),
		"state of nothing":                  binding("stateless: true, state: []"),
		"all state":                         binding("state: [\"*\"]"),
		"loop with a condition":             trigger("on: method.completed, method: m, condition: \"true\", target: {method: m}"),
		"completed calls another":           trigger("on: method.completed, method: m, target: {method: s}"),
		"every method calls a stateless":    trigger("on: method.completed, target: {method: s}"),
		"failed calls itself":               trigger("on: method.failed, method: m, target: {method: m}"),
		"entry event calls anything":        trigger("on: entry.updated, target: {method: m}"),
		"another package's class":           trigger("on: method.completed, target: {class: other.c, method: m}"),
		"dotted package":                    "name: a.b\nclasses: [{key: c, function_bindings: [{name: m, function_key: f}], triggers: [{name: t, on: entry.created, target: {class: a.b.c, method: m}}]}]\nfunctions: [{key: f}]",
		"reference's options":               class("options: {storage_path: /data, enable_metrics: \"true\", zenoh_event_locality: SessionLocal, invoke_only_primary: \"false\"}"),
		"only deployments":                  "name: p\ndeployments: [{key: d, package_name: p, class_key: anything, functions: [{function_key: f}]}]",
		"module placeholder":                function("provision_config: {wasm_module_url: \"${URL}\"}"),
		"quantities":                        function("provision_config: {cpu_request: 100m, cpu_limit: 0.5, memory_request: 64Mi, memory_limit: 1e9}"),
		"max scale of zero is no limit":     function("provision_config: {min_scale: 3, max_scale: 0}"),
		"a folder beside":                   function("source: ../shared"),
		"sink with a path and default sink": class("sink: https://example.com/a?b=c\ntriggers: [{name: t, on: entry.deleted, target: {sink: default}}]"),
	} {
		if err := mustParse(t, text).Validate(WithCondition(refuseBad)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestValidateStaysQuickOnManyNames(t *testing.T) {
	var p Package
	p.Name = "p"
	var c Class
	c.Key = "c"
	for i := range 5_000 {
		name := strings.Repeat("x", 60) + strings.Repeat("y", i%30)
		p.Functions = append(p.Functions, Function{Key: name})
		c.Bindings = append(c.Bindings, Binding{Name: name, FunctionKey: name + "z"})
	}
	p.Classes = []Class{c}
	problems, _ := errors.AsType[ValidationErrors](p.Validate())
	if len(problems) != maxProblems+1 {
		t.Errorf("%d problems", len(problems))
	}
}

func TestSuggest(t *testing.T) {
	known := []string{"function_bindings", "key", "min_scale", "max_scale", "state", "timeout"}
	for word, want := range map[string]string{
		"functionBindings": "function_bindings", "function-bindings": "function_bindings", "FUNCTION_BINDINGS": "function_bindings",
		"function_binding": "function_bindings", "kye": "key", "maxscale": "max_scale", "mox_scale": "max_scale", "stat": "state",
		"time_out": "timeout", "": "", "zzz": "", "completely_different": "", strings.Repeat("k", 5000): "",
	} {
		if got := suggest(word, known); got != want {
			t.Errorf("suggest(%q) = %q, want %q", word, got, want)
		}
	}
}
