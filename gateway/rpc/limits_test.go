package rpc

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"

	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/odgm/object"
)

// Messages up to the limit are taken, longer ones are refused whether they are compressed or not; answers have no limit.
func TestMessageSizes(t *testing.T) {
	everywhere(t, func(t *testing.T, r *rig) {
		set := func(size int, opt ...grpc.CallOption) error {
			_, err := r.data.SetValue(r.ctx(), &oprc.SetKeyRequest{
				ClsId: class, ObjectId: new("big"), Key: new(fmt.Sprint("k", size)), Value: &oprc.ValData{Data: make([]byte, size)},
			}, opt...)
			return err
		}
		for _, size := range []int{DefaultMaxMessageBytes + 1, 3 * DefaultMaxMessageBytes} {
			for _, opt := range [][]grpc.CallOption{nil, {grpc.UseCompressor(gzip.Name)}} {
				if err := set(size, opt...); status.Code(err) != codes.ResourceExhausted {
					t.Errorf("%d bytes give %v", size, err)
				}
			}
		}
		if dump := r.dump(); dump != "" {
			t.Fatalf("stored are %d bytes", len(dump))
		}
		for i, opt := range [][]grpc.CallOption{nil, {grpc.UseCompressor(gzip.Name)}} {
			must(t, 0, set(DefaultMaxMessageBytes-100-i, opt...))
		}
		got := r.get(&oprc.SingleObjectRequest{ClsId: class, ObjectId: new("big")})
		if len(got.GetObj().GetEntries()) != 2 {
			t.Errorf("got %d entries", len(got.GetObj().GetEntries()))
		}
	})
}

// A client may close its side without a message, or send two where one is due. It gets a status, and the server goes on.
func TestHalfClosed(t *testing.T) {
	everywhere(t, func(t *testing.T, r *rig) {
		desc := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
		open := func(method string) grpc.ClientStream {
			s, err := r.conn.NewStream(r.ctx(), desc, method)
			return must(t, s, err)
		}
		for _, method := range []string{oprc.DataService_Set_FullMethodName, oprc.DataService_ListValues_FullMethodName} {
			s := open(method)
			must(t, 0, s.CloseSend())
			if err := s.RecvMsg(&oprc.EmptyResponse{}); status.Code(err) != codes.Internal && status.Code(err) != codes.Unimplemented {
				t.Errorf("%s without a message gives %v", method, err)
			}
		}
		s := open(oprc.DataService_ListValues_FullMethodName)
		request := &oprc.ListValuesRequest{ClsId: class, ObjectId: new("none")}
		must(t, 0, s.SendMsg(request))
		must(t, 0, s.CloseSend())
		if err := s.RecvMsg(&oprc.ValueEnvelope{}); err != io.EOF {
			t.Errorf("half-closed stream gives %v", err)
		}
		s = open("/oprc.DataService/None")
		must(t, 0, s.CloseSend())
		if err := s.RecvMsg(&oprc.EmptyResponse{}); status.Code(err) != codes.Unimplemented {
			t.Errorf("unknown method gives %v", err)
		}
		r.set("o", "k=1")
	})
}

