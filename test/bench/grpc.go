package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/hpcclab/oaas-go/api/oprc"
)

// grpcCalls measures unary get and set beside a bare handler of the same gRPC library, which answers constants, and calls of a function container
// beside the container itself.
func grpcCalls(ctx context.Context, t *table, cfg config) error {
	p, err := newPlatform(cfg.oaas)
	if err != nil {
		return err
	}
	defer p.close()
	if _, err := p.start(ctx); err != nil {
		return err
	}
	if err := p.deploy(ctx); err != nil {
		return err
	}
	if err := fill(ctx, p); err != nil {
		return err
	}
	bare, stop, err := startSelf(ctx, "-serve-grpc")
	if err != nil {
		return err
	}
	defer stop()
	if err := p.deployContainer(ctx, bare); err != nil {
		return err
	}
	invoke := calling(oprc.OprcFunction_InvokeObj_FullMethodName, func(i int) proto.Message {
		return &oprc.ObjectInvocationRequest{ClsId: "old.record", ObjectId: objectID(i), FnId: "hello", Payload: make([]byte, 64)}
	})
	for _, clients := range []int{1, 64} {
		for _, c := range []struct {
			what string
			next request
		}{{"gRPC Get of 1 KiB", getting()}, {"gRPC Set of 1 KiB, in memory", setting("old.record")}, {"gRPC Set of 1 KiB, durable", setting("bench.record")},
			{"gRPC InvokeObj of a container, 64 B", invoke}} {
			beside := pair{what: c.what, clients: clients, ours: c.next, beside: c.next, besideAddr: bare, besideName: "bare grpc-go", drive: driveGRPC}
			if err := compare(ctx, t, cfg, p, beside); err != nil {
				return fmt.Errorf("%s: %w", c.what, err)
			}
		}
	}
	return nil
}

func objectID(i int) *string { return new("o" + strconv.Itoa(i)) }

func getting() request {
	return calling(oprc.DataService_Get_FullMethodName, func(i int) proto.Message {
		return &oprc.SingleObjectRequest{ClsId: "bench.record", ObjectId: objectID(i)}
	})
}

func setting(class string) request {
	return calling(oprc.DataService_Set_FullMethodName, func(i int) proto.Message {
		return &oprc.SetObjectRequest{ClsId: class, ObjectId: objectID(i), Object: kilobyte()}
	})
}

func kilobyte() *oprc.ObjData {
	return &oprc.ObjData{Entries: map[string]*oprc.ValData{"value": {Data: make([]byte, 1024)}}}
}

// constants answers as the platform does, with nothing behind it.
type constants struct {
	oprc.UnimplementedDataServiceServer
	oprc.UnimplementedOprcFunctionServer
	object *oprc.ObjectResponse
}

// Get answers with a constant.
func (c *constants) Get(context.Context, *oprc.SingleObjectRequest) (*oprc.ObjectResponse, error) {
	return c.object, nil
}

// Set answers with a constant.
func (c *constants) Set(context.Context, *oprc.SetObjectRequest) (*oprc.EmptyResponse, error) {
	return &oprc.EmptyResponse{}, nil
}

// InvokeObj answers with what it got.
func (c *constants) InvokeObj(_ context.Context, r *oprc.ObjectInvocationRequest) (*oprc.InvocationResponse, error) {
	return &oprc.InvocationResponse{Payload: r.GetPayload()}, nil
}

// serveGRPC serves constants until it is killed.
func serveGRPC(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	object := kilobyte()
	object.Metadata = &oprc.ObjMeta{ClsId: "bench.record", ObjectId: new("o1")}
	c := &constants{object: &oprc.ObjectResponse{Obj: object}}
	s := grpc.NewServer()
	oprc.RegisterDataServiceServer(s, c)
	oprc.RegisterOprcFunctionServer(s, c)
	return s.Serve(l)
}

