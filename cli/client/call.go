package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Call is a call of a method, or of a stateless function when Ref.ID is empty.
type Call struct {
	Ref         Ref
	Method      string
	Payload     []byte
	ContentType string
	// Key makes a repeated call give the stored result.
	Key string
	// Timeout bounds the call on the platform; 0 leaves it to the method.
	Timeout time.Duration
}

func (c Call) request() request {
	target := c.Ref.path("invokes", c.Method)
	if c.Ref.ID == "" {
		target = path("api", "class", c.Ref.Class, c.Ref.partition(), "invokes", c.Method)
	}
	r := request{method: http.MethodPost, path: target, body: c.Payload, header: map[string]string{
		"Content-Type": c.ContentType, "Idempotency-Key": c.Key,
	}}
	if c.Timeout > 0 {
		r.header["Oaas-Timeout"] = c.Timeout.String()
	}
	return r
}

// Answer is what a call gave.
type Answer struct {
	Status      int
	ContentType string
	// Version is the object's version after the call, 0 if the platform did not say.
	Version uint64
	Payload []byte
	// Empty says that there was no payload at all; only gRPC and Zenoh tell that from one without bytes.
	Empty bool
	// Headers are what a function said beside its payload, over gRPC and Zenoh.
	Headers map[string]string
}

// Invoke calls a method and waits for its answer.
func (c *Client) Invoke(ctx context.Context, call Call) (*Answer, error) {
	resp, err := c.send(ctx, call.request())
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return answer(resp)
}

func answer(resp *http.Response) (*Answer, error) {
	payload, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("read the result: %w", err)
	}
	version := resp.Header.Get("Oaas-Object-Version")
	if version == "" {
		version = resp.Header.Get("ETag")
	}
	return &Answer{Status: resp.StatusCode, ContentType: resp.Header.Get("Content-Type"), Version: tag(version), Payload: payload}, nil
}

// Invocation is an asynchronous call.
type Invocation struct {
	ID       string    `json:"id"`
	Object   string    `json:"object"`
	Method   string    `json:"method"`
	Status   string    `json:"status"`
	Created  time.Time `json:"created"`
	Finished time.Time `json:"finished,omitzero"`
	Result   *Result   `json:"result,omitempty"`
	Error    *Reason   `json:"error,omitempty"`
}

// Pending reports whether the call has not ended.
func (i *Invocation) Pending() bool { return i.Status == "pending" }

// Result is what an asynchronous call gave.
type Result struct {
	Payload     []byte `json:"payload"`
	ContentType string `json:"content_type"`
}

// Reason is why an asynchronous call failed.
type Reason struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Status  int    `json:"status"`
}

// InvokeAsync has a call kept on the platform and run there, and gives its id.
func (c *Client) InvokeAsync(ctx context.Context, call Call) (string, error) {
	r := call.request()
	r.header["Prefer"] = "respond-async"
	var accepted struct {
		ID string `json:"invocation_id"`
	}
	if err := c.fetch(ctx, r, &accepted); err != nil {
		return "", err
	}
	return accepted.ID, nil
}

func resultPath(at Ref, id string) string {
	return path("api", "class", at.Class, at.partition(), "results", id)
}

// Result gives an asynchronous call; with wait, once it has ended or that time is over. Of the call only the class and the partition count.
func (c *Client) Result(ctx context.Context, call Call, id string, wait time.Duration) (*Invocation, error) {
	r := request{method: http.MethodGet, path: resultPath(call.Ref, id)}
	if wait > 0 {
		r.query = url.Values{"wait": {wait.String()}}
	}
	var inv Invocation
	if err := c.fetch(ctx, r, &inv); err != nil {
		return nil, err
	}
	return &inv, nil
}

// Cancel ends an asynchronous call that has not ended.
func (c *Client) Cancel(ctx context.Context, at Ref, id string) error {
	return c.fetch(ctx, request{method: http.MethodDelete, path: resultPath(at, id)}, nil)
}
