package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hpcclab/oaas-go/internal/process"
)

const collection = `[{"name":"example.record","partition_count":2,"replica_count":1,"shard_type":"basic","options":{"storage_backend":"fjall",` +
	`"storage_path":"/data/here","zenoh_event_publish":"true"},"invocations":{"fn_routes":{"echo":{"url":"http://fn:8080","stateless":true,"standby":false}},` +
	`"disabled_fn":["old"]},"shard_assignments":[{"primary":1,"replica":[1],"shard_ids":[1]}]}]`

func TestExitCodes(t *testing.T) {
	noURL := filepath.Join(t.TempDir(), "oaas-package.yaml")
	text := "name: a\nversion: \"1.0\"\nclasses:\n  - key: b\n    function_bindings: [{name: f, function_key: main}]\nfunctions:\n  - {key: main, runtime: go}\n"
	if err := os.WriteFile(noURL, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	interrupted, stop := context.WithCancel(t.Context())
	stop()
	for _, c := range []struct {
		name      string
		ctx       context.Context
		args      []string
		env       map[string]string
		code      int
		out, said string
	}{
		{"help", t.Context(), []string{"--help"}, nil, process.OK, "", "ODGM_DATA_DIR"},
		{"print", t.Context(), []string{"--print-config", "-e", "tcp/a:1"}, map[string]string{"ODGM_HTTP_PORT": "99"}, process.OK, `"listen": ":99"`, ""},
		{"flag before variable", t.Context(), []string{"--print-config", "--listen", ":98"}, map[string]string{"ODGM_HTTP_PORT": "99"}, process.OK, `"listen": "--listen"`, ""},
		{"unknown flag", t.Context(), []string{"--nonsense"}, nil, process.BadUsage, "", "nonsense"},
		{"argument", t.Context(), []string{"start"}, nil, process.BadUsage, "", `"start"`},
		{"bad port", t.Context(), nil, map[string]string{"ODGM_HTTP_PORT": "x"}, process.BadUsage, "", `ODGM_HTTP_PORT="x"`},
		{"bad collection", t.Context(), nil, map[string]string{"ODGM_COLLECTION": "{"}, process.BadUsage, "", "ODGM_COLLECTION"},
		{"bad endpoint", t.Context(), []string{"-e", "tcp"}, nil, process.BadUsage, "", "connect/endpoints"},
		{"bad locality", t.Context(), nil, map[string]string{"ODGM_ZENOH_EVENT_LOCALITY": "far"}, process.BadUsage, "", "far"},
		{"no package", t.Context(), []string{"--package", "none.yaml"}, nil, process.BadUsage, "", "none.yaml"},
		{"function without url", t.Context(), []string{"--package", noURL}, nil, process.BadUsage, "", "has no url"},
		{"interrupted", interrupted, nil, nil, process.Interrupted, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out, errOut bytes.Buffer
			env := &process.Environment{Args: c.args, Out: &out, Err: &errOut, Lookup: func(name string) (string, bool) { v, ok := c.env[name]; return v, ok }}
			if code := process.Code("oaas-odgm", env, run(c.ctx, env)); code != c.code {
				t.Errorf("exit code %d, want %d: %s", code, c.code, errOut.String())
			}
			if !strings.Contains(out.String(), c.out) || !strings.Contains(errOut.String(), c.said) {
				t.Errorf("out %s, said %s", out.String(), errOut.String())
			}
		})
	}
}

func TestCollections(t *testing.T) {
	list, err := parseCollections(collection)
	if err != nil {
		t.Fatal(err)
	}
	c := &Config{Collections: list, Values: true}
	classes, err := c.classes()
	if err != nil || len(classes) != 1 {
		t.Fatal(classes, err)
	}
	got := classes[0]
	echo := got.Methods["echo"]
	if got.Name != "example.record" || got.Package != "example" || got.Partitions != 2 || got.Engine != "pebble" || !got.Disabled["old"] ||
		!got.Changes.Values || got.Publish.On == nil || !*got.Publish.On || !echo.Container || !echo.Stateless || echo.URL != "http://fn:8080" {
		t.Errorf("got %+v", got)
	}
	if c.dataDir() != "/data/here" {
		t.Errorf("data folder %q", c.dataDir())
	}
	for _, bad := range []string{`[{"name":"a.b","options":{"storage_backend":"tape"}}]`, `[{"name":"a.b","shard_type":"ring"}]`,
		`[{"name":"a.b","invocations":{"fn_routes":{"f":{"url":"wasm://f"}}}}]`} {
		list, err := parseCollections(bad)
		if err == nil {
			_, err = (&Config{Collections: list}).classes()
		}
		if err == nil || !strings.Contains(err.Error(), "a.b") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// A collection that asks for copies is served, and one line says that there are none; one that does not is served without a word.
func TestCopiesAreWarnedOf(t *testing.T) {
	stopped, stop := context.WithCancel(t.Context())
	stop()
	for _, c := range []struct{ fields, said string }{
		{`"replica_count":3`, "replica_count=3"},
		{`"shard_type":"raft"`, "shard_type=raft"},
		{`"shard_type":"mst","replica_count":2`, "replica_count=2, shard_type=mst"},
		{`"shard_assignments":[{"primary":1,"replica":[1],"shard_ids":[1]},{"primary":2,"replica":[2,1],"shard_ids":[2]}]`, "shard_assignments to nodes [1 2]"},
		{`"replica_count":1,"shard_type":"basic","shard_assignments":[{"primary":1,"replica":[1],"shard_ids":[1]},{"primary":null,"replica":[]}]`, ""},
	} {
		vars := map[string]string{"ODGM_COLLECTION": `[{"name":"a.b",` + c.fields + `},{"name":"plain"}]`}
		var log bytes.Buffer
		env := &process.Environment{Out: &bytes.Buffer{}, Err: &log, Lookup: func(name string) (string, bool) { v, ok := vars[name]; return v, ok }}
		if err := run(stopped, env); !errors.Is(err, process.ErrInterrupted) {
			t.Errorf("%s: %v", c.fields, err)
		}
		lines := strings.Count(log.String(), "as one copy")
		if c.said == "" && lines != 0 || c.said != "" && (lines != 1 || !strings.Contains(log.String(), c.said) || !strings.Contains(log.String(), "a.b")) {
			t.Errorf("%s: want %q once, said\n%s", c.fields, c.said, log.String())
		}
	}
}
