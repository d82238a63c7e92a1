package pm

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/hpcclab/oaas-go/api/opackage"
)

// TestSamples has the recorded answers of OaaS-RS, byte by byte; where its answer is a fault, ours stands here.
func TestSamples(t *testing.T) {
	r := newRig(t)
	const stored = `{"name":"shop","version":"1.0.0","metadata":{"author":"a","description":null,"tags":["t"]},"classes":[{"key":"Cart","description":null,"state_spec":{"consistency_model":"STRONG","persistent":true,"serialization_format":""},"function_bindings":[{"name":"add","function_key":"add","access_modifier":"PUBLIC","stateless":false,"parameters":[]}]}],"functions":[{"key":"add","function_type":"CUSTOM","description":null,"provision_config":{"container_image":"img:1","port":8080,"max_concurrency":0,"need_http2":false,"cpu_request":null,"memory_request":null,"cpu_limit":null,"memory_limit":null,"min_scale":null,"max_scale":null},"config":{"K":"V"}}],"dependencies":[],"deployments":[]}`
	const class = `[{"key":"shop.Cart","description":null,"state_spec":{"consistency_model":"STRONG","persistent":true,"serialization_format":""},"function_bindings":[{"name":"add","function_key":"add","access_modifier":"PUBLIC","stateless":false,"parameters":[]}]}]`
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/packages", "", 200, `[]`},
		{"POST", "/packages", shop, 201, `{"id":"shop","status":"created","message":"Package created successfully"}`},
		{"POST", "/packages", shop, 409, `{"error":"Package already exists: shop"}`},
		{"GET", "/packages/shop", "", 200, stored},
		{"GET", "/packages", "", 200, "[" + stored + "]"},
		{"POST", "/packages/shop", shop, 200, `{"id":"shop","status":"updated","message":"Package updated successfully"}`},
		{"GET", "/packages/none", "", 404, `{"error":"Package not found: none"}`},
		{"GET", "/classes", "", 200, class},
		{"GET", "/functions?filter=shop", "", 200, stored[strings.Index(stored, `[{"key":"add"`):strings.Index(stored, `,"dependencies"`)]},
		{"POST", "/packages", `{"name":"q","dependencies":["zz","yy"]}`, 400, `{"error":"Dependency not found: zz, yy"}`},
		{"GET", "/deployments", "", 200, `[]`},
		{"POST", "/deployments", `{"key":"d1","package_name":"shop","class_key":"Nope"}`, 400, `{"error":"Class 'Nope' not found in package 'shop"}`},
		{"POST", "/deployments", `{"key":"d1","package_name":"zz","class_key":"Cart"}`, 404, `{"error":"Package not found: zz"}`},
		{"GET", "/deployments/none", "", 404, `{"error":"Deployment not found: none"}`},
		{"GET", "/deployments/none/env-mappings", "", 200, `{"deployment_key":"none","cluster_ids":{},"env_ids":{}}`},
		{"GET", "/class-runtimes", "", 200, `[]`},
		{"GET", "/artifacts", "", 200, `[]`},
		{"POST", "/scripts/compile", "{}", 503, `{"error":"Script service not configured"}`},
		{"DELETE", "/packages/shop", "", 204, ``},
		{"DELETE", "/packages/shop", "", 404, `{"error":"Package not found: shop"}`},
	} {
		got := r.do(c.method, "/api/v1"+c.path, c.body)
		if got.status != c.status || got.body != c.want {
			t.Errorf("%s %s: got %d %s\nwant %d %s", c.method, c.path, got.status, got.body, c.status, c.want)
		}
	}
}

