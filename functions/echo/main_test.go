package main

import (
	"net/http/httptest"
	"strings"
	"testing"
)

func TestEcho(t *testing.T) {
	for _, c := range []struct{ contentType, body string }{{"application/json", `{"a":1}`}, {"text/plain", ""}, {"application/octet-stream", "\xff\x00"}} {
		request := httptest.NewRequest("POST", "/", strings.NewReader(c.body))
		request.Header.Set("Content-Type", c.contentType)
		answer := httptest.NewRecorder()
		echo(answer, request)
		if answer.Code != 200 || answer.Body.String() != c.body || answer.Header().Get("Content-Type") != c.contentType {
			t.Errorf("%q: %d %v %q", c.body, answer.Code, answer.Header(), answer.Body)
		}
	}
}
