package dev

import (
	"context"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/broker/zenoh"
	"github.com/hpcclab/oaas-go/dev/control"
)

// zenohClient connects to the platform as a client on this machine does.
func zenohClient(t *testing.T, endpoint string) *zenoh.Session {
	t.Helper()
	config := zenoh.NewConfigDefault()
	config.Mode, config.Connect.Endpoints, config.Scouting.Multicast.Disabled = zenoh.Client, []string{endpoint}, true
	s, err := zenoh.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

// Where the router listens, by what the command line and the environment say.
func TestMeshConfig(t *testing.T) {
	for _, c := range []struct {
		address string
		env     map[string]string
		listen  []string
		wrong   string
	}{
		{"", nil, []string{"tcp/" + DefaultZenoh}, ""},
		{"", map[string]string{"OPRC_ZENOH_PORT": "0"}, []string{"tcp/127.0.0.1:0"}, ""},
		{"", map[string]string{"OPRC_ZENOH_PORT": "7447"}, []string{"tcp/127.0.0.1:7447"}, ""},
		{"127.0.0.1:1", map[string]string{"OPRC_ZENOH_PORT": "7447"}, []string{"tcp/127.0.0.1:1"}, ""},
		{"", map[string]string{"OPRC_ZENOH_CONFIG": `{listen: {endpoints: ["tls/a:1"]}}`}, []string{"tls/a:1"}, ""},
		{"", map[string]string{"OPRC_ZENOH_PORT": "many"}, nil, "OPRC_ZENOH_PORT"},
	} {
		config, listen, err := meshConfig(c.address, func(name string) (string, bool) { v, ok := c.env[name]; return v, ok })
		if c.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("%v: %v", c.env, err)
			}
			continue
		}
		if err != nil || !slices.Equal(listen, c.listen) || config.Scouting != nil || !config.AdminSpace {
			t.Errorf("%q, %v: %v, %v, scouting %v, admin %v", c.address, c.env, listen, err, config.Scouting, config.AdminSpace)
		}
	}
}

// A client on the router reads and writes objects and calls methods, and sees the router in its admin space. The address is in the status, and in the
// environment of containers.
func TestZenoh(t *testing.T) {
	r := open(t, t.TempDir())
	_, body := r.request("GET", control.StatusPath, "", nil)
	st := decode[control.Status](t, body)
	if !strings.HasPrefix(st.Zenoh, "tcp/127.0.0.1:") || st.ZenohNote != "" {
		t.Fatalf("status %+v", st)
	}
	s := zenohClient(t, st.Zenoh)
	ask := func(key string, m proto.Message) (answers []string) {
		o := &zenoh.GetOptions{Timeout: 10 * time.Second}
		if m != nil {
			o.Payload, _ = proto.MarshalOptions{}.MarshalAppend([]byte{}, m)
		}
		replies, err := s.Get(t.Context(), zenoh.MustKeyExpr(key), "", nil, o)
		if err != nil {
			t.Fatal(err)
		}
		for reply := range replies {
			answers = append(answers, reply.Sample().Payload().String())
		}
		return answers
	}
	if got := ask("@/**", nil); len(got) == 0 {
		t.Error("the admin space is empty")
	}
	const object = "oprc/old.tally/0/objects/7"
	if got := ask(object, nil); len(got) != 0 {
		t.Errorf("answers before anything is deployed: %q", got)
	}
	r.deploy(containerProject(t, ""))
	if got := ask(object+"/set", &oprc.ObjData{NumericEntries: map[uint32]*oprc.ValData{0: {Data: []byte("41")}}}); len(got) != 1 || got[0] != "" {
		t.Errorf("a write gives %q", got)
	}
	var m oprc.InvocationResponse
	if got := ask(object+"/invokes/add", &oprc.ObjectInvocationRequest{}); len(got) != 1 || proto.Unmarshal([]byte(got[0]), &m) != nil || string(m.GetPayload()) != "42" {
		t.Errorf("a call gives %q", got)
	}
	if got := r.entry("old.tally", "7", "0"); got != "42" {
		t.Errorf("over REST the entry is %q", got)
	}
	if !strings.Contains(r.past(), control.KindCall+" ") {
		t.Error("the call is not shown")
	}
	if got, err := r.call("old.tally", "", "env", "OPRC_ZENOH_PEERS"); err != nil || got != st.Zenoh {
		t.Errorf("containers connect to %q, %v", got, err)
	}
	if code, body := r.request("DELETE", control.ProjectsPath+"/old", "", nil); code >= 300 {
		t.Fatal(body)
	}
	if got := ask(object, nil); len(got) != 0 {
		t.Errorf("answers after the project is deleted: %q", got)
	}
}

// When the usual port is taken, the platform takes another one and says so; one that was asked for is an error.
func TestTakenPort(t *testing.T) {
	taken, err := net.Listen("tcp", DefaultZenoh)
	if err == nil {
		defer taken.Close()
	} // else another program of this machine has it
	ready, done := make(chan control.Status, 1), make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() {
		done <- Run(ctx, Config{Listen: "127.0.0.1:0", DataDir: t.TempDir(), OnReady: func(s control.Status) { ready <- s }})
	}()
	select {
	case st := <-ready:
		if st.Zenoh == "tcp/"+DefaultZenoh || !strings.Contains(st.ZenohNote, DefaultZenoh) {
			t.Errorf("status %+v", st)
		}
	case err := <-done:
		t.Fatal(err)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	err = Run(t.Context(), Config{Listen: "127.0.0.1:0", DataDir: t.TempDir(), Zenoh: DefaultZenoh})
	if err == nil || !strings.Contains(err.Error(), "start the Zenoh router") {
		t.Errorf("started with %v", err)
	}
}