// TestBadInput has for every route what it refuses, and that nothing changes by it.
func TestBadInput(t *testing.T) {
	r := newRig(t).withShop()
	r.must(201, "POST", "/api/v1/packages", `{"name":"base","dependencies":["shop"]}`)
	sum := strings.Repeat("0", 64)
	long := `{"name":"` + strings.Repeat("x", opackage.MaxSize) + `"}`
	for _, c := range []struct {
		method, path, body string
		status             int
		code, message      string
	}{
		{"POST", "/packages", `{"name":`, 400, "INVALID_ARGUMENT", "1:8: not valid JSON"},
		{"POST", "/packages", ``, 400, "INVALID_ARGUMENT", "the document is empty"},
		{"POST", "/packages", "\xff", 400, "INVALID_ARGUMENT", "not UTF-8"},
		{"POST", "/packages", `{"classes":[]}`, 422, "INVALID_ARGUMENT", `the key "name" is missing`},
		{"POST", "/packages", `[]`, 422, "INVALID_ARGUMENT", "must be"},
		{"POST", "/packages", `{"name":7}`, 422, "INVALID_ARGUMENT", "name: must be a string"},
		{"POST", "/packages", `{"name":"a b"}`, 400, "INVALID_ARGUMENT", `name: "a b" holds ' '`},
		{"POST", "/packages", `{"name":""}`, 400, "INVALID_ARGUMENT", "name: must not be empty"},
		{"POST", "/packages", `{"name":"q","classes":[{"key":"C","function_bindings":[{"name":"f","function_key":"nope"}]}],"functions":[{"key":""}]}`, 400,
			"INVALID_ARGUMENT", "1:83: classes[0].function_bindings[0].function_key: the package has no function \"nope\"\n1:114: functions[0].key: must not be empty"},
		{"POST", "/packages", `{"name":"q","dependencies":["q"]}`, 400, "INVALID_ARGUMENT", "the package depends on itself"},
		{"POST", "/packages", long, 413, "TOO_LARGE", "4194304 bytes"},
		{"POST", "/packages/shop", `{"name":"other"}`, 400, "INVALID_ARGUMENT", "Package name mismatch: the path says shop, the document other"},
		{"POST", "/packages/none", `{"name":"none"}`, 404, "NOT_FOUND", "Package not found: none"},
		{"POST", "/packages/shop", strings.Replace(shop, `"dependencies": []`, `"dependencies": ["base"]`, 1), 400, "INVALID_ARGUMENT", "shop → base → shop"},
		{"POST", "/packages/shop", `{"name":"shop"}`, 409, "CONFLICT", "lacks classes that are deployed: Cart (deployment d1)"},
		{"DELETE", "/packages/shop", "", 409, "CONFLICT", "Package shop is deployed: d1"},
		{"GET", "/packages?limit=-1", "", 400, "INVALID_ARGUMENT", `parameter limit: "-1"`},
		{"GET", "/packages?offset=x", "", 400, "INVALID_ARGUMENT", `parameter offset: "x"`},
		{"GET", "/packages?disabled=perhaps", "", 400, "INVALID_ARGUMENT", `parameter disabled: "perhaps"`},
		{"GET", "/packages/a%2Fb", "", 404, "NOT_FOUND", "Package not found: a/b"},
		{"GET", "/packages/none/versions", "", 404, "NOT_FOUND", "Package not found: none"},
		{"GET", "/packages/shop/versions/9", "", 404, "NOT_FOUND", `has no version "9"`},
		{"GET", "/packages/shop/diff", "", 400, "INVALID_ARGUMENT", "parameter from"},
		{"GET", "/packages/shop/diff?from=1&to=x", "", 404, "NOT_FOUND", `has no version "x"`},

		{"POST", "/deployments", `{"key":"d2"`, 400, "INVALID_ARGUMENT", "not valid JSON"},
		{"POST", "/deployments", `{"package_name":"shop"}`, 422, "INVALID_ARGUMENT", `the key "class_key" is missing`},
		{"POST", "/deployments", `{"key":"d2","package_name":"","class_key":"Cart"}`, 400, "INVALID_ARGUMENT", "package_name: must not be empty"},
		{"POST", "/deployments", `{"key":"d 2","package_name":"shop","class_key":"Cart","nfr_requirements":{"availability":9}}`, 400, "INVALID_ARGUMENT",
			"key: \"d 2\" holds ' '; allowed are letters, digits, _, - and ., the first one a letter, a digit or _\nnfr_requirements.availability: is 9"},
		{"POST", "/deployments", `{"key":"d1","package_name":"shop","class_key":"Cart","target_envs":["one","mars"]}`, 400, "INVALID_ARGUMENT", "Invalid target envs: mars is not known; known are one, two"},
		{"POST", "/deployments", `{"key":"d1","package_name":"shop","class_key":"Cart","available_envs":["mars"]}`, 400, "INVALID_ARGUMENT", "Invalid target envs"},
		{"POST", "/deployments", `{"key":"d2","package_name":"shop","class_key":"Cart"}`, 409, "ALREADY_EXISTS", "deployed to one by deployment d1"},
		{"PUT", "/deployments/d3", cart, 400, "INVALID_ARGUMENT", "Deployment key mismatch"},
		{"DELETE", "/deployments/none", "", 404, "NOT_FOUND", "Deployment not found: none"},
		{"DELETE", "/deployments/d1?purge=1x", "", 400, "INVALID_ARGUMENT", "parameter purge"},
		{"GET", "/class-runtimes?env=mars", "", 400, "INVALID_ARGUMENT", "Invalid env: mars"},
		{"GET", "/class-runtimes/none", "", 404, "NOT_FOUND", "Class runtime not found: none"},
		{"GET", "/deployment-status/none", "", 404, "NOT_FOUND", "not found: none"},
		{"GET", "/envs/mars/health", "", 404, "NOT_FOUND", "Cluster not found: mars"},
		{"DELETE", "/classes/shop.Cart", "", 409, "CONFLICT", "Cart (deployment d1)"},
		{"DELETE", "/classes/shop.Nope", "", 404, "NOT_FOUND", "Class not found: shop.Nope"},
		{"DELETE", "/classes/Cart", "", 404, "NOT_FOUND", "<package>.<class>"},
		{"GET", "/topology?source=zenoh", "", 503, "UNAVAILABLE", "no Zenoh router"},
		{"POST", "/artifacts", "text", 400, "INVALID_ARGUMENT", "no WebAssembly module"},
		{"POST", "/artifacts?sha256=" + sum, "\x00asm1", 400, "INVALID_ARGUMENT", "the SHA-256 of the body is"},
		{"PUT", "/artifacts/..%2F..%2Fetc", "\x00asm", 400, "INVALID_ARGUMENT", "Invalid artifact ID: ../../etc"},
		{"GET", "/artifacts/" + sum, "", 404, "NOT_FOUND", "Artifact not found: " + sum},
		{"GET", "/artifacts/xyz", "", 400, "INVALID_ARGUMENT", "Invalid artifact ID: xyz"},
		{"DELETE", "/artifacts/" + sum, "", 404, "NOT_FOUND", "Artifact not found"},
		{"GET", "/scripts/shop/f", "", 503, "UNAVAILABLE", "Script service not configured"},
	} {
		before := r.everything()
		got := r.do(c.method, "/api/v1"+c.path, c.body)
		var body failure
		if err := json.Unmarshal([]byte(got.body), &body); err != nil {
			t.Errorf("%s %s: %v: %s", c.method, c.path, err, got.body)
			continue
		}
		if got.status != c.status || got.header.Get("Oaas-Error") != c.code || !strings.Contains(body.Error, c.message) {
			t.Errorf("%s %s %.60s: got %d %s %s\nwant %d %s %q", c.method, c.path, c.body, got.status, got.header.Get("Oaas-Error"), got.body, c.status, c.code, c.message)
		}
		if after := r.everything(); after != before {
			t.Errorf("%s %s %.60s changed something:\n%s\n%s", c.method, c.path, c.body, before, after)
		}
	}
	if got := r.do("POST", "/api/v1/packages", `{"name":"x"}`, "Content-Type: text/plain"); got.status != 415 {
		t.Errorf("another type: %d %s", got.status, got.body)
	}
	if got := r.do("HEAD", "/api/v1/packages", ""); got.status != 200 {
		t.Errorf("HEAD: %d", got.status)
	}
	if got := r.do("PATCH", "/api/v1/packages", ""); got.status != 405 {
		t.Errorf("PATCH: %d", got.status)
	}
}

