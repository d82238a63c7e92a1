package function

import (
	"net/http"
	"slices"
	"testing"
	"time"
)

// The headers are written without the detours of http.Header: they must be what its methods would have made.
func TestSetHeaders(t *testing.T) {
	full := Meta{
		ID: "1", Traceparent: "00-1", Tracestate: "a=b", Chain: "a.b/0/x/m@1", Deadline: time.UnixMilli(1_700_000_000_000), Attempt: 2, Depth: 3,
	}
	for name, meta := range map[string]Meta{"full": full, "empty": {}} {
		h := http.Header{"Traceparent": {"old"}, "Accept": {"old", "older"}}
		SetHeaders(h, Binary, &Call{Class: "a.b", Partition: 4, Object: "x", Method: "m"}, &meta)
		again := http.Header{}
		for key, values := range h {
			if len(values) != 1 {
				t.Errorf("%s: %s has the values %q", name, key, values)
			}
			again.Set(key, values[0])
		}
		if len(again) != len(h) || h.Get(HeaderSource) != "/oaas/a.b/4/x" || h.Get("Content-Type") != BinaryCallType {
			t.Errorf("%s: %v", name, h)
		}
		if _, ok := h[HeaderID]; !ok || (name == "full") != (len(h) == mostHeaders) {
			t.Errorf("%s: %d headers: %v", name, len(h), h)
		}
		for key := range again {
			h.Add(key, "more")
		}
		for key, values := range h {
			if !slices.Equal(values, []string{again.Get(key), "more"}) {
				t.Errorf("%s: %s is %q after each header got one more", name, key, values)
			}
		}
	}
}
