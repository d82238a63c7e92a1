package gateway

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hpcclab/oaas-go/odgm/stream"
)

// Config says how a gateway listens and what it bounds. DefaultConfig has the defaults, FromEnv overlays the environment.
type Config struct {
	// Port is where the gateway binary listens (HTTP_PORT).
	Port int
	// MaxPayloadBytes bounds the body of a request (MAX_PAYLOAD_BYTES).
	MaxPayloadBytes int64
	// MaxHeaderBytes bounds the request line and the headers (MAX_HEADER_BYTES).
	MaxHeaderBytes int
	// MaxInFlight bounds the requests that are answered at the same time (MAX_IN_FLIGHT); the next gets 429.
	MaxInFlight int
	// RequestTimeout is the time for a request that does not ask for another one (REQUEST_TIMEOUT_MS).
	RequestTimeout time.Duration
	// MaxTimeout is the most that the header Oaas-Timeout, and the parameter wait of a result, can ask for (MAX_TIMEOUT_MS).
	MaxTimeout time.Duration
	// ReadHeaderTimeout is the time for a client to send its headers (READ_HEADER_TIMEOUT_MS).
	ReadHeaderTimeout time.Duration
	// IdleTimeout closes connections without requests (IDLE_TIMEOUT_MS).
	IdleTimeout time.Duration
	// DrainDelay is how long a stopping gateway still takes new connections while /readyz says 503, so that load balancers can
	// leave it (DRAIN_DELAY_MS). 0 where there is none.
	DrainDelay time.Duration
	// DrainTimeout is the time for requests in flight to finish when the gateway stops (DRAIN_TIMEOUT_MS).
	DrainTimeout time.Duration
	// CORSOrigins are the web origins that may use the data routes from a browser: "*" for any, none to send no CORS headers
	// (CORS_ORIGINS, separated by commas; "none" for none).
	CORSOrigins []string
	// FunctionErrorsOK answers 200 where a method or function failed by itself, with what it said as body, as OaaS-RS's gateway does
	// (FUNCTION_ERRORS_OK, true or false). The header Oaas-Error still tells.
	FunctionErrorsOK bool
	// Streams bounds the streams of changes.
	Streams StreamConfig
}

// StreamConfig says how streams of changes are served, over WebSocket and as server-sent events.
type StreamConfig struct {
	// WebSocket turns the WebSocket routes on (GATEWAY_WS_ENABLED).
	WebSocket bool
	// Max bounds the streams that are open at a time (MAX_STREAMS), and MaxClass those of one class (MAX_CLASS_STREAMS); the next gets 503.
	Max, MaxClass int
	// Ping is how often a quiet stream is pinged (STREAM_PING_MS); a WebSocket peer of which nothing came for twice that long is dead. 0 for never.
	Ping time.Duration
	// WriteTimeout is the time for a client to take what was sent to it (STREAM_WRITE_TIMEOUT_MS).
	WriteTimeout time.Duration
	// ReadLimit bounds the frames of clients in bytes (STREAM_READ_LIMIT_BYTES). They are read and ignored.
	ReadLimit int64
	// Slow says what becomes of clients that fall behind (STREAM_SLOW: catch-up, drop or disconnect).
	Slow stream.SlowPolicy
}

func defaultStreams() StreamConfig {
	return StreamConfig{WebSocket: true, Max: 20_000, MaxClass: 10_000, Ping: 30 * time.Second, WriteTimeout: 10 * time.Second, ReadLimit: 64 << 10}
}

// DefaultConfig gives the defaults, which are those of OaaS-RS where it has the setting.
func DefaultConfig() Config {
	return Config{
		Port:              8080,
		MaxPayloadBytes:   4 << 20,
		MaxHeaderBytes:    64 << 10,
		MaxInFlight:       4096,
		RequestTimeout:    30 * time.Second,
		MaxTimeout:        10 * time.Minute,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		DrainTimeout:      30 * time.Second,
		CORSOrigins:       []string{"*"},
		Streams:           defaultStreams(),
	}
}

// EnvPrefix is looked up before each plain name.
const EnvPrefix = "OPRC_GW_"

