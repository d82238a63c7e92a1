package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// AnyPartition as a partition means: the one that the object's id belongs to.
const AnyPartition = "_"

// Ref names an object.
type Ref struct {
	Class string
	// Partition is a number, or AnyPartition; "" means AnyPartition.
	Partition string
	ID        string
}

func (r Ref) partition() string {
	if r.Partition == "" {
		return AnyPartition
	}
	return r.Partition
}

func (r Ref) path(more ...string) string {
	return path(append([]string{"api", "class", r.Class, r.partition(), "objects", r.ID}, more...)...)
}

// Value is one entry of an object.
type Value struct {
	Data []byte `json:"data"`
	Type int    `json:"type"`
}

// Object is an object with all of its entries.
type Object struct {
	Class     string
	Partition uint32
	ID        string
	Version   uint64
	Entries   map[string]Value
}

// Object reads an object.
func (c *Client) Object(ctx context.Context, ref Ref) (*Object, error) {
	resp, err := c.send(ctx, request{method: http.MethodGet, path: ref.path(), header: map[string]string{"Accept": "application/json"}})
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var doc struct {
		Metadata struct {
			Class     string `json:"cls_id"`
			Partition uint32 `json:"partition_id"`
			ID        string `json:"object_id"`
		} `json:"metadata"`
		Entries map[string]Value `json:"entries"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&doc); err != nil {
		return nil, fmt.Errorf("read object: %w", err)
	}
	return &Object{
		Class: doc.Metadata.Class, Partition: doc.Metadata.Partition, ID: doc.Metadata.ID,
		Version: tag(resp.Header.Get("ETag")), Entries: doc.Entries,
	}, nil
}

// tag reads the version in an entity tag; 0 if there is none.
func tag(text string) uint64 {
	n, err := strconv.ParseUint(strings.Trim(strings.TrimPrefix(text, "W/"), `"`), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// Entry reads the bytes of one entry.
func (c *Client) Entry(ctx context.Context, ref Ref, key string) ([]byte, error) {
	resp, err := c.send(ctx, request{
		method: http.MethodGet, path: ref.path("entries", key), header: map[string]string{"Accept": "application/octet-stream"},
	})
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read entry: %w", err)
	}
	return data, nil
}

// Change is a write of an object, done as a whole or not at all.
type Change struct {
	Set    map[string]Value `json:"set,omitempty"`
	Delete []string         `json:"delete,omitempty"`
	// ExpectedVersion, when not nil, is the version that the object must have.
	ExpectedVersion *uint64 `json:"expected_version,omitempty"`
}

// Write changes an object and gives its version afterwards.
func (c *Client) Write(ctx context.Context, ref Ref, ch Change) (uint64, error) {
	r, err := request{method: http.MethodPatch, path: ref.path()}.jsonBody(ch)
	if err != nil {
		return 0, err
	}
	var answer struct {
		Version uint64 `json:"version"`
	}
	err = c.fetch(ctx, r, &answer)
	return answer.Version, err
}

// Delete deletes an object. A version that is not nil is the one that it must have.
func (c *Client) Delete(ctx context.Context, ref Ref, version *uint64) error {
	r := request{method: http.MethodDelete, path: ref.path(), header: map[string]string{}}
	if version != nil {
		r.header["If-Match"] = strconv.Quote(strconv.FormatUint(*version, 10))
	}
	return c.fetch(ctx, r, nil)
}

// Page says which part of a listing is wanted. Zero values leave the choice to the platform.
type Page struct {
	Prefix string
	Limit  int
	Cursor string
}

func (p Page) query() url.Values {
	q := url.Values{}
	if p.Prefix != "" {
		q.Set("prefix", p.Prefix)
	}
	if p.Limit > 0 {
		q.Set("limit", strconv.Itoa(p.Limit))
	}
	if p.Cursor != "" {
		q.Set("cursor", p.Cursor)
	}
	return q
}

// ObjectRow is one object of a listing.
type ObjectRow struct {
	ID      string `json:"object_id"`
	Version uint64 `json:"version"`
	Entries uint64 `json:"entry_count"`
}

// Objects lists the objects of a class, and gives the cursor of the next page, "" after the last one.
func (c *Client) Objects(ctx context.Context, class, partition string, page Page) ([]ObjectRow, string, error) {
	var answer struct {
		Objects []ObjectRow `json:"objects"`
		Next    string      `json:"next_cursor"`
	}
	at := Ref{Class: class, Partition: partition}
	err := c.fetch(ctx, request{
		method: http.MethodGet, path: path("api", "class", class, at.partition(), "objects"), query: page.query(),
	}, &answer)
	return answer.Objects, answer.Next, err
}

// EntryRow is one entry of a listing.
type EntryRow struct {
	Key     string `json:"key"`
	Data    []byte `json:"data"`
	Type    int    `json:"type"`
	Version uint64 `json:"version"`
}

// Entries lists the entries of an object, and gives the object's version and the cursor of the next page.
func (c *Client) Entries(ctx context.Context, ref Ref, page Page) ([]EntryRow, uint64, string, error) {
	var answer struct {
		Entries []EntryRow `json:"entries"`
		Version uint64     `json:"version"`
		Next    string     `json:"next_cursor"`
	}
	err := c.fetch(ctx, request{method: http.MethodGet, path: ref.path("entries"), query: page.query()}, &answer)
	return answer.Entries, answer.Version, answer.Next, err
}

// IsNotFound reports whether the platform says that something is not there.
func IsNotFound(err error) bool {
	f, ok := errors.AsType[*Failure](err)
	return ok && f.Status == http.StatusNotFound
}
