package pm

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/hpcclab/oaas-go/api/fault"
)

// ProxyPrefix is the beginning of the paths that go on to a gateway.
const ProxyPrefix = "/api/gateway"

// proxyMethods are those that the proxy hands on.
var proxyMethods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

// ProxyRoutes mounts the proxy to gateways: ProxyPrefix/{path} goes to the default environment's, ProxyPrefix/env/{env}/{path} to that of another one.
// Gateway gives the gateway of an environment, of the default one for "", or nil. Upgrades to WebSocket go through as far as that handler lets them.
func ProxyRoutes(r gin.IRouter, gateway func(env string) http.Handler) {
	for _, method := range proxyMethods {
		r.Handle(method, ProxyPrefix+"/*path", func(c *gin.Context) {
			to, path := splitProxied(c.Param("path"))
			next := gateway(to)
			switch {
			case next == nil && to != "":
				refuseProxied(c, fault.New(fault.NotFound, "Cluster not found: %s", to))
			case next == nil:
				refuseProxied(c, fault.New(fault.Unavailable, "Gateway proxy not configured. Set GATEWAY_URL environment variable."))
			case strings.HasPrefix(path, ProxyPrefix) || strings.HasPrefix(path, Prefix):
				refuseProxied(c, fault.New(fault.NotFound, "%s is no path of a gateway", path))
			default:
				hand(next, c, path)
			}
		})
	}
}

// splitProxied tells the environment in a path from the gateway's own path.
func splitProxied(path string) (env, rest string) {
	after, ok := strings.CutPrefix(path, "/env/")
	if !ok {
		return "", path
	}
	env, rest, _ = strings.Cut(after, "/")
	if decoded, err := url.PathUnescape(env); err == nil {
		env = decoded
	}
	return env, "/" + rest
}

// hand has a gateway answer a request. The path stays encoded as it came.
func hand(to http.Handler, c *gin.Context, path string) {
	r := c.Request.Clone(c.Request.Context())
	decoded, err := url.PathUnescape(path)
	if err != nil {
		refuseProxied(c, fault.New(fault.InvalidURL, "Invalid URL: %v", err))
		return
	}
	r.URL.Path, r.URL.RawPath = decoded, ""
	if r.URL.EscapedPath() != path {
		r.URL.RawPath = path
	}
	r.RequestURI = r.URL.RequestURI()
	to.ServeHTTP(c.Writer, r)
}

func refuseProxied(c *gin.Context, err *fault.Error) {
	c.Header("Oaas-Error", string(err.Code))
	c.JSON(err.HTTPStatus(), failure{Error: err.Message})
}
