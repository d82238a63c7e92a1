package runner

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hpcclab/oaas-go/api/fault"
)

// Spec says how one function runs. It is what a Knative Service says of its container and its scaling.
type Spec struct {
	Name     string            // K_SERVICE and K_CONFIGURATION
	Revision string            // K_REVISION; empty: Name-00001, Name-00002, ...
	Dir      string            // working directory; empty: that of oaas
	Command  []string          // program and arguments; a relative program with a slash is found from Dir, one without in PATH
	Env      map[string]string // further environment variables
	HTTP2    bool              // requests are sent over HTTP/2 without encryption (h2c), as gRPC wants; the port is also given as HTTP_PORT

	Concurrency int               // containerConcurrency: requests that an instance gets at a time; 0 = no limit
	MinScale    int               // as min-scale, which wins
	MaxScale    int               // as max-scale, which wins; 0 = no limit
	Scaling     map[string]string // autoscaling.knative.dev/* annotations

	StartTimeout time.Duration // from the start of the process until it listens; 0 = DefaultStartTimeout
}

// maxConcurrency is the limit that Knative sets for containerConcurrency (container-concurrency-max-limit).
const maxConcurrency = 1000

var namePattern = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$`)

// reservedEnv are the variables that the runner sets itself.
var reservedEnv = []string{"PORT", "K_SERVICE", "K_CONFIGURATION", "K_REVISION", markVariable, guardVariable}

// clone takes a copy that the caller cannot change.
func (s Spec) clone() Spec {
	s.Command = slices.Clone(s.Command)
	s.Env = maps.Clone(s.Env)
	s.Scaling = maps.Clone(s.Scaling)
	if s.StartTimeout == 0 {
		s.StartTimeout = DefaultStartTimeout
	}
	return s
}

// validate checks everything but the annotations, which newPolicy checks.
func (s Spec) validate() error {
	if !namePattern.MatchString(s.Name) {
		return fault.New(fault.InvalidArgument,
			"function name %q: want letters, digits, '-', '.' and '_', at most 253, with a letter or digit at both ends", s.Name)
	}
	bad := func(format string, args ...any) error {
		return fault.New(fault.InvalidArgument, "function "+s.Name+": "+format, args...)
	}
	if s.Revision != "" && !namePattern.MatchString(s.Revision) {
		return bad("revision %q: want letters, digits, '-', '.' and '_', at most 253, with a letter or digit at both ends", s.Revision)
	}
	if len(s.Command) == 0 || s.Command[0] == "" {
		return bad("command is empty: name the program to run")
	}
	if slices.ContainsFunc(s.Command, func(a string) bool { return strings.ContainsRune(a, 0) }) {
		return bad("command has a NUL character")
	}
	if s.Concurrency < 0 || s.Concurrency > maxConcurrency {
		return bad("concurrency %d: want 0 (no limit) to %d", s.Concurrency, maxConcurrency)
	}
	if s.StartTimeout < 0 {
		return bad("start timeout %v is negative", s.StartTimeout)
	}
	if s.Dir != "" {
		if info, err := os.Stat(s.Dir); err != nil {
			return fault.Wrap(fault.InvalidArgument, err, "function %s: folder %q", s.Name, s.Dir)
		} else if !info.IsDir() {
			return bad("folder %q is not a folder", s.Dir)
		}
	}
	return s.validateEnv()
}

func (s Spec) validateEnv() error {
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		switch {
		case name == "" || strings.ContainsAny(name, "=\x00"):
			return fault.New(fault.InvalidArgument, "function %s: environment variable %q: not a name", s.Name, name)
		case slices.Contains(reservedEnv, name):
			return fault.New(fault.InvalidArgument, "function %s: environment variable %s is set by the platform", s.Name, name)
		case strings.ContainsRune(s.Env[name], 0):
			return fault.New(fault.InvalidArgument, "function %s: environment variable %s has a NUL character", s.Name, name)
		}
	}
	return nil
}

// environ gives the environment of an instance.
func (s Spec) environ(host []string, revision string, port int, mark string) []string {
	env := slices.Clone(host)
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		env = append(env, name+"="+s.Env[name])
	}
	if s.HTTP2 {
		env = append(env, "HTTP_PORT="+strconv.Itoa(port)) // where the SDK of OaaS-RS looks
	}
	return append(env,
		"PORT="+strconv.Itoa(port),
		"K_SERVICE="+s.Name,
		"K_CONFIGURATION="+s.Name,
		"K_REVISION="+revision,
		markVariable+"="+mark)
}

// program gives what to execute: a relative path is one from the function's folder.
func (s Spec) program() string {
	p := s.Command[0]
	if s.Dir == "" || filepath.IsAbs(p) || filepath.Base(p) == p {
		return p
	}
	if abs, err := filepath.Abs(filepath.Join(s.Dir, p)); err == nil {
		return abs
	}
	return p
}
