package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/hpcclab/oaas-go/broker/zenohenv"
	"github.com/hpcclab/oaas-go/internal/process"
	"github.com/hpcclab/oaas-go/odgm/endpoint"
)

// Config says what an ODGM process serves. Zenoh has variables of its own.
type Config struct {
	// Listen is the address for gRPC, health and metrics.
	Listen string `json:"listen"`
	// DataDir holds the data of durable classes; empty is that of the first collection with storage_path.
	DataDir string `json:"data_dir,omitempty"`
	// Packages are package files, whose functions have URLs.
	Packages    []string     `json:"packages,omitempty"`
	Collections []Collection `json:"collections,omitempty"`
	// ChainSecret is what processes share that trust each other's call chains.
	ChainSecret string `json:"-"`
	// Publish and Locality say whether changes are published on Zenoh, and for whom, where a class does not say; Values adds new values to changes.
	Publish  bool   `json:"publish_events"`
	Locality string `json:"event_locality"`
	Values   bool   `json:"event_values"`
	// MaxInFlight bounds the calls and writes that come over Zenoh from gateways.
	MaxInFlight  int           `json:"max_in_flight"`
	DrainTimeout time.Duration `json:"drain_timeout"`

	zenoh       *zenohenv.Loaded
	origins     map[string]string
	printConfig bool
	idle        []string // variables of OaaS-RS that mean nothing here
}

// field is one that a variable and a flag set; the flag goes before the variable.
type field struct {
	flag, variable, help string
	set                  func(c *Config, text string) error
}

var fields = []field{
	{"listen", "", "address for gRPC, health and metrics; the variable has the port alone (ODGM_HTTP_PORT)", func(c *Config, s string) error {
		c.Listen = s
		return nil
	}},
	{"data-dir", "ODGM_DATA_DIR", "folder for durable classes", text(func(c *Config) *string { return &c.DataDir })},
	{"package", "ODGM_PACKAGES", "package files to serve, with commas between", func(c *Config, s string) error {
		c.Packages = strings.FieldsFunc(s, func(r rune) bool { return r == ',' })
		return nil
	}},
	{"", "ODGM_HTTP_PORT", "", func(c *Config, s string) error {
		port, err := strconv.ParseUint(s, 10, 16)
		c.Listen = ":" + strconv.FormatUint(port, 10)
		return notA("port", err)
	}},
	{"", "ODGM_COLLECTION", "", func(c *Config, s string) (err error) {
		c.Collections, err = parseCollections(s)
		return err
	}},
	{"", "ODGM_CHAIN_SECRET", "", text(func(c *Config) *string { return &c.ChainSecret })},
	{"", "ODGM_EVENT_INCLUDE_VALUES", "", truth(func(c *Config) *bool { return &c.Values })},
	{"max-in-flight", "ODGM_MAX_IN_FLIGHT", "calls and writes from gateways at a time", func(c *Config, s string) (err error) {
		c.MaxInFlight, err = strconv.Atoi(s)
		return notA("number", err)
	}},
	{"drain-timeout", "ODGM_DRAIN_TIMEOUT", "time for what runs when the process stops, such as 30s", func(c *Config, s string) (err error) {
		c.DrainTimeout, err = time.ParseDuration(s)
		return notA("duration such as 30s", err)
	}},
}

// idle are variables of OaaS-RS for which there is nothing to set here.
var idle = strings.Fields("ODGM_NODE_ID ODGM_MEMBERS ODGM_NODE_ADDR ODGM_MAX_SESSIONS ODGM_EVENTS_ENABLED ODGM_MAX_TRIGGER_DEPTH ODGM_TRIGGER_TIMEOUT_MS " +
	"ODGM_MAX_STRING_ID_LEN ODGM_ENABLE_STRING_ENTRY_KEYS ODGM_ENABLE_GRANULAR_STORAGE ODGM_GRANULAR_PREFETCH_LIMIT ODGM_CAPS_QUERYABLE_ENABLED " +
	"ODGM_EVENT_PIPELINE_ENABLED ODGM_EVENT_PIPELINE_BRIDGE ODGM_EVENT_QUEUE_BOUND ODGM_EVENT_BCAST_BOUND ODGM_MAX_BATCH_TRIGGER_FANOUT " +
	"ODGM_EVENT_SUMMARY_KEY_SAMPLE ODGM_MST_SYNC_EVENTS")

