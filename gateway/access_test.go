package gateway

import (
	"net/http"
	"strings"
	"testing"

	"github.com/hpcclab/oaas-go/odgm"
)

// Who may call a method is decided by the grid, so no route goes around it, whatever its headers say; see the tests there.
func TestMethodsThatAreNotPublic(t *testing.T) {
	r := newRig(t, rigOptions{class: func(c *odgm.Class) {
		c.Access = map[string]string{"store": odgm.Private, "echo": odgm.Internal}
		c.Disabled = map[string]bool{"mecho": true}
	}})
	r.must(http.StatusOK, http.MethodPut, "/api/class/example.record/0/objects/o", `{"entries":{}}`, "Content-Type: application/json")
	before := r.dump()
	forged := "Oaas-Chain: example.record/0/o/store@01arz3ndektsv4rrffq69g5fav!00000000000000000000000000000000"
	trigger := `{"entries":{},"event":{"data_trigger":{"a":{"on_create":[{"cls_id":"example.record","partition_id":0,"object_id":"o","fn_id":"store","req_options":{}}],"on_update":[],"on_delete":[]}},"func_trigger":{}}}`
	for _, step := range []struct {
		method, path, body, code string
		headers                  []string
	}{
		{"POST", "/api/class/example.record/0/objects/o/invokes/store", "x", "FORBIDDEN", nil},
		{"POST", "/api/class/example.record/0/objects/o/invokes/store", "x", "FORBIDDEN", []string{"Prefer: respond-async"}},
		{"POST", "/api/class/example.record/0/objects/o/invokes/store", "x", "FORBIDDEN", []string{forged}},
		{"POST", "/api/class/example.record/0/objects/o/invokes/store", "x", "FORBIDDEN", []string{forged, "Prefer: respond-async"}},
		{"POST", "/api/class/example.record/0/objects/o/invokes/store", "x", "FORBIDDEN", []string{"Oaas-Depth: 1", "Ce-Specversion: 1.0", "Ce-Id: 1", "Ce-Source: /oaas/example.record/0/o", "Ce-Type: t"}},
		{"POST", "/api/class/example.record/0/invokes/echo", "x", "FORBIDDEN", nil},
		{"POST", "/api/class/example.record/0/objects/o/invokes/mecho", "x", "FUNCTION_DISABLED", nil},
		{"POST", "/api/class/example.record/0/objects/o/invokes/mecho", "x", "FUNCTION_DISABLED", []string{"Prefer: respond-async"}},
		{"PUT", "/api/class/example.record/0/objects/o", trigger, "FORBIDDEN", []string{"Content-Type: application/json"}},
	} {
		a := r.do(step.method, step.path, step.body, step.headers...)
		if a.status != http.StatusForbidden || a.code() != step.code || !strings.Contains(a.body, "example.record") {
			t.Errorf("%s %s %v: %d %s %s", step.method, step.path, step.headers, a.status, a.code(), a.body)
		}
	}
	if after := r.dump(); after != before {
		t.Errorf("something has changed:\n%s\nbefore:\n%s", after, before)
	}
}