func TestLists(t *testing.T) {
	r := newRig(t).withShop()
	for i := range 500 {
		r.must(201, "POST", "/api/v1/packages", fmt.Sprintf(`{"name":"p%03d","metadata":{"tags":["all","n%d"]}}`, i, i%2))
	}
	for query, want := range map[string]int{
		"": 501, "?name_pattern=p00": 10, "?limit=7": 7, "?limit=0": 0, "?offset=500": 1, "?offset=9999": 0, "?tags=all": 500, "?tags=all,n1": 250,
		"?tags=n0&tags=n1": 0, "?tags=n0&limit=3&offset=249": 1, "?disabled=true": 500, "?disabled=false": 1, "?name_pattern=zzz": 0,
	} {
		if list := parse[[]opackage.Package](t, r.must(200, "GET", "/api/v1/packages"+query, "")); len(list) != want {
			t.Errorf("packages%s: %d, want %d", query, len(list), want)
		}
	}
	for query, want := range map[string]int{
		"": 1, "?package_name=shop": 1, "?package_name=x": 0, "?class_key=Cart": 1, "?class_key=x": 0, "?target_env=two": 1, "?target_env=x": 0, "?offset=1": 0,
	} {
		if list := parse[[]opackage.Deployment](t, r.must(200, "GET", "/api/v1/deployments"+query, "")); len(list) != want {
			t.Errorf("deployments%s: %d, want %d", query, len(list), want)
		}
	}
	for query, want := range map[string]int{
		"": 2, "?env=one": 1, "?cluster=two": 1, "?status=Available": 2, "?status=running": 2, "?status=Down": 0, "?class_key=Cart": 2,
		"?class_key=shop.Cart": 2, "?class_key=x": 0, "?package_name=x": 0, "?limit=1": 1, "?offset=1": 1,
	} {
		if list := parse[[]Runtime](t, r.must(200, "GET", "/api/v1/class-runtimes"+query, "")); len(list) != want {
			t.Errorf("class-runtimes%s: %d, want %d", query, len(list), want)
		}
	}
	for query, want := range map[string]int{"": 1, "?filter=shop": 1, "?filter=shop.Cart": 1, "?filter=other": 0} {
		if list := parse[[]opackage.Class](t, r.must(200, "GET", "/api/v1/classes"+query, "")); len(list) != want {
			t.Errorf("classes%s: %d, want %d", query, len(list), want)
		}
	}
	unit := r.first.ids()[0]
	for _, id := range []string{unit, unit + "?env=one", "d1", "d1?cluster=two"} {
		if got := parse[Runtime](t, r.must(200, "GET", "/api/v1/class-runtimes/"+id, "")); got.ClassKey != "shop.Cart" || got.ClusterName == nil {
			t.Errorf("runtime %s: %+v", id, got)
		}
	}
	if got := r.must(200, "GET", "/api/v1/deployment-status/"+unit, ""); !strings.Contains(got, `"status":"Running","phase":"RUNNING","message":"Available"`) {
		t.Errorf("status: %s", got)
	}
	if got := r.must(200, "GET", "/api/v1/envs", ""); !strings.HasPrefix(got, `[{"name":"one","health":{"cluster_name":"one","status":"Healthy","crm_version":null,"last_seen":`) {
		t.Errorf("envs: %s", got)
	}
	for _, path := range []string{"/health", "/one/health"} {
		if got := r.must(200, "GET", "/api/v1/envs"+path, ""); !strings.Contains(got, `{"cluster_name":"one","status":"Healthy",`) {
			t.Errorf("envs%s: %s", path, got)
		}
	}
	if got := r.must(200, "GET", "/api/v1/deployments/d1/cluster-mappings", ""); !strings.Contains(got, unit) {
		t.Errorf("mappings: %s", got)
	}
	topology := parse[Topology](t, r.must(200, "GET", "/api/v1/topology", ""))
	var edges []string
	for _, e := range topology.Edges {
		edges = append(edges, e.FromID+" "+e.ToID)
	}
	want := "package::shop class::shop.Cart, class::shop.Cart function::shop.Cart::add, class::shop.Cart env::one, class::shop.Cart env::two"
	if got := strings.Join(edges, ", "); got != want || len(topology.Nodes) != 505 {
		t.Errorf("topology: %d nodes, edges %s", len(topology.Nodes), got)
	}
}

