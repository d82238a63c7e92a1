package dev

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/dev/control"
	"github.com/hpcclab/oaas-go/pm"
	"github.com/hpcclab/oaas-go/runtime/runner"
)

// maxControlBody bounds the bodies of control requests.
const maxControlBody = 64 << 10

// routes mounts the Package Manager's routes and the control API. They can run code as the user who started the platform, so only this machine's
// programs may use them: a web page in the user's browser (it sends Origin, or another Host) and other machines are refused.
func (p *platform) routes(r gin.IRouter) {
	openAPIRoute(r, p.document)
	pm.ProxyRoutes(r, p.gatewayOf)
	r = r.Group("", localOnly)
	p.manager.Routes(r)
	for _, rt := range []struct {
		method, path string
		serve        http.HandlerFunc
	}{
		{http.MethodPost, control.ProjectsPath, p.postProject},
		{http.MethodGet, control.ProjectsPath, func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, p.projectList()) }},
		{http.MethodDelete, control.ProjectsPath + "/:package", p.deleteProject},
		{http.MethodGet, control.FunctionsPath, func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, p.functions()) }},
		{http.MethodGet, control.FunctionsPath + "/:name/logs", p.getLogs},
		{http.MethodGet, control.ActivityPath, p.getActivity},
		{http.MethodGet, control.StatusPath, func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, p.status()) }},
	} {
		r.Handle(rt.method, rt.path, func(c *gin.Context) {
			for _, param := range c.Params {
				c.Request.SetPathValue(param.Key, decoded(c.Request, param.Value))
			}
			rt.serve(c.Writer, c.Request)
		})
	}
}

// gatewayOf gives the gateway of this machine, which is that of its only environment.
func (p *platform) gatewayOf(env string) http.Handler {
	if env != "" && env != environmentName {
		return nil
	}
	return p.gateway.Handler()
}

// decoded gives a part of the path, which the gateway's engine leaves as it came.
func decoded(r *http.Request, part string) string {
	if text, err := url.PathUnescape(part); err == nil && r.URL.RawPath != "" {
		return text
	}
	return part
}

// localOnly refuses requests that a program of this machine would not send.
func localOnly(c *gin.Context) {
	r := c.Request
	var why error
	switch {
	case !isLoopback(r.Host):
		why = fault.New(fault.Forbidden, "host %q: the control API is for this machine only; use http://127.0.0.1 or http://localhost", r.Host)
	case !isLoopback(r.RemoteAddr):
		why = fault.New(fault.Forbidden, "the control API is for programs of the machine that the platform runs on")
	case r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") == "cross-site":
		why = fault.New(fault.Forbidden, "the control API is not for web pages")
	default:
		return
	}
	refuse(c.Writer, why)
	c.Abort()
}

// isLoopback reports whether a host, with or without a port, is this machine.
func isLoopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	if len(host) > 2 && host[0] == '[' {
		host = host[1 : len(host)-1]
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// answer writes JSON. A client that is gone has nobody to tell.
func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value)
}

// refuse writes an error as the gateway does.
func refuse(w http.ResponseWriter, err error) {
	answer(w, fault.From(err).HTTPStatus(), map[string]control.Error{"error": controlError(err)})
}

func controlError(err error) control.Error {
	f := fault.From(err)
	if f.Code == fault.Internal && !errors.Is(err, os.ErrPermission) {
		// Building and starting somebody's code fails for reasons that lie there.
		f = fault.New(fault.InvalidArgument, "%s", err.Error())
	}
	return control.Error{Code: string(f.Code), Message: f.Message}
}

// postProject deploys the project in a folder and tells each step as a line of the answer.
func (p *platform) postProject(w http.ResponseWriter, r *http.Request) {
	dir, err := requestedDir(w, r)
	if err != nil {
		refuse(w, err)
		return
	}
	lines := newLines(w)
	ctx, stop := context.WithCancel(r.Context())
	defer stop()
	defer context.AfterFunc(p.stopping, stop)()
	begun := time.Now()
	d, err := p.deploy(ctx, dir, func(step control.Progress) { lines.write(step) })
	if err != nil {
		message := controlError(err)
		p.problem(control.Activity{Message: message.Message})
		lines.write(control.Progress{Error: &message})
		return
	}
	if _, err := p.watch(d.Dir, d.Source); err != nil {
		p.problem(control.Activity{Package: d.Package.Name, Message: err.Error(), Hint: "changes are not noticed; deploy them again by hand"})
	}
	took := time.Since(begun)
	p.activity.add(control.Activity{Kind: control.KindReload, Package: d.Package.Name, Message: "deployed from " + d.Dir, Millis: millis(took)})
	lines.write(control.Progress{Step: control.StepReady, Millis: took.Milliseconds()})
	done := control.Progress{Done: true, Package: d.Package.Name, Classes: classNames(d.classes), Millis: took.Milliseconds()}
	for i := range d.Package.Functions {
		done.Functions = append(done.Functions, d.Package.Name+"-"+d.Package.Functions[i].Key)
	}
	lines.write(done)
}

