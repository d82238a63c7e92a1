package oaas

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"unsafe"

	"github.com/hpcclab/oaas-go/api/function"
)

// A function that is compiled to WebAssembly runs inside the platform, which calls the functions that this file exports (docs/function-contract.md,
// section 12). Built as a reactor (-buildmode=c-shared) the module is started once, and each call begins with the memory as it was after the start;
// built as a command it is started for each call, which comes on standard input.

// guest is what the module serves, once main has called Serve.
var guest *Handler

// request is the memory that the platform writes a call to, and answer what it reads the answer from.
var request, answer []byte

// Serve makes the parts ready to be called. In a command it answers the one call on standard input.
func Serve(parts ...Part) {
	var err error
	if guest, err = NewHandler(parts...); err == nil {
		guest.SetGateway("http://gateway") // nobody is there: see noNetwork
	}
	if err == nil && !reactor {
		out := os.Stdout
		os.Stdout = os.Stderr // what the program prints is no part of the answer
		err = serveOnce(os.Stdin, out)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "oaas:", err)
		os.Exit(1)
	}
}

func serveOnce(in io.Reader, out io.Writer) error {
	call, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	_, err = out.Write(exchange(call))
	return err
}

// reactor is true when the platform calls exported functions, false in a command.
var reactor bool

//go:linkname programMain main.main
func programMain()

// start runs the program's main, which calls Serve.
//
//go:wasmexport oaas_start
func start() {
	reactor = true
	programMain()
	warmUp()
}

// warmUp does what every call does, before the platform takes the image of the memory that calls begin with: so the heap has room already, and caches are filled.
func warmUp() {
	if guest == nil {
		return
	}
	for _, methods := range guest.methods {
		for _, m := range methods {
			if m.warm != nil {
				m.warm()
			}
		}
	}
	for _, form := range []function.Form{function.JSON, function.Binary} {
		for range 8 {
			message := []byte("Content-Type: " + form.CallType() + "\nCe-Id: 0\nOaas-Deadline: 2026-01-31T12:00:30.000Z\nOaas-Attempt: 1\nOaas-Depth: 0\n\n")
			exchange(append(message, function.EncodeCall(form, &function.Call{Payload: []byte("{}"), Entries: []function.Entry{{Key: "a"}}})...))
		}
	}
	const room = 1 << 20
	warm = make([]byte, room)
	warm = nil
	runtime.GC()
}

// warm is outside of warmUp so that the compiler cannot leave it out.
var warm []byte

// buffer gives memory for a call of that many bytes.
//
//go:wasmexport oaas_buffer
func buffer(size uint32) unsafe.Pointer {
	request = make([]byte, max(size, 1))[:size]
	return unsafe.Pointer(unsafe.SliceData(request))
}

// call answers the call that the platform has written to the buffer: the address in the upper half, the length in the lower one.
//
//go:wasmexport oaas_call
func call() uint64 {
	answer = exchange(request)
	return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(answer))))<<32 | uint64(len(answer))
}

// exchange answers one call: lines of headers, an empty line, the body.
func exchange(call []byte) []byte {
	w := &recorder{header: http.Header{}}
	r, err := readRequest(call)
	switch {
	case err != nil:
		writeError(w, Errorf(http.StatusBadRequest, "the call cannot be read: %v", err))
	case guest == nil:
		writeError(w, Errorf(http.StatusInternalServerError, "the function's main does not call oaas.Serve"))
	default:
		guest.ServeHTTP(w, r)
	}
	return w.message()
}

func readRequest(call []byte) (*http.Request, error) {
	head, body, found := bytes.Cut(call, []byte("\n\n"))
	if !found {
		return nil, errors.New("it has no empty line after its headers")
	}
	r := &http.Request{Method: http.MethodPost, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, ContentLength: int64(len(body)),
		Body: io.NopCloser(bytes.NewReader(body))}
	for line := range strings.SplitSeq(string(head), "\n") {
		name, value, found := strings.Cut(line, ": ")
		if !found {
			return nil, fmt.Errorf("%q is no header", line)
		}
		r.Header[name] = append(r.Header[name], value)
	}
	return r, nil
}

// recorder keeps an answer.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *recorder) Header() http.Header { return w.header }

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
	}
}

func (w *recorder) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

// message gives the answer as the platform reads it.
func (w *recorder) message() []byte {
	w.WriteHeader(http.StatusOK)
	var out bytes.Buffer
	line := bufio.NewWriter(&out)
	line.WriteString("Status: " + strconv.Itoa(w.status) + "\n")
	for name, values := range w.header {
		for _, value := range values {
			line.WriteString(name + ": " + strings.NewReplacer("\r", " ", "\n", " ").Replace(value) + "\n")
		}
	}
	line.WriteString("\n")
	line.Write(w.body.Bytes())
	line.Flush()
	return out.Bytes()
}

// newClient gives a client that refuses: a module has no network.
func newClient() client { return noNetwork{} }

type noNetwork struct{}

func (noNetwork) Do(*http.Request) (*http.Response, error) {
	return nil, errors.New("a function in WebAssembly has no network, so it cannot call other objects; use runtime: go, or emit an event")
}

func (noNetwork) CloseIdleConnections() {}