func TestArtifacts(t *testing.T) {
	r := newRig(t)
	module := "\x00asm\x01\x00\x00\x00"
	sum := sha256.Sum256([]byte(module))
	id := hex.EncodeToString(sum[:])
	a := parse[Artifact](t, r.must(201, "POST", "/api/v1/artifacts?sha256="+strings.ToUpper(id), module))
	if a.ID != id || a.Size != 8 || a.URL != "/api/v1/artifacts/"+id {
		t.Errorf("artifact %+v", a)
	}
	r.must(200, "PUT", "/api/v1/artifacts/"+id, module)
	r.must(200, "POST", "/api/v1/artifacts", module)
	got := r.do("GET", "/api/v1/artifacts/"+id, "")
	if got.body != module || got.header.Get("Content-Type") != "application/wasm" || got.header.Get("Cache-Control") != "public, max-age=31536000, immutable" {
		t.Errorf("got %q %v", got.body, got.header)
	}
	user := `{"name":"w","functions":[{"key":"f","provision_config":{"wasm_module_url":"http://127.0.0.1/api/v1/artifacts/` + id + `"}}]}`
	r.must(201, "POST", "/api/v1/packages", user)
	if got := r.do("DELETE", "/api/v1/artifacts/"+id, ""); got.status != 409 || !strings.Contains(got.body, "used by function w.f") {
		t.Errorf("in use: %d %s", got.status, got.body)
	}
	r.must(204, "DELETE", "/api/v1/packages/w", "")
	r.must(204, "DELETE", "/api/v1/artifacts/"+id, "")
	r.must(404, "GET", "/api/v1/artifacts/"+id, "")
	r.must(201, "PUT", "/api/v1/artifacts/"+id, module)

	none := newRig(t, func(o *Options) { o.ArtifactDir = "" })
	if got := none.do("GET", "/api/v1/artifacts", ""); got.status != 503 || got.body != `{"error":"Artifact store not configured"}` {
		t.Errorf("without a folder: %d %s", got.status, got.body)
	}
}

