package config

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func yes() *bool { b := true; return &b }

func TestParse(t *testing.T) {
	full := &Config{Current: "a", Contexts: map[string]Context{
		"a": {PM: "http://pm", Gateway: "http://gw", Class: "x.y", Zenoh: "tcp/z:1", UseGRPC: yes()}, "b": {URL: "http://u"},
	}}
	for name, c := range map[string]struct {
		text string
		want *Config
	}{
		"snake case": {`
contexts:
  a: {pm_url: http://pm, gateway_url: http://gw, default_class: x.y, zenoh_peer: tcp/z:1, use_grpc: true}
  b: {url: http://u}
current_context: a`, full},
		"camel case": {`
currentContext: a
contexts:
  a: {pmUrl: http://pm, gatewayUrl: http://gw, defaultClass: x.y, zenohPeer: tcp/z:1, useGrpc: true}
  b: {url: http://u}`, full},
		"empty":   {"", &Config{Contexts: map[string]Context{}}},
		"nothing": {"contexts:\ncurrent_context:\n", &Config{Contexts: map[string]Context{}}},
		"null":    {"contexts: {a: {pm_url: null, use_grpc: null}}", &Config{Contexts: map[string]Context{"a": {}}}},
		"JSON":    {`{"contexts":{"a":{"pm_url":"http://pm"}},"current_context":"a"}`, &Config{Current: "a", Contexts: map[string]Context{"a": {PM: "http://pm"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Parse("f", []byte(c.text))
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"contexts:\n  a:\n    pm_url: [":               "f:3:", // wherever the library sees it
		"contexts:\n\ta: 1":                            "f:2:",
		"contexts: 3":                                  "f:1:11: contexts must be a mapping",
		"context: {}":                                  `f:1:1: "context" is no key here; allowed are contexts, current_context`,
		"contexts: {a: {pm: x}}":                       `f:1:16: "pm" is no key here`,
		"contexts: {a: 3}":                             "f:1:15: must be a mapping",
		"contexts: {a: {pm_url: [1]}}":                 "f:1:24: must be text",
		"contexts: {a: {use_grpc: 7}}":                 `f:1:26: use_grpc must be true or false, is "7"`,
		"contexts: {a: {}, a: {}}":                     "twice",
		"contexts:\n  a:\n    pm_url: x\n    pmUrl: y": "f:4:5: pm_url is there twice",
		"- a":                 "f:1:1: must be a mapping",
		"current_context: {}": "f:1:18: must be text",
	} {
		_, err := Parse("f", []byte(text))
		if _, ok := errors.AsType[*Problem](err); !ok || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("contexts: {a: {pm_url: x, useGrpc: true}}\ncurrentContext: a")
	f.Add("contexts:\n\t- [")
	f.Add("contexts: 0")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse("f", []byte(text))
		if (c == nil) == (err == nil) {
			t.Errorf("%q gives %v and %v", text, c, err)
		}
	})
}

func TestPath(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		want string
	}{
		{map[string]string{"HOME": "/h"}, "/h/.oprc/config.yml"},
		{map[string]string{"HOME": "/h", "OPRC_CONFIG_PATH": "/x"}, "/x"},
		{map[string]string{"USERPROFILE": "/w"}, "/w/.oprc/config.yml"},
		{nil, ""},
	} {
		got := Path(func(name string) (string, bool) { v, ok := c.env[name]; return v, ok })
		if got != filepath.FromSlash(c.want) {
			t.Errorf("%v: got %s", c.env, got)
		}
	}
}

func none() *Config { return &Config{Contexts: map[string]Context{}} }

func TestUpdate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "config.yml")
	set := func(c *Config) error { c.Current, c.Contexts["a"] = "a", Context{URL: "http://u"}; return nil }
	if err := Update(t.Context(), path, none, set); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil || string(text) != "contexts:\n  a:\n    url: http://u\ncurrent_context: a\n" {
		t.Errorf("%s, %v", text, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Update(t.Context(), path, none, func(c *Config) error { c.Contexts["b"] = Context{}; return nil }); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path)
	if err != nil || len(c.Contexts) != 2 {
		t.Errorf("%+v, %v", c, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// A file that cannot be used stays as it is.
func TestUpdateLeavesWhatItCannotUse(t *testing.T) {
	refuse := errors.New("no")
	for name, c := range map[string]struct {
		text   string
		mode   fs.FileMode
		change func(*Config) error
		want   string
	}{
		"broken":    {"contexts:\n  a: [\n", 0o644, func(*Config) error { return nil }, ":2:"},
		"unknown":   {"kontexts: {}\n", 0o644, func(*Config) error { return nil }, ":1:1:"},
		"read-only": {"contexts: {}\n", 0o444, func(*Config) error { return nil }, "is read-only"},
		"refused":   {"contexts: {}\n", 0o644, func(*Config) error { return refuse }, "no"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "config.yml")
			if err := os.WriteFile(path, []byte(c.text), c.mode); err != nil {
				t.Fatal(err)
			}
			err := Update(t.Context(), path, none, c.change)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v", err)
			}
			text, err := os.ReadFile(path)
			if err != nil || string(text) != c.text {
				t.Errorf("the file became %q, %v", text, err)
			}
			if files, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(files) > 2 {
				t.Errorf("left behind: %v, %v", files, err)
			}
		})
	}
}

// What is a link stays one: only the file that it leads to changes.
func TestUpdateFollowsLinks(t *testing.T) {
	dir := t.TempDir()
	real, link := filepath.Join(dir, "real.yml"), filepath.Join(dir, "config.yml")
	if err := os.WriteFile(real, []byte("contexts: {}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, link); err != nil {
		t.Skip(err)
	}
	if err := Update(t.Context(), link, none, func(c *Config) error { c.Current = "x"; return nil }); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(link)
	if err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link became %v, %v", info.Mode(), err)
	}
	if c, err := Load(real); err != nil || c.Current != "x" {
		t.Errorf("%+v, %v", c, err)
	}
}

// Readers never see half a file, and no change of many writers is lost.
func TestConcurrentWriters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yml")
	const writers, each = 6, 5
	stop := make(chan struct{})
	var reading, writing sync.WaitGroup
	reading.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := Load(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a reader sees: %v", err)
				return
			}
		}
	})
	for w := range writers {
		writing.Go(func() {
			for i := range each {
				name := strconv.Itoa(w) + "-" + strconv.Itoa(i)
				if err := Update(t.Context(), path, none, func(c *Config) error { c.Contexts[name] = Context{URL: name}; return nil }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writing.Wait()
	close(stop)
	reading.Wait()
	if c, err := Load(path); err != nil || len(c.Contexts) != writers*each {
		t.Errorf("%d contexts, %v", len(c.Contexts), err)
	}
}

func TestLockIsWaitedForInVain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yml")
	unlock, err := lock(t.Context(), path+".lock")
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if err := Update(ctx, path, none, func(*Config) error { return nil }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
