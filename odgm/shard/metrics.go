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
	commits, commands      prometheus.Counter
	seconds                prometheus.Histogram
	sets, created, entries prometheus.Counter
	fired                  map[oprc.EventType]prometheus.Counter
}

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
		sets:    counter("odgm_object_set_total", "Writes of objects that were applied."),
		created: counter("odgm_objects_created_total", "Objects that were made."),
		entries: counter("odgm_entry_mutations_total", "Entries that were set or deleted."),
		fired: map[oprc.EventType]prometheus.Counter{
			oprc.EventType_EVENT_TYPE_DATA_CREATE: counter("odgm_events_emitted_create_total", "Events fired by new entries."),
			oprc.EventType_EVENT_TYPE_DATA_UPDATE: counter("odgm_events_emitted_update_total", "Events fired by changed entries."),
			oprc.EventType_EVENT_TYPE_DATA_DELETE: counter("odgm_events_emitted_delete_total", "Events fired by deleted entries."),
		},
	}
	collectors := []prometheus.Collector{m.commits, m.commands, m.seconds, m.sets, m.created, m.entries}
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
		m.sets.Inc()
		m.entries.Add(float64(len(w.GetPuts()) + p.result.Deleted))
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