// deployContainer binds a class to the container at an address.
func (p *platform) deployContainer(ctx context.Context, addr string) error {
	dir, err := os.MkdirTemp(p.dir, "container-")
	if err != nil {
		return err
	}
	text := "name: old\nclasses:\n  - key: record\n    function_bindings: [{name: hello, function_key: fn}]\nfunctions: [{key: fn, url: \"grpc://" + addr + "\"}]\n"
	if err := os.WriteFile(dir+"/oaas-package.yaml", []byte(text), 0o644); err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, p.oaas, "func", "deploy", "--url", "http://"+p.addr, dir).CombinedOutput(); err != nil {
		return fmt.Errorf("deploy: %w\n%s", err, out)
	}
	return nil
}

// streamAt is where the two frames of a request have their stream.
const streamAt = 5

// calling makes the requests of a method for each object: a frame with the headers, and one with the message. Who sends it writes the stream in.
func calling(method string, message func(i int) proto.Message) request {
	var head bytes.Buffer
	encoder := hpack.NewEncoder(&head)
	encoder.SetMaxDynamicTableSize(0) // so that the same bytes mean the same again
	for _, h := range [][2]string{
		{":method", "POST"}, {":scheme", "http"}, {":path", method}, {":authority", "bench"}, {"content-type", "application/grpc"}, {"te", "trailers"},
	} {
		_ = encoder.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]}) // a buffer takes everything
	}
	all := make([][]byte, benchObjects)
	for i := range all {
		body, err := proto.Marshal(message(i))
		if err != nil {
			panic(err)
		}
		body = append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(body))), body...)
		var b bytes.Buffer
		framer := http2.NewFramer(&b, nil)
		_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: head.Bytes(), EndHeaders: true})
		_ = framer.WriteData(1, true, body)
		all[i] = b.Bytes()
	}
	return func(client, n int) []byte { return all[(client*37+n)%benchObjects] }
}

// driveGRPC is a client that does as little as it can: prepared frames out, and frames in until the stream ends.
func driveGRPC(ctx context.Context, addr string, client int, next request) ([]time.Duration, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	var hello bytes.Buffer
	hello.WriteString(http2.ClientPreface)
	framer := http2.NewFramer(&hello, nil)
	_ = framer.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
	_ = framer.WriteWindowUpdate(0, 1<<30)
	if _, err := conn.Write(hello.Bytes()); err != nil {
		return nil, err
	}
	reader := bufio.NewReaderSize(conn, 64<<10)
	var times []time.Duration
	var out []byte
	for n := 0; ctx.Err() == nil; n++ {
		out = append(out[:0], next(client, n)...)
		stream := uint32(2*n + 1)
		binary.BigEndian.PutUint32(out[streamAt:], stream)
		second := 9 + int(out[0])<<16 + int(out[1])<<8 + int(out[2])
		binary.BigEndian.PutUint32(out[second+streamAt:], stream)
		begun := time.Now()
		if _, err := conn.Write(out); err != nil {
			return nil, err
		}
		if err := readStream(conn, reader, stream); err != nil {
			return nil, err
		}
		times = append(times, time.Since(begun))
	}
	return times, nil
}

// readStream reads until the stream has ended, and wants a message in it. Settings and pings are acknowledged.
func readStream(conn net.Conn, reader *bufio.Reader, stream uint32) error {
	message := false
	for {
		head, err := reader.Peek(9)
		if err != nil {
			return err
		}
		length, kind, flags := int(head[0])<<16+int(head[1])<<8+int(head[2]), http2.FrameType(head[3]), http2.Flags(head[4])
		of := binary.BigEndian.Uint32(head[5:])
		frame := make([]byte, 9+length)
		if _, err := io.ReadFull(reader, frame); err != nil {
			return err
		}
		switch {
		case (kind == http2.FrameSettings || kind == http2.FramePing) && flags&1 == 0:
			frame[4] |= 1
			if kind == http2.FrameSettings {
				frame = append([]byte{0, 0, 0}, frame[3:9]...)
			}
			if _, err := conn.Write(frame); err != nil {
				return err
			}
		case kind == http2.FrameRSTStream, kind == http2.FrameGoAway:
			return fmt.Errorf("the server sent a %s", kind)
		case of == stream:
			message = message || kind == http2.FrameData
			if flags&http2.FlagDataEndStream == 0 {
				continue
			}
			if !message {
				return errors.New("an answer without a message")
			}
			return nil
		}
	}
}
