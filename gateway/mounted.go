package gateway

import (
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
)

// mountedMetrics are the metrics of routes that Options.Mount added, by method and template.
type mountedMetrics struct {
	mu     sync.RWMutex
	routes map[[2]string]*routeMetrics
}

// of gives the metrics of a route; there are as many as routes.
func (m *mountedMetrics) of(all *metrics, method, path string) *routeMetrics {
	key := [2]string{method, path}
	m.mu.RLock()
	known := m.routes[key]
	m.mu.RUnlock()
	if known != nil {
		return known
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if known = m.routes[key]; known == nil {
		if m.routes == nil {
			m.routes = map[[2]string]*routeMetrics{}
		}
		known = all.of(method, path)
		m.routes[key] = known
	}
	return known
}

// observe counts, traces and protects the routes that Options.Mount adds. They may stream for as long as they like.
func (g *Gateway) observe(c *gin.Context) {
	method, path := c.Request.Method, template(c.FullPath())
	rt := &route{method: method, template: path, span: method + " " + path, metrics: g.mounted.of(g.metrics, method, path)}
	rt.metrics.active.Inc()
	g.inFlight.Add(1)
	x := &exchange{g: g, route: rt, c: c, w: c.Writer, r: c.Request, began: time.Now()}
	defer x.finish()
	x.begin()
	_ = http.NewResponseController(c.Writer).SetWriteDeadline(time.Time{}) // servers without such a deadline need no lifting of it
	c.Request = c.Request.WithContext(x.ctx.Context)
	c.Next()
}
