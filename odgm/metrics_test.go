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
	here := at("test.m", "o")
	for range 2 {
		if _, err := g.Write(t.Context(), here, object.Change{Puts: []object.Entry{{Key: "a"}, {Key: "b"}}}, WriteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := g.Delete(t.Context(), here, object.Expect{}, WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	entry(g, here, "a")
	want := map[string]float64{
		"odgm_object_set_total": 3, "odgm_objects_created_total": 1, "odgm_entry_mutations_total": 6, "odgm_get_total": 1,
		"odgm_events_emitted_create_total": 0, "odgm_events_emitted_update_total": 2, "odgm_events_emitted_delete_total": 0,
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if expected, found := want[f.GetName()]; found {
			delete(want, f.GetName())
			if got := f.GetMetric()[0].GetCounter().GetValue(); got != expected {
				t.Errorf("%s is %v, want %v", f.GetName(), got, expected)
			}
		}
	}
	if len(want) > 0 {
		t.Errorf("not there: %v", want)
	}
}
