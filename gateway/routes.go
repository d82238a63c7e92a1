package gateway

import (
	"net/http"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/hpcclab/oaas-go/api/fault"
)

// Paths of the routes that have several.
const (
	pathClass   = "/api/class/:cls"
	pathShard   = pathClass + "/:pid"
	pathObjects = pathShard + "/objects"
	pathObject  = pathObjects + "/:oid"
	pathEntry   = pathObject + "/entries/:key"
	pathResult  = pathShard + "/results/:id"
	pathLetters = pathShard + "/dead-letters"
)

type dataRoute struct {
	method, path string
	serve        func(*exchange) error
}

// dataRoutes are the routes on which clients work; web pages of other origins may use them, as far as the configuration allows.
var dataRoutes = []dataRoute{
	{http.MethodGet, "/api/class", listClasses},
	{http.MethodGet, pathClass + "/triggers", listTriggers},
	{http.MethodPost, pathShard + "/invokes/:func", invokeFunction},

	{http.MethodGet, pathObjects, listObjects},
	{http.MethodGet, pathObject, getObject},
	{http.MethodPut, pathObject, putObject},
	{http.MethodPatch, pathObject, patchObject},
	{http.MethodDelete, pathObject, deleteObject},
	{http.MethodPost, pathObject + "/merge", mergeObject},
	{http.MethodPost, pathObject + "/invokes/:func", invokeMethod},

	{http.MethodGet, pathObject + "/entries", listEntries},
	{http.MethodGet, pathEntry, getEntry},
	{http.MethodPut, pathEntry, putEntry},
	{http.MethodDelete, pathEntry, deleteEntry},

	{http.MethodGet, pathResult, getResult},
	{http.MethodDelete, pathResult, cancelResult},

	{http.MethodGet, pathLetters, listLetters},
	{http.MethodPost, pathLetters + "/replay", replayLetters},
	{http.MethodPost, pathLetters + "/drop", dropLetters},

	{http.MethodPost, "/events", takeEvents},
	{http.MethodPost, "/", takeEvents},
}

// streamRoutes are those on which clients watch changes: as server-sent events, and over WebSocket if that is on.
var streamRoutes = []struct {
	path  string
	watch func(*exchange) (watch, error)
}{
	{pathClass, (*exchange).watchClass},
	{pathShard, (*exchange).watchShard},
	{pathObject, (*exchange).watchObject},
}

// mount adds the gateway's routes to its engine.
func (g *Gateway) mount() {
	dataRoutes := slices.Clip(dataRoutes)
	for _, r := range streamRoutes {
		dataRoutes = append(dataRoutes, dataRoute{http.MethodGet, r.path + "/events", func(x *exchange) error { return serveEvents(x, r.watch) }})
		if g.cfg.Streams.WebSocket {
			dataRoutes = append(dataRoutes, dataRoute{http.MethodGet, r.path + "/ws", func(x *exchange) error { return serveSocket(x, r.watch) }})
		}
	}
	for _, r := range dataRoutes {
		g.add(&route{method: r.method, template: template(r.path), serve: r.serve, data: true}, r.path)
	}
	if len(g.cfg.CORSOrigins) > 0 {
		var paths []string
		for _, r := range dataRoutes {
			paths = append(paths, r.path)
		}
		slices.Sort(paths)
		for _, path := range slices.Compact(paths) {
			g.add(&route{method: http.MethodOptions, template: template(path), serve: preflight, data: true, free: true}, path)
		}
	}
	g.add(&route{method: http.MethodGet, template: "/health", serve: health, free: true}, "/health")
	g.add(&route{method: http.MethodGet, template: "/healthz", serve: health, free: true}, "/healthz")
	g.add(&route{method: http.MethodGet, template: "/readyz", serve: ready, free: true}, "/readyz")
	g.engine.NoRoute(g.strays(notFound))
	g.engine.NoMethod(g.strays(methodNotAllowed))
}

// add mounts a route; what is got can be asked for with HEAD as well.
func (g *Gateway) add(rt *route, path string) {
	rt.metrics, rt.span = g.metrics.of(rt.method, rt.template), rt.method+" "+rt.template
	g.engine.Handle(rt.method, path, g.handle(rt))
	if rt.method == http.MethodGet {
		head := *rt
		head.method = http.MethodHead
		g.add(&head, path)
	}
}

// raw mounts a handler that is not about exchanges.
func (g *Gateway) raw(method, path string, h http.Handler) {
	g.add(&route{method: method, template: path, free: true, serve: func(x *exchange) error {
		h.ServeHTTP(x.w, x.r)
		return nil
	}}, path)
}

// template gives the path of a route as metrics and spans show it: with {name} for what changes.
func template(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		if name, ok := strings.CutPrefix(part, ":"); ok {
			parts[i] = "{" + name + "}"
		}
	}
	return strings.Join(parts, "/")
}

// strays makes a handler for requests that no route takes. They share one route in the metrics, whatever their path, and so do methods that nobody
// has heard of.
func (g *Gateway) strays(serve func(*exchange) error) gin.HandlerFunc {
	const none = "(none)"
	handlers := map[string]gin.HandlerFunc{}
	for _, method := range []string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, none,
	} {
		rt := &route{method: method, template: none, span: method, serve: serve, free: true, metrics: g.metrics.of(method, none)}
		handlers[method] = g.handle(rt)
	}
	return func(c *gin.Context) {
		if h, known := handlers[c.Request.Method]; known {
			h(c)
			return
		}
		handlers[none](c)
	}
}

func notFound(x *exchange) error {
	x.send(http.StatusNotFound, contentText, []byte("NOT FOUND"))
	return nil
}

// methodNotAllowed answers without a body, as OaaS-RS does; the engine has set the header Allow.
func methodNotAllowed(x *exchange) error {
	x.send(http.StatusMethodNotAllowed, nil, nil)
	x.c.Writer.WriteHeaderNow()
	return nil
}

func health(x *exchange) error {
	x.send(http.StatusOK, contentOctets, []byte("ok"))
	return nil
}

// ready says whether the gateway takes work: the grid serves, and the gateway is not stopping.
func ready(x *exchange) error {
	if x.g.stopping.Err() != nil {
		return fault.New(fault.Unavailable, "the gateway is stopping")
	}
	if err := x.g.grid.Ready(); err != nil {
		return fault.Wrap(fault.Unavailable, err, "the grid is not ready")
	}
	x.send(http.StatusOK, contentOctets, []byte("ready"))
	return nil
}
