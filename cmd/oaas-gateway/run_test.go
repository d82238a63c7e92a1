package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/hpcclab/oaas-go/internal/process"
)

func TestExitCodes(t *testing.T) {
	interrupted, stop := context.WithCancel(t.Context())
	stop()
	for _, c := range []struct {
		name      string
		ctx       context.Context
		args      []string
		env       map[string]string
		code      int
		out, said string
	}{
		{"help", t.Context(), []string{"--help"}, nil, process.OK, "", "HTTP_PORT"},
		{"print", t.Context(), []string{"--print-config"}, map[string]string{"OPRC_GW_HTTP_PORT": "99"}, process.OK, `"listen": ":99"`, ""},
		{"unknown flag", t.Context(), []string{"--nonsense"}, nil, process.BadUsage, "", "nonsense"},
		{"argument", t.Context(), []string{"start"}, nil, process.BadUsage, "", `"start"`},
		{"bad variable", t.Context(), nil, map[string]string{"MAX_IN_FLIGHT": "-1"}, process.BadUsage, "", "in flight"},
		{"bad mode", t.Context(), []string{"--mode", "router9"}, nil, process.BadUsage, "", "mode"},
		{"bad address", t.Context(), []string{"--listen", "8080"}, nil, process.BadUsage, "", "8080"},
		{"interrupted", interrupted, nil, nil, process.Interrupted, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out, errOut bytes.Buffer
			env := &process.Environment{Args: c.args, Out: &out, Err: &errOut, Lookup: func(name string) (string, bool) { v, ok := c.env[name]; return v, ok }}
			if code := process.Code("oaas-gateway", env, run(c.ctx, env)); code != c.code {
				t.Errorf("exit code %d, want %d: %s", code, c.code, errOut.String())
			}
			if !strings.Contains(out.String(), c.out) || !strings.Contains(errOut.String(), c.said) {
				t.Errorf("out %s, said %s", out.String(), errOut.String())
			}
		})
	}
}
