package dev

import (
	"net/http"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/hpcclab/oaas-go/api/oprc"
)

// dialGRPC connects to the platform's port.
func (r *rig) dialGRPC() *grpc.ClientConn {
	r.t.Helper()
	conn, err := grpc.NewClient(strings.TrimPrefix(r.url, "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// gRPC and REST are on one port, and show the same objects, whichever form their ids and keys have.
func TestGRPC(t *testing.T) {
	r := open(t, t.TempDir(), containerProject(t, "grpc://127.0.0.1:1"))
	r.eventually("the class is there", func() bool {
		code, _ := r.request(http.MethodGet, "/api/class/old.tally/0/objects", "", nil)
		return code == http.StatusOK
	})
	conn := r.dialGRPC()
	data := oprc.NewDataServiceClient(conn)
	older := &oprc.SetKeyRequest{ClsId: "old.tally", NumericObjectId: new(uint64(42)), NumericKey: new(uint32(7)), Value: &oprc.ValData{Data: []byte("seven")}}
	if _, err := data.SetValue(t.Context(), older); err != nil {
		t.Fatal(err)
	}
	if got := r.entry("old.tally", "42", "7"); got != "seven" {
		t.Errorf("REST sees %q", got)
	}
	got, err := data.GetValue(t.Context(), &oprc.SingleKeyRequest{ClsId: "old.tally", ObjectId: new("42"), Key: new("7")})
	if err != nil || string(got.GetValue().GetData()) != "seven" || got.GetObjectVersion() != 1 {
		t.Errorf("the text form sees %v, %v", got, err)
	}
	list, err := data.ListObjects(t.Context(), &oprc.ListObjectsRequest{ClsId: "old.tally"})
	if err != nil {
		t.Fatal(err)
	}
	if meta, err := list.Recv(); err != nil || meta.GetObjectId() != "42" || meta.GetEntryCount() != 1 {
		t.Errorf("the list has %v, %v", meta, err)
	}
	_, err = data.SetValue(t.Context(), &oprc.SetKeyRequest{ClsId: "old.tally", ObjectId: new("42"), Key: new("a/b"), Value: &oprc.ValData{}})
	violation, reason := "", ""
	for _, detail := range status.Convert(err).Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			reason = d.GetReason()
		case *errdetails.BadRequest:
			violation = d.GetFieldViolations()[0].GetField()
		}
	}
	if status.Code(err) != codes.InvalidArgument || violation != "key" || reason != "INVALID_ARGUMENT" {
		t.Errorf("a bad key gives %v, field %q, reason %q", err, violation, reason)
	}
	r.checkTools(conn)
}

// checkTools checks health and reflection, and a call that comes through a proxy.
func (r *rig) checkTools(conn *grpc.ClientConn) {
	r.t.Helper()
	health := healthpb.NewHealthClient(conn)
	if got, err := health.Check(r.t.Context(), &healthpb.HealthCheckRequest{Service: "oprc.DataService"}); err != nil || got.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		r.t.Errorf("health is %v, %v", got, err)
	}
	stream, err := grpc_reflection_v1.NewServerReflectionClient(conn).ServerReflectionInfo(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	ask := &grpc_reflection_v1.ServerReflectionRequest{MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{}}
	if err := stream.Send(ask); err != nil {
		r.t.Fatal(err)
	}
	if known, err := stream.Recv(); err != nil || len(known.GetListServicesResponse().GetService()) != 5 {
		r.t.Errorf("reflection knows %v, %v", known, err)
	}
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	for _, path := range []string{"/oprc.DataService/Stats", "/healthz"} { // over one connection
		req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.url+path, strings.NewReader("\x00\x00\x00\x00\x00"))
		if err != nil {
			r.t.Fatal(err)
		}
		req.Header.Set("X-Forwarded-For", "10.0.0.1")
		if path == "/healthz" {
			req.Method = http.MethodGet
		} else {
			req.Header.Set("Content-Type", "application/grpc")
		}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			r.t.Fatal(err)
		}
		if resp.StatusCode != http.StatusOK {
			r.t.Errorf("%s through a proxy: %d", path, resp.StatusCode)
		}
		_ = resp.Body.Close()
	}
	if code, text := r.request(http.MethodGet, "/metrics", "", nil); code != http.StatusOK || !strings.Contains(text, `grpc_request_duration_seconds_count{grpc_code="OK",grpc_method="/oprc.DataService/GetValue"} 1`) {
		r.t.Error("no metric of the calls")
	}
}

// When the platform stops, those who watch its health are told, calls that run are answered, and nobody waits.
func TestGRPCDrains(t *testing.T) {
	r := open(t, t.TempDir())
	watch, err := healthpb.NewHealthClient(r.dialGRPC()).Watch(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := watch.Recv(); err != nil || got.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Fatalf("health is %v, %v", got, err)
	}
	done := make(chan struct{})
	go func() { defer close(done); r.stop() }()
	if got, err := watch.Recv(); err != nil || got.GetStatus() != healthpb.HealthCheckResponse_NOT_SERVING {
		t.Errorf("health is %v, %v", got, err)
	}
	<-done
	if _, err := oprc.NewDataServiceClient(r.dialGRPC()).Stats(t.Context(), &oprc.StatsRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("a call afterwards gives %v", err)
	}
}