// A client that opens a call and never sends its message holds nothing for longer than the timeout.
func TestClientThatNeverSends(t *testing.T) {
	for _, http := range []bool{false, true} {
		t.Run(fmt.Sprint("http=", http), func(t *testing.T) {
			r := newRig(t, rigOptions{http: http, cfg: Config{Timeout: 50 * time.Millisecond}})
			s, err := r.conn.NewStream(context.Background(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, oprc.DataService_Get_FullMethodName)
			must(t, 0, err)
			if err := s.RecvMsg(&oprc.EmptyResponse{}); err == nil || err == io.EOF {
				t.Errorf("got %v", err)
			}
		})
	}
}

// garbage sends what is not a message.
type garbage struct{}

// Marshal gives what cannot be decoded.
func (garbage) Marshal(any) ([]byte, error) { return []byte{0xff, 0xff, 0xff}, nil }

// Unmarshal takes anything.
func (garbage) Unmarshal([]byte, any) error { return nil }

// Name is that of protobuf.
func (garbage) Name() string { return "proto" }

func TestGarbage(t *testing.T) {
	everywhere(t, func(t *testing.T, r *rig) {
		for method := range strings.FieldsSeq("DataService/Get DataService/Set DataService/BatchSetValues DataService/Stats OprcFunction/InvokeObj") {
			err := r.conn.Invoke(r.ctx(), "/oprc."+method, &oprc.EmptyResponse{}, &oprc.EmptyResponse{}, grpc.ForceCodec(garbage{}))
			if code := status.Code(err); code != codes.Internal && code != codes.InvalidArgument {
				t.Errorf("%s gives %v", method, err)
			}
		}
		r.set("o", "k=1")
	})
}

// Calls beyond the limit are refused at once; health is still told.
func TestTooManyInFlight(t *testing.T) {
	r := newRig(t, rigOptions{cfg: Config{MaxInFlight: 1}})
	ctx, cancel := context.WithCancel(r.ctx())
	var running sync.WaitGroup
	running.Go(func() {
		for ctx.Err() == nil { // the other may have taken the place
			_, _ = r.fn.InvokeObj(ctx, &oprc.ObjectInvocationRequest{ClsId: class, ObjectId: new("o"), FnId: "hang"})
		}
	})
	other := oprc.NewDataServiceClient(dial(t, r.address)) // on one connection, calls wait in the client
	var refusal error
	until(t, "refused", func() bool {
		_, refusal = other.Stats(r.ctx(), &oprc.StatsRequest{})
		return refusal != nil
	})
	if reason, _ := detailsOf(status.Convert(refusal)); status.Code(refusal) != codes.ResourceExhausted || reason != "BUSY" {
		t.Errorf("got %v", refusal)
	}
	cancel()
	running.Wait()
	until(t, "served again", func() bool {
		_, err := r.data.Stats(r.ctx(), &oprc.StatsRequest{})
		return err == nil
	})
}

// crowded is a grid whose lists wait until it is opened, and that knows how many waited at a time.
type crowded struct {
	Grid
	open      chan struct{}
	now, most atomic.Int64
}

// ListObjects waits.
func (c *crowded) ListObjects(ctx context.Context, class string, partition int, page object.Page) ([]object.Meta, []byte, error) {
	n := c.now.Add(1)
	defer c.now.Add(-1)
	for most := c.most.Load(); n > most && !c.most.CompareAndSwap(most, n); most = c.most.Load() {
	}
	<-c.open
	return c.Grid.ListObjects(ctx, class, partition, page)
}

// A thousand streams at once, of many clients: no more than allowed run, and each ends with OK or a refusal.
func TestManyStreams(t *testing.T) {
	const limit, clients, each = 100, 20, 50
	grid := &crowded{open: make(chan struct{})}
	r := newRig(t, rigOptions{cfg: Config{MaxInFlight: limit}, wrap: func(g Grid) Grid { grid.Grid = g; return grid }})
	var running sync.WaitGroup
	var served, refused atomic.Int64
	for range clients {
		client := oprc.NewDataServiceClient(dial(t, r.address))
		for range each {
			running.Go(func() {
				_, err := collect(client.ListObjects(r.ctx(), &oprc.ListObjectsRequest{ClsId: class}))
				switch status.Code(err) {
				case codes.OK:
					served.Add(1)
				case codes.ResourceExhausted:
					refused.Add(1)
				default:
					t.Error(err)
				}
			})
		}
	}
	until(t, "all run or are refused", func() bool { return grid.now.Load()+refused.Load() == clients*each })
	close(grid.open)
	running.Wait()
	if most := grid.most.Load(); most > limit || most < 2 || served.Load() != most {
		t.Errorf("%d at a time, %d served, %d refused", most, served.Load(), refused.Load())
	}
	r.set("o", "k=1")
}

func TestConfig(t *testing.T) {
	registry := prometheus.NewRegistry()
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{Registerer: registry}, ""},
		{Config{Registerer: registry}, "duplicate"},
		{Config{MaxMessageBytes: -1, MaxInFlight: -2, Timeout: -time.Second}, "gRPC server: max message of -1 bytes: must be positive\nmax calls in flight -2: must be positive\ntimeout -1s: must be positive"},
	} {
		_, err := NewServer(&failing{}, c.cfg)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%v gives %v", c.cfg, err)
		}
	}
}

// What is not gRPC goes to the other handler.
func TestHandlerPassesOn(t *testing.T) {
	r := newRig(t, rigOptions{http: true})
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	for _, c := range []struct {
		transport   *http.Transport
		contentType string
		want        int
	}{
		{&http.Transport{}, "application/grpc", http.StatusNotFound}, // HTTP/1.1
		{&http.Transport{Protocols: protocols}, "application/json", http.StatusNotFound},
		{&http.Transport{Protocols: protocols}, "", http.StatusNotFound},
		{&http.Transport{Protocols: protocols}, "application/grpc-web", http.StatusNotFound},
		{&http.Transport{Protocols: protocols}, "application/grpc", http.StatusOK},
		{&http.Transport{Protocols: protocols}, "application/grpc+proto", http.StatusOK},
	} {
		request, err := http.NewRequest(http.MethodPost, "http://"+r.address+"/oprc.DataService/Stats", strings.NewReader("\x00\x00\x00\x00\x00"))
		must(t, 0, err)
		request.Header.Set("Content-Type", c.contentType)
		response, err := c.transport.RoundTrip(request)
		must(t, 0, err)
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		c.transport.CloseIdleConnections()
		if response.StatusCode != c.want {
			t.Errorf("%q gives %d, want %d", c.contentType, response.StatusCode, c.want)
		}
	}
}
