package dev

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/hpcclab/oaas-go/api/oprc"
)

// metricsOfOaaSRS are all that OaaS-RS's components emit, as Prometheus spells their names: underscores for dots, and counters end in _total.
var metricsOfOaaSRS = []string{
	"http_requests_total", "http_active_connections", "http_request_duration_seconds_count", "http_errors_total",
	"gateway_string_id_attempt_total", "gateway_string_id_rejected_total",
	"odgm_object_set_total", "odgm_get_total", "odgm_objects_created_total", "odgm_normalize_latency_ms_count", "odgm_entry_mutations_total",
	"odgm_events_emitted_create_total", "odgm_events_emitted_update_total", "odgm_events_emitted_delete_total",
	"odgm_events_fanout_limited_total", "odgm_events_queue_drops_total", "odgm_events_queue_len", "odgm_events_emit_failures_total",
}

// scrape gives the values of all series, added up by the name of the metric, and how many series there are.
func (r *rig) scrape() (values map[string]float64, series int) {
	r.t.Helper()
	_, text := r.request(http.MethodGet, "/metrics", "", nil)
	values = map[string]float64{}
	for line := range strings.Lines(text) {
		var value float64
		i := strings.LastIndexByte(line, ' ')
		if strings.HasPrefix(line, "#") || i < 0 {
			continue
		}
		if _, err := fmt.Sscan(line[i:], &value); err != nil {
			r.t.Fatalf("%s: %v", line, err)
		}
		name, _, _ := strings.Cut(line[:i], "{")
		values[name] += value
		series++
	}
	return values, series
}

// A scrape has every metric of OaaS-RS with a value that is true, and ids, keys and paths make no new series.
func TestMetrics(t *testing.T) {
	r := open(t, t.TempDir())
	r.mustPost("/packages", `{"name":"m","classes":[{"key":"c","triggers":[
		{"name":"lost","on":"entry.created","entry":"k0","target":{"method":"none","class":"c"}},
		{"name":"broken","on":"entry.deleted","entry":"k0","condition":"int(string(old)) > 0","target":{"sink":"default"}}],
		"function_bindings":[{"name":"none","function_key":"fn"}]}],"functions":[{"key":"fn","url":"http://127.0.0.1:1"}],
		"deployments":[{"key":"d","class_key":"c","odgm":{"invocations":{"disabled_fn":["none"]}}}]}`)
	r.mustPost("/deployments", `{"key":"d","package_name":"m","class_key":"c","odgm":{"invocations":{"disabled_fn":["none"]}}}`)
	use := func(round int) {
		for i := range 20 {
			path := fmt.Sprintf("/api/class/m.c/0/objects/o%d-%d", round, i)
			r.request(http.MethodPut, fmt.Sprintf("%s/entries/k%d", path, i*round), "v", nil)
			r.request(http.MethodGet, path, "", nil)
			r.request(http.MethodGet, fmt.Sprintf("%s/%d/%d", path, round, i), "", nil) // no route
			r.request(http.MethodGet, fmt.Sprintf("/api/class/m.c/0/objects/%%20%d-%d", round, i), "", nil)
			r.request(fmt.Sprintf("M%d-%d", round, i), path, "", nil)
			_, _ = oprc.NewDataServiceClient(r.dialGRPC()).Get(t.Context(), &oprc.SingleObjectRequest{ClsId: "m.c", ObjectId: new(fmt.Sprintf("g%d-%d", round, i))})
		}
		r.request(http.MethodPut, "/api/class/m.c/0/objects/o0-0/entries/k0", "v", nil)
		r.request(http.MethodDelete, "/api/class/m.c/0/objects/o0-0/entries/k0", "", nil)
	}
	use(0)
	r.eventually("the notice of the broken condition is delivered", func() bool {
		values, _ := r.scrape()
		return values["odgm_events_queue_len"] == 20 // those of the method that is switched off are tried again and again
	})
	values, before := r.scrape()
	for _, name := range metricsOfOaaSRS {
		if _, there := values[name]; !there {
			t.Errorf("%s is not there", name)
		}
	}
	for name, want := range map[string]float64{
		"odgm_objects_created_total": 20, "odgm_object_set_total": 22, "odgm_events_emitted_create_total": 20, "odgm_events_emitted_delete_total": 0,
		"odgm_events_queue_drops_total": 0, "odgm_events_emit_failures_total": 1, "odgm_events_fanout_limited_total": 0,
		"gateway_string_id_attempt_total": 62, "gateway_string_id_rejected_total": 20,
	} {
		if values[name] != want {
			t.Errorf("%s is %v, want %v", name, values[name], want)
		}
	}
	use(1)
	use(2)
	if _, after := r.scrape(); after > before {
		t.Errorf("%d series, then %d", before, after)
	}
}
