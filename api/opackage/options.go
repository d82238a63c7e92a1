package opackage

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The data-plane options of a class or deployment that this platform acts on.
const (
	OptionEngine       = "storage_backend"
	OptionMailboxLimit = "mailbox_limit"
	OptionResultTTL    = "result_ttl"

	OptionEventRetention = "event_retention"
	OptionEventRecords   = "event_retention_records"
	OptionEventBytes     = "event_retention_bytes"
	OptionEventOutcomes  = "event_outcomes"
	OptionEventValues    = "ws_event_include_values"
	OptionEventPublish   = "zenoh_event_publish"
	OptionEventLocality  = "zenoh_event_locality"
)

// Engine is the kind of store that a class's objects are kept in.
type Engine string

// The engines. Old files say fjall, which is read as Pebble.
const (
	Memory Engine = "memory"
	Bbolt  Engine = "bbolt"
	Pebble Engine = "pebble"
	fjall  Engine = "fjall"
)

const (
	maxMailbox = 1 << 20
	minTTL     = time.Second
	maxTTL     = 365 * 24 * time.Hour

	maxEventRecords = 100_000_000
	minEventBytes   = 64 << 10
	maxEventBytes   = 64 << 30
)

// optionChecks has every option that is known, with what its value has to be. The rows below the empty line are those of OaaS-RS.
var optionChecks = map[string]func(string) string{
	OptionEngine:       oneOf(string(Memory), string(Bbolt), string(Pebble), string(fjall)),
	OptionMailboxLimit: wholeNumber(1, maxMailbox),
	OptionResultTTL:    func(v string) string { return checkDuration(v, minTTL, maxTTL) },

	OptionEventRetention: retention,
	OptionEventRecords:   wholeNumber(1, maxEventRecords),
	OptionEventBytes:     wholeNumber(minEventBytes, maxEventBytes),
	OptionEventOutcomes:  boolean,

	"storage_path":           notEmpty,
	"batch_size":             wholeNumber(0, 1<<32-1),
	"timeout_ms":             wholeNumber(0, 1<<32-1),
	"enable_metrics":         boolean,
	"offload_max_pool_size":  wholeNumber(1, 1<<32-1),
	"pool_max_idle_lifetime": wholeNumber(0, 1<<32-1),
	"pool_max_lifetime":      wholeNumber(0, 1<<32-1),
	"invoke_only_primary":    boolean,
	"mst_sync_interval":      wholeNumber(1, 1<<32-1),
	"mst_sync_events":        boolean,
	"raft_net_leader_only":   boolean,
	"raft_init_leader_only":  boolean,
	OptionEventPublish:       boolean,
	OptionEventLocality:      locality,
	OptionEventValues:        boolean,
}

// KnownOptions lists the names of all options that a class or deployment may have, sorted.
func KnownOptions() []string { return slices.Sorted(maps.Keys(optionChecks)) }

// Settings are the options that this platform acts on, read. Zero values leave the choice to the component that uses them.
type Settings struct {
	Engine Engine
	// MailboxLimit is the number of calls that may wait for one object.
	MailboxLimit int
	// ResultTTL is how long the result of a call is kept.
	ResultTTL time.Duration
	Events    EventSettings
}

// EventSettings say which changes a class keeps for those who watch it.
type EventSettings struct {
	// Off is true when none are kept: event_retention is 0.
	Off bool
	// Retention, Records and Bytes bound what a partition keeps.
	Retention      time.Duration
	Records, Bytes uint64
	// Values puts the new values of entries into the changes, Outcomes makes the end of every method one.
	Values, Outcomes bool
	// Publish says whether changes are published on Zenoh, and Locality (session_local, any or remote) for whom; nil and empty where the class does
	// not say.
	Publish  *bool
	Locality string
}

// settings reads valid options; a value that is not valid counts as absent.
func settings(options map[string]string, persistent bool) Settings {
	s := Settings{Engine: Engine(options[OptionEngine])}
	switch s.Engine {
	case fjall:
		s.Engine = Pebble
	case Memory, Bbolt, Pebble:
	default:
		s.Engine = Memory
		if persistent {
			s.Engine = Pebble
		}
	}
	if n, err := strconv.Atoi(options[OptionMailboxLimit]); err == nil && n > 0 {
		s.MailboxLimit = n
	}
	if ttl, err := time.ParseDuration(options[OptionResultTTL]); err == nil && ttl > 0 {
		s.ResultTTL = ttl
	}
	s.Events = eventSettings(options)
	return s
}

func eventSettings(options map[string]string) EventSettings {
	var e EventSettings
	if age, err := time.ParseDuration(options[OptionEventRetention]); err == nil {
		e.Off, e.Retention = age == 0, max(age, 0)
	}
	for name, into := range map[string]*uint64{OptionEventRecords: &e.Records, OptionEventBytes: &e.Bytes} {
		if n, err := strconv.ParseUint(options[name], 10, 64); err == nil {
			*into = n
		}
	}
	for name, into := range map[string]*bool{OptionEventValues: &e.Values, OptionEventOutcomes: &e.Outcomes} {
		*into = strings.EqualFold(options[name], "true")
	}
	if on, err := strconv.ParseBool(strings.ToLower(options[OptionEventPublish])); err == nil {
		e.Publish = &on
	}
	e.Locality = localityWord(options[OptionEventLocality])
	return e
}

// retention takes a duration, or 0 for none.
func retention(value string) string {
	if value == "0" {
		return ""
	}
	return checkDuration(value, minTTL, maxTTL)
}

func oneOf(words ...string) func(string) string {
	return func(value string) string {
		if slices.Contains(words, value) {
			return ""
		}
		return quote(value) + " is not one of " + strings.Join(words, ", ")
	}
}

func wholeNumber(atLeast, atMost uint64) func(string) string {
	return func(value string) string {
		if n, err := strconv.ParseUint(value, 10, 64); err == nil && n >= atLeast && n <= atMost {
			return ""
		}
		return quote(value) + " is not a whole number from " + strconv.FormatUint(atLeast, 10) + " to " + strconv.FormatUint(atMost, 10)
	}
}

func boolean(value string) string { return oneOf("true", "false")(strings.ToLower(value)) }

func notEmpty(value string) string {
	if value == "" {
		return "must not be empty"
	}
	return ""
}

// localities are those that events may have.
var localities = []string{"session_local", "any", "remote"}

// locality takes the spellings of Zenoh's own enumeration (SessionLocal) beside those of the configuration (session_local).
func locality(value string) string {
	if localityWord(value) != "" {
		return ""
	}
	return oneOf(localities...)(value)
}

// localityWord gives the usual spelling, or "" for what is none.
func localityWord(value string) string {
	for _, word := range localities {
		if plainWord(value) == plainWord(word) {
			return word
		}
	}
	return ""
}
