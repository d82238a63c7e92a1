package odgm

import (
	"context"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/odgm/object"
	"github.com/hpcclab/oaas-go/odgm/record"
)

func TestMetricsOfOaaSRS(t *testing.T) {
	registry := prometheus.NewRegistry()
	g, err := Open(Config{Registerer: registry})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close(context.Background()) })
	deploy(t, g, Class{Name: "test.m", Triggers: []*record.ClassTrigger{{
		Name: "t", On: oprc.EventType_EVENT_TYPE_DATA_UPDATE, Target: &record.Target{Sink: "default"},
	}}})
	here, numbered := at("test.m", "o"), at("test.m", "42")
	for range 2 {
		if _, err := g.Write(t.Context(), here, object.Change{Puts: []object.Entry{{Key: "a"}, {Key: "b"}}}, WriteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := g.Write(t.Context(), numbered, object.Change{Puts: []object.Entry{{Key: "0"}}}, WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Delete(t.Context(), here, object.Expect{}, WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	entry(g, here, "a")
	entry(g, numbered, "0")
	entry(g, numbered, "1")
	want := map[string]float64{
		"odgm_object_set_total string": 3, "odgm_object_set_total numeric": 1, "odgm_objects_created_total": 2, "odgm_normalize_latency_ms": 7,
		"odgm_entry_mutations_total string": 6, "odgm_entry_mutations_total numeric": 1, "odgm_get_total string": 1, "odgm_get_total numeric": 2,
		"odgm_events_emitted_create_total": 0, "odgm_events_emitted_update_total": 2, "odgm_events_emitted_delete_total": 0,
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, label := range m.GetLabel() {
				name += " " + label.GetValue()
			}
			got := m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
			if expected, found := want[name]; found && got != expected {
				t.Errorf("%s is %v, want %v", name, got, expected)
			}
			delete(want, name)
		}
	}
	if len(want) > 0 {
		t.Errorf("not there: %v", want)
	}
}
