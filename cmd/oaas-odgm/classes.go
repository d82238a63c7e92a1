package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/hpcclab/oaas-go/api/opackage"
	"github.com/hpcclab/oaas-go/dev"
	"github.com/hpcclab/oaas-go/odgm"
	"github.com/hpcclab/oaas-go/odgm/call"
	"github.com/hpcclab/oaas-go/odgm/condition"
	"github.com/hpcclab/oaas-go/odgm/container"
	"github.com/hpcclab/oaas-go/odgm/engine/backend"
)

// Collection is one of ODGM_COLLECTION: CreateCollectionRequest in the JSON of OaaS-RS, of which unknown fields are ignored.
type Collection struct {
	Name        string            `json:"name"`
	Partitions  int               `json:"partition_count"`
	Replicas    int               `json:"replica_count"`
	ShardType   string            `json:"shard_type"`
	Options     map[string]string `json:"options"`
	Invocations *struct {
		Routes   map[string]Route `json:"fn_routes"`
		Disabled []string         `json:"disabled_fn"`
	} `json:"invocations"`
	Assignments []Assignment `json:"shard_assignments"`
}

// Assignment says which nodes have the shards of a partition.
type Assignment struct {
	Primary  *uint64  `json:"primary"`
	Replicas []uint64 `json:"replica"`
}

// Route says where a method runs.
type Route struct {
	URL       string  `json:"url"`
	Stateless bool    `json:"stateless"`
	ModuleURL *string `json:"wasm_module_url"`
}

func parseCollections(text string) ([]Collection, error) {
	var list []Collection
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, fmt.Errorf("is no JSON array of collections: %w", err)
	}
	for _, c := range list {
		if c.Name == "" {
			return nil, fmt.Errorf("has a collection without a name")
		}
	}
	return list, nil
}

// classes gives what the configuration has to be served.
func (c *Config) classes() ([]odgm.Class, error) {
	containers := container.NewTransport()
	var all []odgm.Class
	for _, file := range c.Packages {
		list, err := packageClasses(file)
		if err != nil {
			return nil, fmt.Errorf("package %s: %w", file, err)
		}
		all = append(all, list...)
	}
	for i := range c.Collections {
		class, err := c.Collections[i].class(containers)
		if err != nil {
			return nil, fmt.Errorf("ODGM_COLLECTION: collection %s: %w", c.Collections[i].Name, err)
		}
		all = append(all, class)
	}
	for i := range all {
		all[i].Changes.Values = all[i].Changes.Values || c.Values
	}
	return all, nil
}

// packageClasses reads a package file. Its functions must run already.
func packageClasses(file string) ([]odgm.Class, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	p, err := opackage.ParseYAML(data, opackage.InFile(file))
	if err != nil {
		return nil, err
	}
	compiles := opackage.WithCondition(func(expression string) error {
		_, err := condition.Compile(expression)
		return err
	})
	if err := p.Validate(compiles); err != nil {
		return nil, err
	}
	transports := map[string]http.RoundTripper{}
	for i := range p.Functions {
		f := &p.Functions[i]
		if f.URL == "" {
			return nil, fmt.Errorf("function %s has no url: this process runs no functions, it calls them where they run", f.Key)
		}
		if transports[f.Key], err = dev.Remote(f); err != nil {
			return nil, fmt.Errorf("function %s: %w", f.Key, err)
		}
	}
	return dev.Translate(p, func(key string) (http.RoundTripper, string) {
		return transports[key], "http://" + p.Name + "-" + key + "/" // which the transport replaces
	})
}

// class gives the class of a collection: its functions are containers of OaaS-RS.
func (c *Collection) class(containers http.RoundTripper) (odgm.Class, error) {
	class := odgm.Class{
		Name: c.Name, Package: c.Name[:max(strings.LastIndexByte(c.Name, '.'), 0)], Partitions: c.Partitions, Engine: backend.Memory,
		Methods: map[string]call.Method{}, Disabled: map[string]bool{},
	}
	switch c.Options["storage_backend"] {
	case "", "memory", "skiplist":
	case "fjall", backend.Pebble:
		class.Engine = backend.Pebble
	case backend.Bbolt:
		class.Engine = backend.Bbolt
	default:
		return class, fmt.Errorf("option storage_backend %q: allowed are memory, fjall, pebble and bbolt", c.Options["storage_backend"])
	}
	switch c.ShardType {
	case "", "none", "basic", "single", "mst", "raft":
	default:
		return class, fmt.Errorf("shard_type %q: allowed are none, basic, mst and raft", c.ShardType)
	}
	class.Changes.Values = c.Options["ws_event_include_values"] == "true"
	if text, given := c.Options["zenoh_event_publish"]; given {
		on := text == "true"
		class.Publish.On = &on
	}
	class.Publish.Locality = c.Options["zenoh_event_locality"]
	if c.Invocations == nil {
		return class, nil
	}
	for name, route := range c.Invocations.Routes {
		if route.ModuleURL != nil || strings.HasPrefix(route.URL, "wasm:") {
			return class, fmt.Errorf("method %s: WebAssembly modules do not run in this process; use a package file with oaas dev", name)
		}
		class.Methods[name] = call.Method{
			Name: name, Function: name, Stateless: route.Stateless, Container: true, URL: route.URL, Transport: containers, Timeout: container.DefaultTimeout,
		}
	}
	for _, name := range c.Invocations.Disabled {
		class.Disabled[name] = true
	}
	return class, nil
}

// ignored names the fields that ask for more copies than the one that this process keeps, with their values; none if it does what is asked for.
func (c *Collection) ignored() []string {
	var fields []string
	if c.Replicas > 1 {
		fields = append(fields, fmt.Sprintf("replica_count=%d", c.Replicas))
	}
	if c.ShardType == "raft" || c.ShardType == "mst" {
		fields = append(fields, "shard_type="+c.ShardType)
	}
	var nodes []uint64
	for _, a := range c.Assignments {
		nodes = append(nodes, a.Replicas...)
		if a.Primary != nil {
			nodes = append(nodes, *a.Primary)
		}
	}
	slices.Sort(nodes)
	if nodes = slices.Compact(nodes); len(nodes) > 1 {
		fields = append(fields, fmt.Sprintf("shard_assignments to nodes %v", nodes))
	}
	return fields
}

// warn says which collections are served in another way than their fields ask for.
func (c *Config) warn(logger *slog.Logger) {
	for i := range c.Collections {
		if fields := c.Collections[i].ignored(); len(fields) > 0 {
			logger.Warn("ODGM_COLLECTION asks for copies that there are not: this process has every partition, as one copy, and does not replicate it",
				"collection", c.Collections[i].Name, "ignored", strings.Join(fields, ", "))
		}
	}
}

// dataDir gives the folder of durable classes.
func (c *Config) dataDir() string {
	if c.DataDir != "" {
		return c.DataDir
	}
	for i := range c.Collections {
		if path := c.Collections[i].Options["storage_path"]; path != "" {
			return path
		}
	}
	return ""
}