// FromEnv gives the defaults with what the environment says, each variable with EnvPrefix first. The result is valid.
func FromEnv(lookup func(string) (string, bool)) (Config, error) {
	cfg := DefaultConfig()
	var errs []error
	read := func(name string, set func(string) error) {
		text, found := lookup(EnvPrefix + name)
		if !found {
			text, found = lookup(name)
		}
		if !found {
			return
		}
		if err := set(text); err != nil {
			errs = append(errs, fmt.Errorf("%s=%q: %w", name, text, err))
		}
	}
	read("HTTP_PORT", integer(&cfg.Port))
	read("MAX_PAYLOAD_BYTES", integer(&cfg.MaxPayloadBytes))
	read("MAX_HEADER_BYTES", integer(&cfg.MaxHeaderBytes))
	read("MAX_IN_FLIGHT", integer(&cfg.MaxInFlight))
	read("REQUEST_TIMEOUT_MS", milliseconds(&cfg.RequestTimeout))
	read("MAX_TIMEOUT_MS", milliseconds(&cfg.MaxTimeout))
	read("READ_HEADER_TIMEOUT_MS", milliseconds(&cfg.ReadHeaderTimeout))
	read("IDLE_TIMEOUT_MS", milliseconds(&cfg.IdleTimeout))
	read("DRAIN_DELAY_MS", milliseconds(&cfg.DrainDelay))
	read("DRAIN_TIMEOUT_MS", milliseconds(&cfg.DrainTimeout))
	read("CORS_ORIGINS", func(text string) error {
		cfg.CORSOrigins = nil
		for origin := range strings.SplitSeq(text, ",") {
			if origin = strings.TrimSpace(origin); origin != "" && origin != "none" {
				cfg.CORSOrigins = append(cfg.CORSOrigins, origin)
			}
		}
		return nil
	})
	read("FUNCTION_ERRORS_OK", boolean(&cfg.FunctionErrorsOK))
	cfg.Streams.read(read)
	if err := errors.Join(errs...); err != nil {
		return Config{}, err
	}
	return cfg, cfg.Validate()
}

// slowPolicies has the names of the policies for slow clients.
var slowPolicies = map[string]stream.SlowPolicy{"catch-up": stream.CatchUp, "drop": stream.Drop, "disconnect": stream.Disconnect}

// read takes the settings from the environment.
func (c *StreamConfig) read(read func(name string, set func(string) error)) {
	read("GATEWAY_WS_ENABLED", func(text string) (err error) {
		if c.WebSocket, err = strconv.ParseBool(text); err != nil {
			err = errors.New("neither true nor false")
		}
		return err
	})
	read("MAX_STREAMS", integer(&c.Max))
	read("MAX_CLASS_STREAMS", integer(&c.MaxClass))
	read("STREAM_PING_MS", milliseconds(&c.Ping))
	read("STREAM_WRITE_TIMEOUT_MS", milliseconds(&c.WriteTimeout))
	read("STREAM_READ_LIMIT_BYTES", integer(&c.ReadLimit))
	read("STREAM_SLOW", func(text string) error {
		policy, known := slowPolicies[text]
		if !known {
			return errors.New("not one of catch-up, drop, disconnect")
		}
		c.Slow = policy
		return nil
	})
}

func integer[N int | int64](field *N) func(string) error {
	return func(text string) error {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return errors.New("not an integer")
		}
		*field = N(n)
		return nil
	}
}

func boolean(field *bool) func(string) error {
	return func(text string) (err error) {
		if *field, err = strconv.ParseBool(text); err != nil {
			return errors.New("neither true nor false")
		}
		return nil
	}
}

func milliseconds(field *time.Duration) func(string) error {
	return func(text string) error {
		n, err := strconv.ParseInt(text, 10, 64)
		const most = int64(365 * 24 * time.Hour / time.Millisecond)
		if err != nil || n < 0 || n > most {
			return fmt.Errorf("not a number of milliseconds from 0 to %d", most)
		}
		*field = time.Duration(n) * time.Millisecond
		return nil
	}
}

// Validate checks every field; its error names all that are wrong.
func (c *Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(c.Port >= 0 && c.Port <= 65535, "port %d: allowed are 0 to 65535", c.Port)
	check(c.MaxPayloadBytes > 0 && c.MaxPayloadBytes <= 1<<30, "max payload of %d bytes: allowed are 1 to 1073741824", c.MaxPayloadBytes)
	check(c.MaxHeaderBytes >= 1<<10 && c.MaxHeaderBytes <= 16<<20, "max headers of %d bytes: allowed are 1024 to 16777216", c.MaxHeaderBytes)
	check(c.MaxInFlight > 0, "max requests in flight %d: must be at least 1", c.MaxInFlight)
	check(c.RequestTimeout > 0, "request timeout %s: must be positive", c.RequestTimeout)
	check(c.MaxTimeout >= c.RequestTimeout, "max timeout %s: must not be less than the request timeout %s", c.MaxTimeout, c.RequestTimeout)
	check(c.ReadHeaderTimeout > 0, "read header timeout %s: must be positive", c.ReadHeaderTimeout)
	check(c.IdleTimeout > 0, "idle timeout %s: must be positive", c.IdleTimeout)
	check(c.DrainDelay >= 0, "drain delay %s: must not be negative", c.DrainDelay)
	check(c.DrainTimeout > 0, "drain timeout %s: must be positive", c.DrainTimeout)
	s := &c.Streams
	check(s.Max > 0, "max streams %d: must be at least 1", s.Max)
	check(s.MaxClass > 0, "max streams of a class %d: must be at least 1", s.MaxClass)
	check(s.Ping >= 0, "stream ping %s: must not be negative", s.Ping)
	check(s.WriteTimeout > 0, "stream write timeout %s: must be positive", s.WriteTimeout)
	check(s.ReadLimit >= 125, "stream read limit of %d bytes: must be at least 125", s.ReadLimit)
	for _, origin := range c.CORSOrigins {
		check(origin == "*" || strings.Contains(origin, "://"), "CORS origin %q: allowed are * and origins such as https://example.org", origin)
	}
	return errors.Join(errs...)
}