func TestVersions(t *testing.T) {
	r := newRig(t, func(o *Options) { o.KeepVersions = 3 })
	r.must(201, "POST", "/api/v1/packages", shop)
	update := func(from, to string) string { return strings.Replace(shop, from, to, 1) }
	for range 2 { // the same again is no new version
		r.must(200, "POST", "/api/v1/packages/shop", update(`"version": "1.0.0"`, `"version": "1.1.0"`))
	}
	r.must(200, "POST", "/api/v1/packages/shop", update(`"K": "V"`, `"K": "W", "L": "1"`))
	var got []string
	for _, v := range parse[[]Version](t, r.must(200, "GET", "/api/v1/packages/shop/versions", "")) {
		got = append(got, fmt.Sprintf("%d %s %v", v.Revision, *v.Version, v.Current))
	}
	if want := "3 1.0.0 true, 2 1.1.0 false, 1 1.0.0 false"; strings.Join(got, ", ") != want {
		t.Errorf("versions %v, want %s", got, want)
	}
	for which, revision := range map[string]string{"1": "1", "1.1.0": "2", "1.0.0": "3", "latest": "3"} {
		if a := r.do("GET", "/api/v1/packages/shop/versions/"+which, ""); a.status != 200 || a.header.Get("Oaas-Package-Revision") != revision {
			t.Errorf("version %s: %d %v", which, a.status, a.header)
		}
	}
	diff := r.must(200, "GET", "/api/v1/packages/shop/diff?from=1.1.0", "")
	want := `{"package":"shop","from":2,"to":3,"changes":[{"op":"replace","path":"functions[add].config.K","from":"V","to":"W"},{"op":"add","path":"functions[add].config.L","from":null,"to":"1"},{"op":"replace","path":"version","from":"1.1.0","to":"1.0.0"}]}`
	if diff != want {
		t.Errorf("diff %s\nwant %s", diff, want)
	}
	r.must(200, "POST", "/api/v1/packages/shop", shop)
	if list := parse[[]Version](t, r.must(200, "GET", "/api/v1/packages/shop/versions", "")); len(list) != 3 || list[2].Revision != 2 {
		t.Errorf("kept are %+v", list)
	}
}

func parse[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return v
}
