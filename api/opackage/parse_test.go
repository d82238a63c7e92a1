package opackage

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hpcclab/oaas-go/api/fault"
)

// shop uses every key of the format that people write.
const shop = `
name: shop
version: 1.0
metadata: {description: A shop, tags: [demo], author: ann, created_at: 2026-01-31T12:00:00Z}
dependencies: [base]
classes:
  - key: cart
    description: |
      What somebody
      is about to buy.
    state_spec: {persistent: true, key_specs: [{name: total, key_type: number}]}
    options: {storage_backend: fjall, mailbox_limit: 64, result_ttl: 24h}
    sink: default
    function_bindings:
      - name: add
        function_key: shop-fn
        access_modifier: PUBLIC
        state: [Total, "item:*"]
        timeout: 10s
        retries: 2
      - {name: peek, function_key: shop-fn, readonly: true}
      - {name: old_peek, function_key: shop-fn, immutable: true, state: []}
      - {name: price, function_key: shop-fn, stateless: true}
    triggers:
      - name: low-stock
        on: entry.updated
        entry: stock
        condition: "double(new) < 5.0 && double(old) >= 5.0"
        target: {class: alarm, object: main, method: raise, partition: 1, options: {level: 3}}
      - {name: done, on: method.completed, method: add, target: {sink: "https://example.com/hook"}}
      - {name: failed, on: method.failed, target: {class: base.audit, method: note}}
    subscriptions:
      - {type: com.example.order.created, source: /orders, method: add, object_from: cartid}
      - {type: com.example.sale, method: add, object: main}
  - key: alarm
    function_bindings:
      - {name: raise, function_key: alarm-fn}
functions:
  - key: shop-fn
    function_type: CUSTOM
    provision_config: {max_concurrency: 10, min_scale: 0, max_scale: 3, cpu_request: 100m, cpu_limit: 1, memory_limit: 64Mi}
    config: {LOG_LEVEL: info, PORT: 80, DEBUG: true, SINCE: 2026-01-01}
    runtime: go
    source: .
    build: [go, build, "./..."]
    command: [./fn, 1]
    scaling: {autoscaling.knative.dev/window: 6s}
  - {key: alarm-fn, url: "http://127.0.0.1:9000"}
deployments:
  - key: shop-cart
    package_name: shop
    class_key: cart
    nfr_requirements: {availability: 0.99, min_throughput_rps: 100}
    odgm: {partition_count: 4, replica_count: 3, options: {storage_backend: bbolt}, env_node_ids: {here: [1, 2]}}
  - {key: shop-alarm, class_key: alarm, odgm: {partition_count: 2}}
`

func TestParseYAML(t *testing.T) {
	p := mustParse(t, shop)
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	cart, fn := p.Class("cart"), p.Function("shop-fn")
	for what, pair := range map[string][2]any{
		"version as text":        {*p.Version, "1.0"},
		"number in a text map":   {fn.Config["PORT"], "80"},
		"boolean in a text map":  {fn.Config["DEBUG"], "true"},
		"date in a text map":     {fn.Config["SINCE"], "2026-01-01"},
		"number in a text list":  {fn.Command[1], "1"},
		"number in options":      {cart.Options["mailbox_limit"], "64"},
		"default of an enum":     {cart.StateSpec.ConsistencyModel, NoConsistency},
		"default condition":      {p.Deployments[0].Condition, Pending},
		"absent state":           {cart.Binding("peek").State == nil, true},
		"empty state":            {cart.Binding("old_peek").State != nil, true},
		"key named on":           {cart.Triggers[0].On, EntryUpdated},
		"text of several lines":  {*cart.Description, "What somebody\nis about to buy.\n"},
		"timestamp":              {p.Metadata.CreatedAt.Format("2006-01-02"), "2026-01-31"},
		"number that stays one":  {*fn.Provision.MaxScale, uint32(3)},
		"absent optional number": {fn.Provision.Port == nil, true},
		"node ids":               {fmt.Sprint(p.Deployments[0].Odgm.EnvNodeIDs), "map[here:[1 2]]"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: got %v, want %v", what, pair[0], pair[1])
		}
	}
}

