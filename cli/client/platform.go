package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/hpcclab/oaas-go/dev/control"
)

// maxLine bounds one line of a stream.
const maxLine = 4 << 20

// Status says what platform answers, and where its data is.
func (c *Client) Status(ctx context.Context) (*control.Status, error) {
	var s control.Status
	if err := c.fetch(ctx, request{method: http.MethodGet, path: control.StatusPath}, &s); err != nil {
		return nil, err
	}
	return &s, nil
}

// Deploy deploys the project in a folder of the platform's machine, tells each step, and gives the last line.
func (c *Client) Deploy(ctx context.Context, dir string, each func(control.Progress)) (*control.Progress, error) {
	r, err := request{method: http.MethodPost, path: control.ProjectsPath}.jsonBody(control.DeployRequest{Dir: dir})
	if err != nil {
		return nil, err
	}
	var last *control.Progress
	err = stream(ctx, c, r, func(p control.Progress) error {
		switch {
		case p.Error != nil:
			return &Failure{Status: http.StatusBadRequest, Code: p.Error.Code, Message: p.Error.Message}
		case p.Done:
			last = &p
		default:
			each(p)
		}
		return nil
	})
	if err == nil && last == nil {
		err = errors.New("the platform ended the deployment without a result")
	}
	return last, err
}

// Projects lists what is deployed.
func (c *Client) Projects(ctx context.Context) ([]control.Project, error) {
	var list []control.Project
	err := c.fetch(ctx, request{method: http.MethodGet, path: control.ProjectsPath}, &list)
	return list, err
}

// DeleteProject takes a project away; with purge, its objects too.
func (c *Client) DeleteProject(ctx context.Context, pkg string, purge bool) error {
	r := request{method: http.MethodDelete, path: control.ProjectsPath + path(pkg)}
	if purge {
		r.query = url.Values{"purge": {"true"}}
	}
	return c.fetch(ctx, r, nil)
}

// Functions lists the functions of all projects with the state of their instances.
func (c *Client) Functions(ctx context.Context) ([]control.Function, error) {
	var list []control.Function
	err := c.fetch(ctx, request{method: http.MethodGet, path: control.FunctionsPath}, &list)
	return list, err
}

// Logs gives the last lines that a function wrote, and with follow those that come, until the context ends.
func (c *Client) Logs(ctx context.Context, function string, follow bool, tail int, each func(control.LogLine) error) error {
	return stream(ctx, c, request{
		method: http.MethodGet, path: control.FunctionsPath + path(function, "logs"),
		query: url.Values{"follow": {strconv.FormatBool(follow)}, "tail": {strconv.Itoa(tail)}},
	}, each)
}

// Activity gives what happens on the platform, until the context ends.
func (c *Client) Activity(ctx context.Context, follow bool, each func(control.Activity) error) error {
	return stream(ctx, c, request{
		method: http.MethodGet, path: control.ActivityPath, query: url.Values{"follow": {strconv.FormatBool(follow)}},
	}, each)
}

// stream decodes each line of an ndjson answer.
func stream[T any](ctx context.Context, c *Client, r request, each func(T) error) error {
	resp, err := c.send(ctx, r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			continue
		}
		var v T
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			return fmt.Errorf("read %s: %w", r.path, err)
		}
		if err := each(v); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		if ctx.Err() == nil && errors.Is(err, io.ErrUnexpectedEOF) {
			return &Unreachable{URL: c.base, Cause: errors.New("the platform went away")}
		}
		return c.sendError(ctx, err)
	}
	return nil
}
