package oaas_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/hpcclab/oaas-go/api/function"
	"github.com/hpcclab/oaas-go/runtime/oaas"
)

// BenchmarkServed measures one warm call over a loopback connection: to a method of the SDK, and to a bare handler of net/http that reads as
// much and answers the same. The difference is what the SDK costs.
func BenchmarkServed(b *testing.B) {
	call := callOf("add", "5", `{"by":1}`)
	handler, err := oaas.NewHandler(counterClass())
	if err != nil {
		b.Fatal(err)
	}
	defer handler.Close()
	reply := function.EncodeReply(function.Binary, &function.Reply{
		Payload: []byte("6"), ContentType: "application/json", Set: []function.Entry{{Key: "count", Value: function.Value{Data: []byte("6")}}},
	})
	bare := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadFull(r.Body, make([]byte, r.ContentLength))
		h := w.Header()
		h.Set("Content-Type", function.BinaryReplyType)
		h.Set(function.HeaderAcceptPost, function.BinaryCallType)
		h.Set("Content-Length", strconv.Itoa(len(reply)))
		_, _ = w.Write(reply)
	})
	b.Run("sdk", func(b *testing.B) { benchServed(b, handler, call) })
	b.Run("bare", func(b *testing.B) { benchServed(b, bare, call) })
}

func benchServed(b *testing.B, handler http.Handler, call *function.Call) {
	ctx, stop := context.WithCancel(b.Context())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- oaas.Run(ctx, listener, handler) }()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		_ = conn.Close()
		stop()
		if err := <-done; err != nil {
			b.Error(err)
		}
	}()
	request := requestOf(call)
	answers := bufio.NewReader(conn)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := conn.Write(request); err != nil {
			b.Fatal(err)
		}
		if err := skipAnswer(answers); err != nil {
			b.Fatal(err)
		}
	}
}

// requestOf gives the bytes of a call as the platform sends it.
func requestOf(call *function.Call) []byte {
	body, header := function.EncodeCall(function.Binary, call), http.Header{}
	function.SetHeaders(header, function.Binary, call, &function.Meta{
		ID: "01hzzzzzzzzzzzzzzzzzzzzzzz", Deadline: time.Now().Add(time.Hour), Chain: "test.counter/0/a/add@01hzzzzzzzzzzzzzzzzzzzzzzy",
	})
	var b bytes.Buffer
	fmt.Fprintf(&b, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n", len(body))
	_ = header.Write(&b) // a buffer takes everything
	b.WriteString("\r\n")
	return append(b.Bytes(), body...)
}

// skipAnswer reads one answer without allocating, so that the figures are those of the server.
func skipAnswer(r *bufio.Reader) error {
	length := -1
	for first := true; ; first = false {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		line = bytes.TrimRight(line, "\r\n")
		if first && !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
			return fmt.Errorf("answered %s", line)
		}
		if len(line) == 0 {
			break
		}
		if text, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			length = 0
			for _, c := range text {
				length = length*10 + int(c-'0')
			}
		}
	}
	if length < 0 {
		return fmt.Errorf("the answer has no length")
	}
	_, err := r.Discard(length)
	return err
}
