package shard

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/odgm/record"
)

// Metrics counts what shards do; one is shared by all shards of a process. Those that begin with odgm_ have the names of OaaS-RS.
type Metrics struct {
	commits, commands prometheus.Counter
	seconds           prometheus.Histogram
	created, unsent   prometheus.Counter
	limited           prometheus.Counter
	sets, entries     Variants
	fired             map[oprc.EventType]prometheus.Counter
}

// Variants is a counter whose label tells ids or keys that are numbers, as those of the first generation of OaaS-RS, from those that are text.
type Variants struct {
	vec           *prometheus.CounterVec
	numeric, text prometheus.Counter
}

// NewVariants makes such a counter, to be registered.
func NewVariants(name, help, label string) Variants {
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
	return Variants{vec, vec.WithLabelValues("numeric"), vec.WithLabelValues("string")}
}

// Of gives the counter for a name.
func (v *Variants) Of(name string) prometheus.Counter {
	if _, numeric := oprc.Number(name, 64); numeric {
		return v.numeric
	}
	return v.text
}

// Describe gives the name.
func (v *Variants) Describe(ch chan<- *prometheus.Desc) { v.vec.Describe(ch) }

// Collect gives the values.
func (v *Variants) Collect(ch chan<- prometheus.Metric) { v.vec.Collect(ch) }

// NewMetrics registers the metrics of shards.
func NewMetrics(r prometheus.Registerer) (*Metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := &Metrics{
		commits:  counter("oaas_shard_commits_total", "Engine commits, each with one or more commands."),
		commands: counter("oaas_shard_commands_total", "Commands applied or refused."),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "oaas_shard_commit_seconds", Help: "Time of one engine commit, with its sync.", Buckets: prometheus.ExponentialBuckets(0.00005, 2, 16),
		}),
		sets:    NewVariants("odgm_object_set_total", "Writes of objects that were applied.", "variant"),
		created: counter("odgm_objects_created_total", "Objects that were made."),
		unsent:  counter("odgm_events_emit_failures_total", "Events that fired and became dead letters at once: a condition failed, or a chain of triggers was too long."),
		limited: counter("odgm_events_fanout_limited_total", "Always 0: all entries of a write are looked at for triggers, however many they are."),
		entries: NewVariants("odgm_entry_mutations_total", "Entries that were set or deleted.", "key_variant"),
		fired: map[oprc.EventType]prometheus.Counter{
			oprc.EventType_EVENT_TYPE_DATA_CREATE: counter("odgm_events_emitted_create_total", "Events fired by new entries."),
			oprc.EventType_EVENT_TYPE_DATA_UPDATE: counter("odgm_events_emitted_update_total", "Events fired by changed entries."),
			oprc.EventType_EVENT_TYPE_DATA_DELETE: counter("odgm_events_emitted_delete_total", "Events fired by deleted entries."),
		},
	}
	collectors := []prometheus.Collector{m.commits, m.commands, m.seconds, &m.sets, m.created, m.unsent, m.limited, &m.entries}
	for _, c := range m.fired {
		collectors = append(collectors, c)
	}
	for _, c := range collectors {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register shard metrics: %w", err)
		}
	}
	return m, nil
}

// committed counts a group that was committed.
func (m *Metrics) committed(group []*proposal, took time.Duration) {
	if m == nil {
		return
	}
	m.commits.Inc()
	m.commands.Add(float64(len(group)))
	m.seconds.Observe(took.Seconds())
	for _, p := range group {
		w := p.cmd.GetWrite()
		if w == nil || p.err != nil {
			continue
		}
		m.sets.Of(w.GetObject()).Inc()
		m.mutated(w, p.result.Deleted)
		if p.result.Created {
			m.created.Inc()
		}
	}
}

// emitted counts an event that was put into the outbox.
func (m *Metrics) emitted(ev *record.Event) {
	if m == nil {
		return
	}
	if c := m.fired[ev.GetKind()]; c != nil && ev.GetKey() != "" {
		c.Inc()
	}
}

// buried counts an event that was put straight into the dead-letter list.
func (m *Metrics) buried() {
	if m != nil {
		m.unsent.Inc()
	}
}

// mutated counts the entries that a write has changed. Of those that went with their object, only the number is known: they count as text.
func (m *Metrics) mutated(w *record.Write, deleted int) {
	for _, put := range w.GetPuts() {
		m.entries.Of(put.GetKey()).Inc()
	}
	if !w.GetDeleteObject() && deleted == len(w.GetDeletes()) {
		for _, key := range w.GetDeletes() {
			m.entries.Of(key).Inc()
		}
		return
	}
	m.entries.text.Add(float64(deleted))
}
