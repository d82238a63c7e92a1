package rpc

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"

	"github.com/hpcclab/oaas-go/api/oprc"
)

// bare answers with constants: what gRPC itself costs.
type bare struct {
	oprc.UnimplementedDataServiceServer
	object *oprc.ObjectResponse
}

// Get answers with a constant.
func (b *bare) Get(context.Context, *oprc.SingleObjectRequest) (*oprc.ObjectResponse, error) {
	return b.object, nil
}

// Set answers with a constant.
func (b *bare) Set(context.Context, *oprc.SetObjectRequest) (*oprc.EmptyResponse, error) {
	return &oprc.EmptyResponse{}, nil
}

func bareServer(b *testing.B, overHTTP bool) string {
	s := grpc.NewServer()
	oprc.RegisterDataServiceServer(s, &bare{object: &oprc.ObjectResponse{Obj: benchObject()}})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var running sync.WaitGroup
	if overHTTP {
		server := &http.Server{Protocols: new(http.Protocols), Handler: s}
		server.Protocols.SetUnencryptedHTTP2(true)
		running.Go(func() { _ = server.Serve(l) })
		b.Cleanup(func() { _ = server.Close(); running.Wait() })
	} else {
		running.Go(func() { _ = s.Serve(l) })
		b.Cleanup(func() { s.Stop(); running.Wait() })
	}
	return l.Addr().String()
}

func benchObject() *oprc.ObjData {
	return &oprc.ObjData{
		Metadata: &oprc.ObjMeta{ClsId: class, ObjectId: new("bench")},
		Entries:  map[string]*oprc.ValData{"a": {Data: make([]byte, 256)}, "b": {Data: make([]byte, 256)}},
	}
}

// BenchmarkUnary measures get and set with 1 and 64 clients, each with a connection of its own, beside a bare handler.
func BenchmarkUnary(b *testing.B) {
	for _, server := range []struct {
		name  string
		start func(*testing.B) string
	}{
		{"bare", func(b *testing.B) string { return bareServer(b, false) }},
		{"bare-http", func(b *testing.B) string { return bareServer(b, true) }},
		{"oaas", func(b *testing.B) string { return newRig(b, rigOptions{}).address }},
		{"oaas-split", func(b *testing.B) string { return newRig(b, rigOptions{split: true}).address }},
		{"oaas-http", func(b *testing.B) string { return newRig(b, rigOptions{http: true}).address }},
	} {
		b.Run(server.name, func(b *testing.B) {
			address := server.start(b)
			for _, clients := range []int{1, 64} {
				b.Run("set/"+[]string{1: "1", 64: "64"}[clients], func(b *testing.B) { benchSet(b, address, clients) })
				b.Run("get/"+[]string{1: "1", 64: "64"}[clients], func(b *testing.B) { benchGet(b, address, clients) })
			}
		})
	}
}

func benchGet(b *testing.B, address string, clients int) {
	request := &oprc.SingleObjectRequest{ClsId: class, ObjectId: new("bench")}
	set := &oprc.SetObjectRequest{ClsId: class, ObjectId: new("bench"), Object: benchObject()}
	if _, err := oprc.NewDataServiceClient(dial(b, address)).Set(context.Background(), set); err != nil {
		b.Fatal(err)
	}
	inParallel(b, address, clients, func(c oprc.DataServiceClient, _ int) error {
		_, err := c.Get(context.Background(), request)
		return err
	})
}

func benchSet(b *testing.B, address string, clients int) {
	inParallel(b, address, clients, func(c oprc.DataServiceClient, client int) error {
		id := "bench"
		if client > 0 {
			id = "bench" + string(rune('0'+client%10)) + string(rune('a'+client/10))
		}
		_, err := c.Set(context.Background(), &oprc.SetObjectRequest{ClsId: class, ObjectId: &id, Object: benchObject()})
		return err
	})
}

// inParallel shares b.N calls among clients.
func inParallel(b *testing.B, address string, clients int, do func(c oprc.DataServiceClient, client int) error) {
	conns := make([]oprc.DataServiceClient, clients)
	for i := range conns {
		conns[i] = oprc.NewDataServiceClient(dial(b, address))
		if err := do(conns[i], i); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	var left atomic.Int64
	left.Store(int64(b.N))
	var running sync.WaitGroup
	for i, c := range conns {
		running.Go(func() {
			for left.Add(-1) >= 0 {
				if err := do(c, i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	running.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
}
