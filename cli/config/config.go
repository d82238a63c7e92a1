// Package config is the configuration file of the command line: named contexts, each with the addresses of one platform. It is the file of
// OaaS-RS's command line, with `url` added.
//
// Guarantee: a file that does not parse is never written to; the error names line and column. A change is there as a whole or not at all, also
// when the process is killed, and changes of several processes at once are all kept.
package config

import (
	"path/filepath"
	"slices"

	"go.yaml.in/yaml/v3"
)

// Config is the content of the file.
type Config struct {
	Contexts map[string]Context `yaml:"contexts" json:"contexts"`
	Current  string             `yaml:"current_context" json:"current_context"`
}

// Context is one platform. Fields that are empty are not set.
type Context struct {
	// URL serves everything, and is used instead of PM and Gateway.
	URL     string `yaml:"url,omitempty" json:"url,omitempty"`
	PM      string `yaml:"pm_url,omitempty" json:"pm_url"`
	Gateway string `yaml:"gateway_url,omitempty" json:"gateway_url"`
	Class   string `yaml:"default_class,omitempty" json:"default_class"`
	// Zenoh has one endpoint or several, separated by commas.
	Zenoh   string `yaml:"zenoh_peer,omitempty" json:"zenoh_peer"`
	UseGRPC *bool  `yaml:"use_grpc,omitempty" json:"use_grpc"`
}

// Reference is what OaaS-RS's command line takes when there is no file. Only the Zenoh endpoint differs: it writes it as a URL, which Zenoh refuses.
func Reference() *Config {
	return &Config{Current: "default", Contexts: map[string]Context{"default": {
		PM: "http://localhost:30180", Gateway: "http://localhost:30280", Class: "example.record", Zenoh: "tcp/localhost:31747",
	}}}
}

// Path gives the place of the file: that of OPRC_CONFIG_PATH, or ~/.oprc/config.yml; "" if there is no home.
func Path(env func(string) (string, bool)) string {
	if path, _ := env("OPRC_CONFIG_PATH"); path != "" {
		return path
	}
	home, _ := env("HOME")
	if home == "" {
		home, _ = env("USERPROFILE")
	}
	if home == "" {
		return ""
	}
	return filepath.Join(home, ".oprc", "config.yml")
}

// spellings are the keys that are read, and the ones that they mean: those of the code of OaaS-RS, and those of its documents.
var spellings = map[string]string{
	"contexts": "contexts", "current_context": "current_context", "currentContext": "current_context",
	"url": "url", "pm_url": "pm_url", "pmUrl": "pm_url", "gateway_url": "gateway_url", "gatewayUrl": "gateway_url",
	"default_class": "default_class", "defaultClass": "default_class", "zenoh_peer": "zenoh_peer", "zenohPeer": "zenoh_peer",
	"use_grpc": "use_grpc", "useGrpc": "use_grpc",
}

var (
	topKeys     = []string{"contexts", "current_context"}
	contextKeys = []string{"url", "pm_url", "gateway_url", "default_class", "zenoh_peer", "use_grpc"}
)

// Parse reads the text of a file; name is that of the file, for errors, which are of type [*Problem].
func Parse(name string, text []byte) (*Config, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, syntaxProblem(name, text, err)
	}
	c := &Config{Contexts: map[string]Context{}}
	if len(doc.Content) == 0 {
		return c, nil
	}
	r := reader{name}
	fields, err := r.fields(doc.Content[0], topKeys)
	if err != nil {
		return nil, err
	}
	if n := fields["current_context"]; n != nil {
		if c.Current, err = r.text(n); err != nil {
			return nil, err
		}
	}
	if n := fields["contexts"]; n != nil && n.Tag != "!!null" {
		if err := r.contexts(n, c.Contexts); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// reader checks nodes of one file.
type reader struct{ name string }

// contexts reads the contexts by name.
func (r reader) contexts(n *yaml.Node, into map[string]Context) error {
	if n.Kind != yaml.MappingNode {
		return r.problem(n, "contexts must be a mapping of names to contexts")
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name := n.Content[i].Value
		if _, twice := into[name]; twice {
			return r.problem(n.Content[i], "the context %q is there twice", name)
		}
		one, err := r.context(n.Content[i+1])
		if err != nil {
			return err
		}
		into[name] = one
	}
	return nil
}

func (r reader) context(n *yaml.Node) (c Context, err error) {
	fields, err := r.fields(n, contextKeys)
	if err != nil {
		return c, err
	}
	for key, into := range map[string]*string{
		"url": &c.URL, "pm_url": &c.PM, "gateway_url": &c.Gateway, "default_class": &c.Class, "zenoh_peer": &c.Zenoh,
	} {
		if value := fields[key]; value != nil {
			if *into, err = r.text(value); err != nil {
				return c, err
			}
		}
	}
	if value := fields["use_grpc"]; value != nil && value.Tag != "!!null" {
		var use bool
		if value.Decode(&use) != nil {
			return c, r.problem(value, "use_grpc must be true or false, is %q", value.Value)
		}
		c.UseGRPC = &use
	}
	return c, nil
}

// fields gives the values of a mapping by the keys that its keys mean.
func (r reader) fields(n *yaml.Node, allowed []string) (map[string]*yaml.Node, error) {
	if n.Kind != yaml.MappingNode {
		if n.Tag == "!!null" {
			return nil, nil
		}
		return nil, r.problem(n, "must be a mapping with the keys %s", list(allowed))
	}
	fields := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		means := spellings[key.Value]
		switch {
		case !slices.Contains(allowed, means):
			return nil, r.problem(key, "%q is no key here; allowed are %s", key.Value, list(allowed))
		case fields[means] != nil:
			return nil, r.problem(key, "%s is there twice", means)
		}
		fields[means] = n.Content[i+1]
	}
	return fields, nil
}

func (r reader) text(n *yaml.Node) (string, error) {
	switch {
	case n.Kind != yaml.ScalarNode:
		return "", r.problem(n, "must be text")
	case n.Tag == "!!null":
		return "", nil
	}
	return n.Value, nil
}