func requestedDir(w http.ResponseWriter, r *http.Request) (string, error) {
	if t := r.Header.Get("Content-Type"); t != "application/json" {
		return "", fault.New(fault.UnsupportedType, "content type %q: want application/json", t)
	}
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxControlBody))
	dec.DisallowUnknownFields()
	var req control.DeployRequest
	if err := dec.Decode(&req); err != nil {
		return "", fault.Wrap(fault.DecodeError, err, "read the request")
	}
	if !filepath.IsAbs(req.Dir) {
		return "", fault.New(fault.InvalidArgument, "dir %q is not an absolute path", req.Dir)
	}
	return filepath.Clean(req.Dir), nil
}

func (p *platform) deleteProject(w http.ResponseWriter, r *http.Request) {
	purge := false
	if text := r.URL.Query().Get("purge"); text != "" {
		var err error
		if purge, err = strconv.ParseBool(text); err != nil {
			refuse(w, fault.New(fault.InvalidArgument, "purge=%q: want true or false", text))
			return
		}
	}
	if err := p.manager.Remove(r.Context(), r.PathValue("package"), purge); err != nil {
		refuse(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (p *platform) getLogs(w http.ResponseWriter, r *http.Request) {
	follow, tail := r.URL.Query().Get("follow") == "true", -1
	if text := r.URL.Query().Get("tail"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			refuse(w, fault.New(fault.InvalidArgument, "tail=%q: want a number of lines", text))
			return
		}
		tail = n
	}
	name := r.PathValue("name")
	_, isModule := p.modules.Function(name)
	if _, ok := p.runner.Function(name); !ok && !isModule {
		refuse(w, fault.New(fault.NotFound, "no function %q runs here", name))
		return
	}
	if isModule {
		lines := newLines(w)
		p.readModuleLog(r.Context(), name, follow, tail, func(l control.LogLine) { lines.write(l) })
		return
	}
	ctx, stop := context.WithCancel(r.Context())
	defer stop()
	defer context.AfterFunc(p.stopping, stop)()
	lines := newLines(w)
	// It ends when the reader goes away, or the function does; both are no news to anybody.
	_ = p.runner.Logs(ctx, name, follow, tail, func(l runner.LogLine) {
		lines.write(control.LogLine{
			Time: l.Time, Function: l.Function, Revision: l.Revision, PID: l.PID, Stream: l.Stream, Text: l.Text, Missed: l.Missed,
		})
	})
}

func (p *platform) getActivity(w http.ResponseWriter, r *http.Request) {
	lines := newLines(w)
	if r.URL.Query().Get("follow") != "true" {
		past, _ := p.activity.since(0)
		for _, a := range past {
			lines.write(a)
		}
		return
	}
	// It ends when the reader goes away or the platform stops.
	_ = p.activity.follow(r.Context(), p.stopping.Done(), 0, func(a control.Activity) error {
		lines.write(a)
		return nil
	})
}

func (p *platform) status() control.Status {
	return control.Status{
		Address: p.url, Zenoh: p.mesh.address, ZenohNote: p.mesh.note, DataDir: p.dataDir, PID: os.Getpid(), Version: p.cfg.Version, Started: p.started, Ready: p.grid.Ready() == nil,
	}
}

// lines writes a stream, one JSON document a line, each sent at once.
type lines struct {
	w     http.ResponseWriter
	flush *http.ResponseController
}

func newLines(w http.ResponseWriter) *lines {
	w.Header().Set("Content-Type", control.ContentType)
	w.Header().Set("Cache-Control", "no-store")
	l := &lines{w, http.NewResponseController(w)}
	w.WriteHeader(http.StatusOK)
	_ = l.flush.Flush() // a client that is gone has nobody to tell, here and below
	return l
}

func (l *lines) write(value any) {
	text, err := json.Marshal(value)
	if err != nil {
		return // plain data always encodes
	}
	_, _ = l.w.Write(append(text, '\n'))
	_ = l.flush.Flush()
}
