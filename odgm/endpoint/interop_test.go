package endpoint

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/odgm"
)

// client is a process with the native implementation of Zenoh.
type client struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Reader
}

// native is an answer that it got.
type native struct {
	Key   string
	Error *string
	bytes []byte
}

func (c *client) do(what, key string, m proto.Message) []native {
	c.t.Helper()
	ask := map[string]any{"do": what, "key": key, "payload": nil}
	if m != nil {
		b, err := proto.MarshalOptions{}.MarshalAppend([]byte{}, m)
		if err != nil {
			c.t.Fatal(err)
		}
		ask["payload"] = b
	}
	line, err := json.Marshal(ask)
	if err == nil {
		_, err = c.in.Write(append(line, '\n'))
	}
	if err != nil {
		c.t.Fatal(err)
	}
	text, err := c.out.ReadBytes('\n')
	if err != nil {
		c.t.Fatal(err)
	}
	var raw []struct {
		Key     string
		Error   *string
		Payload []byte
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		c.t.Fatalf("%v: %s", err, text)
	}
	answers := make([]native, len(raw))
	for i, a := range raw {
		answers[i] = native{Key: a.Key, Error: a.Error, bytes: a.Payload}
	}
	return answers
}

// TestInteropClient has the native implementation do all that clients of OaaS-RS do, errors and large objects included.
func TestInteropClient(t *testing.T) {
	python := os.Getenv("OAAS_INTEROP_PYTHON")
	if os.Getenv("OAAS_INTEROP") != "1" || python == "" {
		t.Skip("OAAS_INTEROP is not 1, or OAAS_INTEROP_PYTHON does not name a Python with eclipse-zenoh")
	}
	r := newRig(t, Config{Publish: true})
	cmd := exec.CommandContext(t.Context(), python, "-u", "testdata/client.py", r.address)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}()
	c := &client{t: t, in: in, out: bufio.NewReader(out)}
	const p = "oprc/example.record/0/"
	large := bytes.Repeat([]byte("large"), 16<<20/5)
	for _, step := range []struct {
		do, key string
		m       proto.Message
		want    proto.Message // nil is no answer
		failure string
	}{
		{"get", "objects/a", nil, nil, "object not found"},
		{"get", "objects/a/set", nil, nil, "payload is required"},
		{"get", "objects/a/set", data(t, `entries { key: "k" value { data: "1" } }`), &oprc.EmptyResponse{}, ""},
		{"event", "", nil, nil, ""},
		{"get", "objects/a", nil, data(t, `metadata { cls_id: "example.record" object_id: "a" } entries { key: "k" value { data: "1" } }`), ""},
		{"get", "objects/a/entries/k", nil, text(t, &oprc.ValueResponse{}, `value { data: "1" } object_version: 1 key: "k"`), ""},
		{"get", "objects/a/entries/none", nil, nil, "entry not found"},
		{"get", "objects/a/batch-set", batch(t, `values { key: "x" value { data: "2" } } delete_keys: "k" expected_object_version: 9`), nil, "version mismatch: expected 9, got 1"},
		{"get", "objects/a/batch-set", batch(t, `values { key: "x" value { data: "2" } } delete_keys: "k" expected_object_version: 1`), &oprc.EmptyResponse{}, ""},
		{"get", "objects/list-objects", &oprc.ListObjectsRequest{}, text(t, &oprc.ObjectMetaEnvelope{}, `object_id: "a" version: 2 entry_count: 1`), ""},
		{"get", "invokes/echo", text(t, &oprc.InvocationRequest{}, `payload: "hi"`), text(t, &oprc.InvocationResponse{}, `payload: "hi"`), ""},
		{"get", "objects/a/invokes/append", method(t, `payload: "1"`), text(t, &oprc.InvocationResponse{}, `payload: "1"`), ""},
		{"get", "objects/a/invokes/none", method(t, ``), nil, ""},
		{"get", "objects/*", nil, nil, "invalid object id"},
		{"put", "objects/a/invokes/append/async/x", method(t, `payload: "2"`), nil, ""},
		{"get", "objects/a/results/append/async/x?wait=10s", nil, text(t, &oprc.InvocationResponse{}, `payload: "12" invocation_id: "x"`), ""},
		{"get", "results/echo/async/none", nil, nil, `no invocation "none"`},
		{"get", "objects/007/set", &oprc.ObjData{NumericEntries: map[uint32]*oprc.ValData{3: {Data: large}}}, &oprc.EmptyResponse{}, ""},
		{"get", "objects/7/entries/3", nil, &oprc.ValueResponse{Value: &oprc.ValData{Data: large}, ObjectVersion: new(uint64(1)), Key: new("3")}, ""},
	} {
		t.Run(step.do+" "+step.key, func(t *testing.T) {
			c.t = t
			if strings.Contains(step.key, "async/x?") {
				until(t, "the call is known", func() bool { return r.one("objects/a/results/append/async/x", nil, nil).failure != `no invocation "x"` })
			}
			got := c.do(step.do, p+step.key, step.m)
			switch {
			case step.do == "event":
				if len(got) != 1 || got[0].Key != p+"events/a" {
					t.Errorf("got %+v", got)
				}
			case step.want == nil && step.failure == "":
				if len(got) != 0 {
					t.Errorf("got %+v", got)
				}
			case step.want == nil:
				if len(got) != 1 || got[0].Error == nil || !strings.HasPrefix(*got[0].Error, step.failure) {
					t.Errorf("got %+v", got)
				}
			default:
				answer := step.want.ProtoReflect().New().Interface()
				if len(got) != 1 || got[0].Error != nil || proto.Unmarshal(got[0].bytes, answer) != nil || !proto.Equal(answer, step.want) {
					t.Errorf("got %.300s", fmt.Sprintf("%+v", got))
				}
			}
		})
	}
	c.t = t
	if got := c.do("liveliness", "oprc/**", nil); len(got) != 2 {
		t.Errorf("tokens %+v", got)
	}
	if got := c.do("get", "oprc/*/*/shards/*/capabilities", nil); len(got) != 2 {
		t.Errorf("capabilities %+v", got)
	}
	c.do("delete", p+"objects/007", nil)
	until(t, "the object is gone", func() bool {
		_, _, err := r.grid.Entry(t.Context(), odgm.Target{Class: className, ID: "7"}, "3")
		return err != nil
	})
}
