package gateway

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hpcclab/oaas-go/odgm/stream"
)

func lookup(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, found := env[name]
		return value, found
	}
}

func TestConfigFromEnvironment(t *testing.T) {
	cfg, err := FromEnv(lookup(map[string]string{
		"HTTP_PORT": "1", "OPRC_GW_HTTP_PORT": "9090", "MAX_PAYLOAD_BYTES": "1048576", "OPRC_GW_REQUEST_TIMEOUT_MS": "1500",
		"MAX_TIMEOUT_MS": "60000", "MAX_IN_FLIGHT": "7", "MAX_HEADER_BYTES": "4096", "DRAIN_TIMEOUT_MS": "1000", "DRAIN_DELAY_MS": "20",
		"IDLE_TIMEOUT_MS": "5000", "READ_HEADER_TIMEOUT_MS": "3000", "CORS_ORIGINS": "https://a.example, https://b.example", "RETRY_ATTEMPTS": "3",
		"OPRC_GW_GATEWAY_WS_ENABLED": "false", "MAX_STREAMS": "5", "MAX_CLASS_STREAMS": "4", "STREAM_PING_MS": "3000", "STREAM_WRITE_TIMEOUT_MS": "2000",
		"STREAM_READ_LIMIT_BYTES": "1000", "STREAM_SLOW": "disconnect",
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Port: 9090, MaxPayloadBytes: 1 << 20, MaxHeaderBytes: 4096, MaxInFlight: 7, RequestTimeout: 1500 * time.Millisecond, MaxTimeout: time.Minute,
		ReadHeaderTimeout: 3 * time.Second, IdleTimeout: 5 * time.Second, DrainDelay: 20 * time.Millisecond, DrainTimeout: time.Second,
		Streams: StreamConfig{
			Max: 5, MaxClass: 4, Ping: 3 * time.Second, WriteTimeout: 2 * time.Second, ReadLimit: 1000, Slow: stream.Disconnect,
		},
	}
	if strings.Join(cfg.CORSOrigins, " ") != "https://a.example https://b.example" {
		t.Errorf("origins %q", cfg.CORSOrigins)
	}
	if cfg.CORSOrigins = nil; !reflect.DeepEqual(cfg, want) {
		t.Errorf("got %+v, want %+v", cfg, want)
	}
	if cfg, err = FromEnv(lookup(map[string]string{"CORS_ORIGINS": "none"})); err != nil || cfg.CORSOrigins != nil {
		t.Errorf("got %v %v", cfg.CORSOrigins, err)
	}
	if cfg, err = FromEnv(lookup(nil)); err != nil || cfg.Port != 8080 || cfg.MaxPayloadBytes != 4194304 || cfg.RequestTimeout != 30*time.Second {
		t.Errorf("defaults: %+v %v", cfg, err)
	}
}

func TestBadConfig(t *testing.T) {
	for name, value := range map[string]string{
		"HTTP_PORT": "70000", "MAX_PAYLOAD_BYTES": "4MB", "MAX_HEADER_BYTES": "10", "MAX_IN_FLIGHT": "0", "REQUEST_TIMEOUT_MS": "-1", "MAX_TIMEOUT_MS": "1",
		"READ_HEADER_TIMEOUT_MS": "0", "IDLE_TIMEOUT_MS": "x", "DRAIN_DELAY_MS": "99999999999999999", "DRAIN_TIMEOUT_MS": "0", "CORS_ORIGINS": "example.org",
	} {
		if _, err := FromEnv(lookup(map[string]string{name: value})); err == nil {
			t.Errorf("%s=%s was taken", name, value)
		}
	}
	_, err := FromEnv(lookup(map[string]string{"OPRC_GW_HTTP_PORT": "x", "MAX_PAYLOAD_BYTES": "y"}))
	if err == nil || !strings.Contains(err.Error(), `HTTP_PORT="x"`) || !strings.Contains(err.Error(), `MAX_PAYLOAD_BYTES="y"`) {
		t.Errorf("both are named: %v", err)
	}
	if _, err := New(nil, Config{}, Options{}); err == nil {
		t.Error("a gateway was made of an empty configuration")
	}
}

func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parent, cancel := context.WithCancelCause(context.WithValue(t.Context(), tick{}, "value"))
		defer cancel(nil)
		d := &deadline{Context: parent, at: time.Now().Add(time.Second)}
		if at, ok := d.Deadline(); !ok || !at.Equal(d.at) || d.Err() != nil || d.Value(tick{}) != "value" {
			t.Errorf("before: %v %v %v", at, ok, d.Err())
		}
		if d.timed.Load() != nil {
			t.Error("a timer was made for nobody")
		}
		time.Sleep(time.Second)
		if d.Err() != context.DeadlineExceeded {
			t.Errorf("after: %v", d.Err())
		}
		<-d.Done()
		if d.Err() != context.DeadlineExceeded || d.Value(tick{}) != "value" {
			t.Errorf("after with a timer: %v", d.Err())
		}
		d.release()

		waiting := &deadline{Context: parent, at: time.Now().Add(time.Second)}
		child, cancelChild := context.WithCancel(waiting)
		defer cancelChild()
		if first, second := waiting.Done(), waiting.Done(); first != second {
			t.Error("two timers")
		}
		cancel(nil)
		<-child.Done()
		if waiting.Err() != context.Canceled || child.Err() != context.Canceled {
			t.Errorf("cancelled: %v %v", waiting.Err(), child.Err())
		}
		waiting.release()
		short, cancelShort := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancelShort()
		if at, _ := (&deadline{Context: short, at: time.Now().Add(time.Hour)}).Deadline(); time.Until(at) > time.Second {
			t.Errorf("the parent's deadline is earlier than %v", at)
		}
	})
}

type tick struct{}
