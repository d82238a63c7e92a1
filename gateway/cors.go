package gateway

import (
	"net/http"
	"slices"
)

// Values of the headers that let web pages of other origins use the gateway.
var (
	anything  = []string{"*"}
	varyCORS  = []string{"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"}
	someHours = []string{"7200"}
)

// allowOrigin sets the headers of an answer to a web page, if its origin is allowed.
func (x *exchange) allowOrigin() {
	origin := x.r.Header["Origin"]
	if len(origin) == 0 {
		return
	}
	h := x.w.Header()
	h["Vary"] = varyCORS
	allowed := x.g.cfg.CORSOrigins
	switch {
	case slices.Contains(allowed, "*"):
		h["Access-Control-Allow-Origin"] = anything
	case slices.Contains(allowed, origin[0]):
		h["Access-Control-Allow-Origin"] = []string{origin[0]}
	default:
		return
	}
	h["Access-Control-Expose-Headers"] = anything
}

// preflight answers a browser that asks what it may do.
func preflight(x *exchange) error {
	h := x.w.Header()
	if h["Access-Control-Allow-Origin"] != nil {
		h["Access-Control-Allow-Methods"] = anything
		h["Access-Control-Allow-Headers"] = anything
		h["Access-Control-Max-Age"] = someHours
	}
	x.send(http.StatusNoContent, nil, nil)
	return nil
}
