package rpc

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
)

// Handler serves gRPC on the port of an HTTP server that speaks HTTP/2: requests with the content type of gRPC go to s, all others to next. A call
// whose client sets no deadline ends after the timeout (0: DefaultTimeout), from its headers on.
func Handler(s *grpc.Server, timeout time.Duration, next http.Handler) http.Handler {
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	limit := []string{formatTimeout(timeout)}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !isGRPC(r):
			next.ServeHTTP(w, r)
			return
		case !own(r.URL.Path): // a health check or reflection that may watch for as long as it likes
			_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
		case len(r.Header[headerTimeout]) == 0:
			r.Header[headerTimeout] = limit // as if the client had set it: with a context of ours it would get no status
		}
		s.ServeHTTP(w, r)
	})
}

// headerTimeout is where gRPC has the time for a call.
const headerTimeout = "Grpc-Timeout"

// formatTimeout gives the value of the header: at most eight digits and a unit.
func formatTimeout(d time.Duration) string {
	const most = 99_999_999
	if ms := (d + time.Millisecond - 1) / time.Millisecond; ms <= most {
		return strconv.FormatInt(int64(ms), 10) + "m"
	}
	return strconv.FormatInt(min(int64(d/time.Second), most), 10) + "S"
}

// isGRPC reports whether a request is a gRPC call.
func isGRPC(r *http.Request) bool {
	return r.ProtoMajor == 2 && len(r.Header["Content-Type"]) > 0 && isCallType(r.Header["Content-Type"][0])
}

// isCallType reports whether a content type is that of gRPC: application/grpc, with a codec after + or parameters after ; perhaps.
func isCallType(contentType string) bool {
	rest, ok := strings.CutPrefix(contentType, "application/grpc")
	return ok && (rest == "" || rest[0] == '+' || rest[0] == ';')
}