func TestYAMLRoundTrip(t *testing.T) {
	p := mustParse(t, shop)
	text, err := p.YAML()
	if err != nil {
		t.Fatal(err)
	}
	again := mustParse(t, string(text))
	if got, want := mustJSON(t, again), mustJSON(t, p); got != want {
		t.Errorf("after YAML: got  %s\nwant %s", got, want)
	}
	for _, line := range []string{"version: \"1.0\"\n", "state: []\n", "      PORT: \"80\"\n", "description: |\n"} {
		if !strings.Contains(string(text), line) {
			t.Errorf("no %q in\n%s", line, text)
		}
	}
	if strings.Contains(string(text), "null") || strings.Contains(string(text), "{}") {
		t.Errorf("empty values in\n%s", text)
	}
}

func TestParseReadsWhatItWrote(t *testing.T) {
	p := mustParse(t, shop)
	again, err := ParseJSON([]byte(mustJSON(t, p)))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := mustJSON(t, again), mustJSON(t, p); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestParseYAMLAnchorsAndMerges(t *testing.T) {
	p := mustParse(t, `
name: p
functions:
  - &base
    key: a
    config: &env {A: 1, B: 2}
  - {<<: *base, key: b}
  - {key: c, config: {<<: [{A: first}, *env], C: 3}}
  - {key: d, config: *env}
`)
	for key, want := range map[string]string{"a": "map[A:1 B:2]", "b": "map[A:1 B:2]", "c": "map[A:first B:2 C:3]", "d": "map[A:1 B:2]"} {
		if got := fmt.Sprint(p.Function(key).Config); got != want {
			t.Errorf("%s: got %s, want %s", key, got, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		json       bool
		want       string
	}{
		{"unknown key", "name: p\nclasses:\n  - key: c\n    function_bindings:\n      - {name: a, function_key: f}\n      - {nmae: b, function_key: f}\n", false,

			"6:9: classes[0].function_bindings[1]: the key \"name\" is missing\n" +
				"6:10: classes[0].function_bindings[1].nmae: unknown key \"nmae\"; did you mean \"name\"?"},
		{"camel case", "name: p\nfunctions:\n  - {key: f, provisionConfig: {maxScale: 1}}\n", false,
			`3:14: functions[0].provisionConfig: unknown key "provisionConfig"; did you mean "provision_config"?`},
		{"kebab case", "name: p\nclasses: [{key: c, function-bindings: []}]\n", false,
			`2:20: classes[0].function-bindings: unknown key "function-bindings"; did you mean "function_bindings"?`},
		{"nothing alike", "name: p\nxyzzy: 1\n", false,
			`2:1: xyzzy: unknown key "xyzzy"; known are name, version, metadata, classes, functions, dependencies, deployments`},
		{"odd key", "name: p\n\"a.b\": 1\n", false,
			`2:1: ["a.b"]: unknown key "a.b"; known are name, version, metadata, classes, functions, dependencies, deployments`},
		{"duplicate", "name: p\nversion: 1\nname: q\n", false, `3:1: name: the key "name" is there twice, first in line 1`},
		{"duplicate in map", "name: p\nfunctions: [{key: f, config: {A: 1, A: 2}}]\n", false,
			`2:37: functions[0].config.A: the key "A" is there twice, first in line 2`},
		{"missing", "version: 1\n", false, `1:1: the key "name" is missing`},
		{"null name", "name:\n", false, `1:1: the key "name" is missing`},
		{"scalar document", "just text", false, `1:1: must be a mapping of keys to values, is the string "just text"`},
		{"list document", "- a", false, `1:1: must be a mapping of keys to values, is a list`},
		{"empty", "", false, "1:1: the document is empty"},
		{"blank", " \n\n", false, "1:1: the document is empty"},
		{"comment", "# nothing\n", false, "1:1: the document is empty"},
		{"null", "null", false, "1:1: the document is empty"},
		{"two documents", "name: p\n---\nname: q\n", false, "2:1: more than one document: a package file holds exactly one"},
		{"tab", "name: p\nclasses:\n\t- key: c\n", false, "3:1: not valid YAML: a tab cannot indent; use spaces"},
		{"syntax", "name: p\nclasses: [\n", false, "2:1: not valid YAML: did not find expected node content"},
		{"unknown anchor", "name: *x\n", false, `1:1: not valid YAML: unknown anchor 'x' referenced`},
		{"not UTF-8", "name: p\nversion: \"a\xff\"\n", false, "2:12: the text is not UTF-8: byte 0xff"},
		{"UTF-16", "\xff\xfen\x00", false, "1:1: the text is not UTF-8: byte 0xff"},
		{"text for a list", "name: p\nclasses: cart\n", false, `2:10: classes: must be a list, is the string "cart"`},
		{"list for text", "name: [p]\n", false, `1:7: name: must be a string, is a list`},
		{"mapping for a list", "name: p\nclasses: {key: c}\n", false, "2:10: classes: must be a list, is a mapping"},
		{"null in a list", "name: p\nclasses: [null]\n", false, "2:11: classes[0]: must not be null"},
		{"null in a map", "name: p\nfunctions: [{key: f, config: {A: }}]\n", false,
			`2:34: functions[0].config.A: must not be null; write "" for an empty value`},
		{"yes", "name: p\nclasses: [{key: c, state_spec: {persistent: yes}}]\n", false,
			`2:45: classes[0].state_spec.persistent: must be true or false, is the string "yes"; did you mean "true"?`},
		{"number for a boolean", "name: p\nclasses: [{key: c, state_spec: {persistent: 1}}]\n", false,
			`2:45: classes[0].state_spec.persistent: must be true or false, is "1"`},
		{"quoted number", "name: p\nfunctions: [{key: f, provision_config: {port: \"80\"}}]\n", false,
			`2:47: functions[0].provision_config.port: must be a whole number from 0 to 65535, is the string "80"`},
		{"large number", "name: p\nfunctions: [{key: f, provision_config: {port: 65536}}]\n", false,
			`2:47: functions[0].provision_config.port: must be a whole number from 0 to 65535, is "65536"`},
		{"negative number", "name: p\nfunctions: [{key: f, provision_config: {min_scale: -1}}]\n", false,
			`2:52: functions[0].provision_config.min_scale: must be a whole number from 0 to 4294967295, is "-1"`},
		{"not a number", "name: p\ndeployments: [{key: d, class_key: c, nfr_requirements: {availability: .nan}}]\n", false,
			`2:71: deployments[0].nfr_requirements.availability: must be a number, is ".nan"`},
		{"time", "name: p\nmetadata: {created_at: yesterday}\n", false,
			`2:24: metadata.created_at: must be a time such as 2026-01-31T12:00:00Z, is the string "yesterday"`},
		{"own tag", "name: !secret p\n", false, `1:7: name: the tag "!secret" has no meaning here`},
		{"complex key", "? [a]\n: b\nname: p\n", false, "1:3: a key must be text, is a list"},
		{"merge of text", "name: p\n<<: text\n", false, `2:5: only mappings can be merged with <<, not the string "text"`},
		{"anchor in itself", "name: p\nclasses: &a [*a]\n", false, "2:10: classes[0]: must be a mapping of keys to values, is a list"},

		{"JSON: number for text", `{"name": 1}`, true, `1:10: name: must be a string, is "1"; write it in quotes`},
		{"JSON: number in a map", "{\"name\":\"p\",\n\t\"functions\":[{\"key\":\"ü\",\"config\":{\"A\":1}}]}", true,
			`2:40: functions[0].config.A: must be a string, is "1"; write it in quotes`},
		{"JSON: unknown key", `{"name":"p","clases":[]}`, true, `1:13: clases: unknown key "clases"; did you mean "classes"?`},
		{"JSON: duplicate", `{"name":"p","name":"q"}`, true, `1:13: name: the key "name" is there twice, first in line 1`},
		{"JSON: missing", `{"classes":[]}`, true, `1:1: the key "name" is missing`},
		{"JSON: cut", `{"name":`, true, "1:8: not valid JSON: unexpected end of JSON input"},
		{"JSON: comma", "{\"name\":\"p\",\n}", true, "2:1: not valid JSON: invalid character '}' looking for beginning of object key string"},
		{"JSON: two documents", `{"name":"p"} {}`, true, "1:14: not valid JSON: invalid character '{' after top-level value"},
		{"JSON: empty", ``, true, "1:1: the document is empty"},
		{"JSON: fraction", `{"name":"p","functions":[{"key":"f","provision_config":{"port":80.0}}]}`, true,
			`1:64: functions[0].provision_config.port: must be a whole number from 0 to 65535, is "80.0"`},
		{"JSON: huge number", `{"name":"p","deployments":[{"key":"d","class_key":"c","telemetry":{"sampling_rate":1e999}}]}`, true,
			`1:84: deployments[0].telemetry.sampling_rate: must be a number, is "1e999"`},
		{"JSON: text for a boolean", `{"name":"p","classes":[{"key":"c","state_spec":{"persistent":"yes"}}]}`, true,
			`1:62: classes[0].state_spec.persistent: must be true or false, is the string "yes"`},
		{"JSON: deep", strings.Repeat("[", 200) + strings.Repeat("]", 200), true, "1:66: the document is nested deeper than 64 levels"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			parse := ParseYAML
			if tc.json {
				parse = ParseJSON
			}
			p, err := parse([]byte(tc.text))
			if err == nil {
				t.Fatalf("accepted as %s", mustJSON(t, p))
			}
			if err.Error() != tc.want {
				t.Errorf("got  %s\nwant %s", err, tc.want)
			}
			if code := fault.CodeOf(err); code != fault.InvalidArgument {
				t.Errorf("code %s", code)
			}
			if _, ok := errors.AsType[ValidationErrors](err); !ok {
				t.Errorf("%T is not ValidationErrors", err)
			}
		})
	}
}

func TestParseOptions(t *testing.T) {
	text := []byte("name: p\nodd: {a: [1]}\nclasses: [{key: c, stranger: 1}]\n")
	if _, err := ParseYAML(text, IgnoreUnknown()); err != nil {
		t.Errorf("IgnoreUnknown: %v", err)
	}
	_, err := ParseYAML(text[:20], InFile("shop/oaas-package.yaml"))
	if err == nil || !strings.HasPrefix(err.Error(), "shop/oaas-package.yaml:") {
		t.Errorf("InFile, syntax: %v", err)
	}
	_, err = ParseYAML([]byte("nam: p"), InFile("f.yaml"))
	if want := "f.yaml:1:1: nam: unknown key \"nam\"; did you mean \"name\"?"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("InFile: %v", err)
	}
}

func TestParseByteOrderMarkAndCRLF(t *testing.T) {
	if p := mustParse(t, "\ufeffname: p\r\nversion: 2\r\n"); p.Name != "p" || *p.Version != "2" {
		t.Errorf("got %s", mustJSON(t, p))
	}
}

func TestParseTooLarge(t *testing.T) {
	_, err := ParseYAML([]byte("name: p\n" + strings.Repeat("#", MaxSize)))
	if fault.CodeOf(err) != fault.TooLarge {
		t.Errorf("got %v", err)
	}
}

// Bombs are small or legal in size, and would be large or endless when taken at their word.
func TestParseBombs(t *testing.T) {
	var laughs strings.Builder
	laughs.WriteString("name: p\nclasses:\n  - {key: c, state_spec: {key_specs: [&a0 {name: a, key_type: b}]}}\n")
	laughs.WriteString("dependencies:\n  - &b0 [x, x]\n")
	for i := range 40 {
		fmt.Fprintf(&laughs, "  - &b%d [*b%d, *b%d]\n", i+1, i, i)
	}
	var merges strings.Builder
	merges.WriteString("name: p\nfunctions:\n  - key: f\n    config: &m0 {A: b}\n")
	for i := range 60 {
		fmt.Fprintf(&merges, "  - {key: f%d, config: &m%d {<<: [*m%d, *m%d]}}\n", i, i+1, i, i)
	}
	shared := "name: p\nfunctions:\n  - &f {key: f, config: {" + strings.Repeat("x: y, ", 1) + "}}\n" + strings.Repeat("  - *f\n", 60_000)
	for name, text := range map[string]string{
		"aliases of aliases":   laughs.String(),
		"merges of merges":     merges.String(),
		"many aliases":         shared,
		"anchor merges itself": "name: p\nfunctions: [{key: f, config: &a {<<: *a}}]\n",
		"deep flow":            "name: " + strings.Repeat("[", 9000),
		"deep block":           "name: p\nclasses:\n" + strings.Repeat("- ", 5000) + "a",
		"many keys":            "name: p\n" + manyLines(120_000),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseYAML([]byte(text))
			if err == nil {
				t.Fatal("accepted")
			}
			if problems, ok := errors.AsType[ValidationErrors](err); !ok || len(problems) > maxProblems+1 {
				t.Errorf("%T with %d problems", err, len(problems))
			}
		})
	}
}

