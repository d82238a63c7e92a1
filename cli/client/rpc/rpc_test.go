package rpc

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/cli/client"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// refusing is a data grid of OaaS-RS that answers every read with one status, without the details that this platform adds.
type refusing struct {
	oprc.UnimplementedDataServiceServer
	st *status.Status
}

func (r *refusing) Get(ctx context.Context, _ *oprc.SingleObjectRequest) (*oprc.ObjectResponse, error) {
	if r.st == nil {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return nil, r.st.Err()
}

func dial(t *testing.T, st *status.Status) *Client {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	oprc.RegisterDataServiceServer(s, &refusing{st: st})
	go s.Serve(l) //nolint:errcheck // it ends with Stop
	t.Cleanup(s.Stop)
	c, err := Dial("http://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

var ref = client.Ref{Class: "a.b", Partition: "0", ID: "x"}

func TestStatuses(t *testing.T) {
	for code, want := range map[codes.Code]struct {
		status     int
		code, text string
	}{
		codes.NotFound:          {404, "NO_OBJECT", "object not found"},
		codes.InvalidArgument:   {400, "", "object not found"},
		codes.Aborted:           {409, "", "object not found"},
		codes.Internal:          {500, "", "object not found"},
		codes.ResourceExhausted: {429, "", "object not found"},
		codes.Unimplemented:     {501, "Unimplemented", "is this a gRPC server of OaaS?"},
	} {
		_, err := dial(t, status.New(code, "object not found")).Object(t.Context(), ref)
		f, ok := errors.AsType[*client.Failure](err)
		if !ok || f.Status != want.status || f.Code != want.code || !strings.Contains(f.Message, want.text) || status.Code(f.Cause) != code {
			t.Errorf("%s: %#v", code, err)
		}
	}
}

func TestUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	c, err := Dial("http://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = c.Object(t.Context(), ref)
	if u, ok := errors.AsType[*client.Unreachable](err); !ok || strings.Contains(u.Error(), "desc") {
		t.Errorf("got %v", err)
	}
	for _, url := range []string{"", "localhost", "127.0.0.1:8080", "ftp://x", "http://", "tcp/x:1"} {
		if _, err := Dial(url); err == nil {
			t.Errorf("%q was taken as an address", url)
		}
	}
}

// What is dialled is host and port, however the URL writes them.
func TestAddresses(t *testing.T) {
	for url, want := range map[string]string{
		"http://127.0.0.1:8080": "127.0.0.1:8080", "http://[::1]:8080": "[::1]:8080", "https://grid.example/": "grid.example:443", "http://[::1]": "[::1]:80",
	} {
		c, err := Dial(url)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.conn.Target(); got != "passthrough:///"+want {
			t.Errorf("%s: dials %s, want %s", url, got, want)
		}
		c.Close()
	}
}

func TestContextEndsCalls(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	c := dial(t, nil)
	cancel(why)
	if _, err := c.Object(ctx, ref); !errors.Is(err, why) {
		t.Errorf("got %v, want the cause of the context", err)
	}
}

func TestAnswers(t *testing.T) {
	for st, want := range map[oprc.ResponseStatus]int{
		oprc.ResponseStatus_OKAY: 200, oprc.ResponseStatus_INVALID_REQUEST: 400, oprc.ResponseStatus_APP_ERROR: 500,
		oprc.ResponseStatus_SYSTEM_ERROR: 502, 77: 500,
	} {
		answer, err := AnswerOf(&oprc.InvocationResponse{Status: st, Payload: []byte("p")})
		if f, ok := errors.AsType[*client.Failure](err); ok {
			answer = &client.Answer{Status: f.Status, Payload: f.Body}
		}
		if answer == nil || answer.Status != want || string(answer.Payload) != "p" {
			t.Errorf("%s: %+v, %v", st, answer, err)
		}
	}
	if answer, err := AnswerOf(&oprc.InvocationResponse{}); err != nil || !answer.Empty {
		t.Errorf("no payload: %+v, %v", answer, err)
	}
}
