package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// Manager gives what the Package Manager answers to a GET of /api/v1/<segments>, as JSON; an empty answer is null.
func (c *Client) Manager(ctx context.Context, query url.Values, segments ...string) (json.RawMessage, error) {
	return c.manager(ctx, request{method: http.MethodGet, path: managerPath(segments...), query: query})
}

// ManagerPost sends a document to /api/v1/<segments> and gives the answer.
func (c *Client) ManagerPost(ctx context.Context, document any, segments ...string) (json.RawMessage, error) {
	r, err := request{method: http.MethodPost, path: managerPath(segments...)}.jsonBody(document)
	if err != nil {
		return nil, err
	}
	return c.manager(ctx, r)
}

// ManagerDelete deletes /api/v1/<segments> and gives the answer.
func (c *Client) ManagerDelete(ctx context.Context, segments ...string) (json.RawMessage, error) {
	return c.manager(ctx, request{method: http.MethodDelete, path: managerPath(segments...)})
}

func managerPath(segments ...string) string {
	return path(append([]string{"api", "v1"}, segments...)...)
}

func (c *Client) manager(ctx context.Context, r request) (json.RawMessage, error) {
	resp, err := c.send(ctx, r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", c.sendError(ctx, err))
	}
	if len(text) == 0 {
		return json.RawMessage("null"), nil
	}
	if !json.Valid(text) {
		return nil, fmt.Errorf("read the answer of %s %s: it is no JSON (is this a Package Manager?)", r.method, r.path)
	}
	return text, nil
}
