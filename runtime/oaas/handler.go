package oaas

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/hpcclab/oaas-go/api/function"
)

// Handler answers the calls of the platform. Most functions need only [Serve].
type Handler struct {
	methods   map[string]map[string]method
	stateless map[string]http.Handler
	fallback  http.Handler
	gateway   string
	client    client
	limits    function.Limits
}

var _ http.Handler = (*Handler)(nil)

// NewHandler makes a handler of the parts. It fails for tags and names that cannot work.
func NewHandler(parts ...Part) (*Handler, error) {
	h := &Handler{methods: map[string]map[string]method{}, stateless: map[string]http.Handler{}, client: newClient()}
	h.SetGateway(os.Getenv(URLVariable))
	for _, part := range parts {
		if err := part.add(h); err != nil {
			return nil, err
		}
	}
	if len(h.methods)+len(h.stateless) == 0 && h.fallback == nil {
		return nil, errors.New("there is nothing to serve: no class, no stateless function, no HTTP handler")
	}
	return h, nil
}

// client sends requests to the gateway.
type client interface {
	Do(*http.Request) (*http.Response, error)
	CloseIdleConnections()
}

// SetGateway replaces the address of the gateway, which is that of OAAS_URL at first. It must not be called while calls are running.
func (h *Handler) SetGateway(url string) { h.gateway = strings.TrimSuffix(url, "/") }

// Close closes idle connections to the gateway.
func (h *Handler) Close() { h.client.CloseIdleConnections() }

// ServeHTTP answers a call of a method, or hands the request to a stateless function.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if form, ok := function.CallForm(r.Header.Get("Content-Type")); ok && r.Method == http.MethodPost {
		h.serveCall(w, r, form)
		return
	}
	h.serveOther(w, r)
}

// acceptPost is the value of the header of that name in answers to calls.
var acceptPost = []string{function.BinaryCallType}

func (h *Handler) serveCall(w http.ResponseWriter, r *http.Request, form function.Form) {
	w.Header()[function.HeaderAcceptPost] = acceptPost
	call, meta, err := h.readCall(w, r, form)
	if err != nil {
		writeError(w, err)
		return
	}
	m, err := h.method(call)
	if err != nil {
		writeError(w, err)
		return
	}
	ctx, cancel := contextOf(r, &meta)
	defer cancel()
	run := &running{handler: h, meta: meta, call: call}
	reply, err := protect(call.Class, call.Method, func() (*function.Reply, error) { return m.run(Context{ctx, run}, call) })
	if err == nil && reply == nil {
		reply = &function.Reply{}
	}
	if err == nil {
		err = run.finish(reply, m.readonly || call.Readonly, h.limits)
	}
	if err != nil {
		writeError(w, err)
		return
	}
	write(w, http.StatusOK, form.ReplyType(), function.EncodeReply(form, reply))
}

func (h *Handler) readCall(w http.ResponseWriter, r *http.Request, form function.Form) (*function.Call, function.Meta, error) {
	meta, err := function.ReadMeta(r.Header)
	if err != nil {
		return nil, meta, Errorf(http.StatusBadRequest, "%v", err)
	}
	body, err := readBody(w, r)
	if err != nil {
		return nil, meta, err
	}
	call, err := function.DecodeCall(form, body, h.limits)
	if err != nil {
		return nil, meta, Errorf(http.StatusBadRequest, "the call cannot be read: %v", err)
	}
	return call, meta, nil
}

// readBody reads a request, in one piece when its size is known.
func readBody(w http.ResponseWriter, r *http.Request) (body []byte, err error) {
	if 0 <= r.ContentLength && r.ContentLength <= function.DefaultBody {
		body = make([]byte, r.ContentLength)
		_, err = io.ReadFull(r.Body, body)
	} else {
		body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, function.DefaultBody))
	}
	if err != nil {
		return nil, bodyError(err)
	}
	return body, nil
}

func bodyError(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return Errorf(http.StatusRequestEntityTooLarge, "the body has more than %d bytes", tooLarge.Limit)
	}
	return Errorf(http.StatusBadRequest, "read the body: %v", err)
}