func text(to func(*Config) *string) func(*Config, string) error {
	return func(c *Config, s string) error {
		*to(c) = s
		return nil
	}
}

func truth(to func(*Config) *bool) func(*Config, string) error {
	return func(c *Config, s string) (err error) {
		*to(c), err = strconv.ParseBool(s)
		return notA("truth value: true or false", err)
	}
}

func notA(what string, err error) error {
	if err != nil {
		return fmt.Errorf("is no %s", what)
	}
	return nil
}

// configure lays environment and flags over the defaults.
func configure(env *process.Environment) (*Config, error) {
	c := &Config{Listen: ":8080", MaxInFlight: 4096, DrainTimeout: 30 * time.Second, origins: map[string]string{}}
	var zenoh process.ZenohFlags
	flags := pflag.NewFlagSet("oaas-odgm", pflag.ContinueOnError)
	flags.SetOutput(env.Err)
	flags.SortFlags = false
	given := map[string]*string{}
	for _, f := range fields {
		if f.flag != "" {
			help := f.help
			if f.variable != "" {
				help += " (" + f.variable + ")"
			}
			given[f.flag] = flags.String(f.flag, "", help)
		}
	}
	zenoh.Add(flags)
	flags.BoolVar(&c.printConfig, "print-config", false, "print the configuration and where it comes from, and end")
	flags.Usage = func() { usage(env.Err, flags) }
	if err := flags.Parse(env.Args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unknown argument %q: there are only flags, see --help", flags.Arg(0))
	}
	var errs []error
	for _, f := range fields {
		if value := env.Get(f.variable); f.variable != "" && value != "" {
			errs = append(errs, c.apply(f, f.variable, value))
		}
	}
	for _, f := range fields {
		if f.flag != "" && flags.Changed(f.flag) {
			errs = append(errs, c.apply(f, "--"+f.flag, *given[f.flag]))
		}
	}
	for _, name := range idle {
		if env.Get(name) != "" {
			c.idle = append(c.idle, name)
		}
	}
	events, err := endpoint.FromEnv(env.Lookup)
	c.Publish, c.Locality = events.Publish, events.Locality
	for _, name := range []string{endpoint.EnvPublish, endpoint.EnvLocality} {
		if env.Get(name) != "" {
			c.origins[name] = name
		}
	}
	errs = append(errs, err)
	c.zenoh, err = zenoh.Load(flags, env.Lookup)
	return c, errors.Join(append(errs, err, c.Validate())...)
}

func usage(out io.Writer, flags *pflag.FlagSet) {
	fmt.Fprintf(out, "oaas-odgm is an object data grid. It reads the variables ODGM_* and OPRC_ZENOH_*, then flags.\n\n%s", flags.FlagUsages())
}

// apply sets a field, and notes from where.
func (c *Config) apply(f field, origin, value string) error {
	if err := f.set(c, value); err != nil {
		return fmt.Errorf("%s=%.100q %w", origin, value, err)
	}
	c.origins[cmp.Or(f.flag, f.variable)] = origin
	return nil
}

// Validate checks every field; its error names all that are wrong.
func (c *Config) Validate() error {
	var errs []error
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		errs = append(errs, fmt.Errorf("listen %q: want host:port, such as 127.0.0.1:8080", c.Listen))
	}
	if c.MaxInFlight < 1 {
		errs = append(errs, fmt.Errorf("max in flight %d: must be at least 1", c.MaxInFlight))
	}
	if c.DrainTimeout <= 0 {
		errs = append(errs, fmt.Errorf("drain timeout %s: must be positive", c.DrainTimeout))
	}
	return errors.Join(errs...)
}

// Text gives the configuration as JSON, with the origin of what is no default, and that of Zenoh after it.
func (c *Config) Text() string {
	b, err := json.MarshalIndent(map[string]any{"odgm": c, "origins": c.origins, "chain_secret": c.ChainSecret != ""}, "", "  ")
	if err != nil {
		return err.Error()
	}
	return string(b) + "\n" + c.zenoh.Text()
}