func manyLines(n int) string {
	var out strings.Builder
	for i := range n {
		fmt.Fprintf(&out, "k%d: 1\n", i)
	}
	return out.String()
}

func TestManyProblemsAreCut(t *testing.T) {
	_, err := ParseYAML([]byte("name: p\n" + manyLines(500)))
	problems, _ := errors.AsType[ValidationErrors](err)
	if len(problems) != maxProblems+1 || problems[maxProblems].Message != "400 more problems are not listed" {
		t.Errorf("%d problems, last %v", len(problems), problems[len(problems)-1])
	}
}

func FuzzParseYAML(f *testing.F) {
	f.Add([]byte(shop))
	for _, text := range []string{"name: p", "name: p\n<<: *a", "? a\n: b", "name: &a [*a]", "- |\n  x", "name: !!binary aGk=", "{name: \"\\ud800\"}", "\t", "--- a\n--- b"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := ParseYAML(text)
		if err != nil {
			if code := fault.CodeOf(err); code != fault.InvalidArgument && code != fault.TooLarge {
				t.Fatalf("code %s of %v", code, err)
			}
			return
		}
		stable(t, p)
	})
}

func FuzzParseJSON(f *testing.F) {
	for _, tc := range recorded {
		f.Add([]byte(tc.sent))
		f.Add([]byte(tc.answered))
	}
	p, err := ParseYAML([]byte(shop))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(mustJSON(f, p)))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := ParseJSON(text)
		if err != nil {
			return
		}
		if !json.Valid(text) && !strings.HasPrefix(string(text), "\ufeff") {
			t.Fatalf("accepted what is no JSON: %q", text)
		}
		stable(t, p)
	})
}

// stable checks that a document survives being written and read, in both forms, and that looking at it never panics.
func stable(t *testing.T, p *Package) {
	t.Helper()
	want := mustJSON(t, p)
	again, err := ParseJSON([]byte(want))
	if err != nil {
		t.Fatalf("read own JSON: %v\n%s", err, want)
	}
	if got := mustJSON(t, again); got != want {
		t.Fatalf("JSON is not stable:\n%s\n%s", got, want)
	}
	text, err := p.YAML()
	if err != nil {
		t.Fatal(err)
	}
	again, err = ParseYAML(text)
	if err != nil {
		t.Fatalf("read own YAML: %v\n%s", err, text)
	}
	if got := mustJSON(t, again); got != want {
		t.Fatalf("YAML is not stable:\n%s\n%s\n%s", got, want, text)
	}
	if err := p.Validate(); err != nil && fault.CodeOf(err) != fault.InvalidArgument {
		t.Fatal(err)
	}
	p.EffectiveDeployments()
}

func mustParse(t testing.TB, text string) *Package {
	t.Helper()
	p, err := ParseYAML([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}