func (h *Handler) method(call *function.Call) (method, error) {
	methods, ok := h.methods[call.Class]
	if !ok {
		return method{}, Errorf(http.StatusNotFound, "this function does not serve class %q; it serves %s", call.Class, names(h.methods))
	}
	m, ok := methods[call.Method]
	if !ok {
		return method{}, Errorf(http.StatusNotFound, "class %s has no method %q here; it has %s", call.Class, call.Method, names(methods))
	}
	return m, nil
}

// serveOther finds the stateless function that a request is for: the one that the headers name, or the only one.
func (h *Handler) serveOther(w http.ResponseWriter, r *http.Request) {
	class, name := r.Header.Get(function.HeaderClass), r.Header.Get(function.HeaderMethod)
	handler, ok := h.stateless[class+"/"+name]
	switch {
	case ok:
	case h.fallback != nil:
		handler = h.fallback
	case len(h.stateless) == 1 && name == "":
		for _, only := range h.stateless {
			handler = only
		}
	case len(h.stateless) == 0 && name == "":
		w.Header().Set(function.HeaderAcceptPost, function.BinaryCallType+", "+function.JSONCallType)
		writeError(w, Errorf(http.StatusUnsupportedMediaType, "this function takes POST of %s or %s only; call its methods through the platform",
			function.JSONCallType, function.BinaryCallType))
		return
	default:
		writeError(w, Errorf(http.StatusNotFound, "there is no stateless function %q here; there is %s", class+"/"+name, names(h.stateless)))
		return
	}
	handler.ServeHTTP(w, r)
}

// statelessHandler makes an HTTP handler of a stateless function.
func (h *Handler) statelessHandler(class, name string, run func(Context, Payload) (Payload, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		meta, err := function.ReadMeta(r.Header)
		if err != nil {
			writeError(w, Errorf(http.StatusBadRequest, "%v", err))
			return
		}
		body, err := readBody(w, r)
		if err != nil {
			writeError(w, err)
			return
		}
		ctx, cancel := contextOf(r, &meta)
		defer cancel()
		under := &running{handler: h, meta: meta, call: &function.Call{Class: class, Method: name}}
		result, err := protect(class, name, func() (Payload, error) {
			result, err := run(Context{ctx, under}, Payload{Data: body, ContentType: r.Header.Get("Content-Type")})
			if err == nil {
				err = under.finishStateless()
			}
			return result, err
		})
		if err != nil {
			writeError(w, err)
			return
		}
		write(w, http.StatusOK, result.ContentType, result.Data)
	})
}

// finishStateless refuses events: without an object there is no commit that they could be part of.
func (r *running) finishStateless() error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.err == nil && len(r.events) > 0 {
		return fmt.Errorf("a stateless function cannot emit events; it emitted %q", r.events[0].Type)
	}
	return r.err
}

// protect runs user code; a panic becomes an error, and its stack goes to the log.
func protect[T any](class, name string, fn func() (T, error)) (result T, err error) {
	defer func() {
		cause := recover()
		if cause == nil {
			return
		}
		if cause == http.ErrAbortHandler {
			panic(cause)
		}
		slog.Error("panic", "class", class, "method", name, "cause", fmt.Sprint(cause), "stack", string(debug.Stack()))
		err = &Error{Status: http.StatusInternalServerError, Code: "PANIC", Message: fmt.Sprintf("%s of %s panicked: %v", name, class, cause)}
	}()
	return fn()
}

func writeError(w http.ResponseWriter, err error) {
	e := errorOf(err)
	write(w, e.Status, jsonType, e.body())
}

func write(w http.ResponseWriter, status int, contentType string, body []byte) {
	h := w.Header()
	values := []string{strconv.Itoa(len(body)), contentType}
	h["Content-Length"] = values[:1:1]
	h["Content-Type"] = nil // rather none than a guess
	if contentType != "" {
		h["Content-Type"] = values[1:]
	}
	w.WriteHeader(status)
	if _, err := w.Write(body); err != nil {
		slog.Debug("answer not delivered", "error", err) // the platform has gone; it decides whether to call again
	}
}
