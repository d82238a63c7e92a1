package rpc

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"

	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/cli/client"
)

// Objects lists the objects of a partition, or with "_" those of all partitions one after the other.
func (c *Client) Objects(ctx context.Context, class, partition string, page client.Page) ([]client.ObjectRow, string, error) {
	first, last, cursor, err := c.span(ctx, class, partition, page.Cursor)
	if err != nil {
		return nil, "", err
	}
	var rows []client.ObjectRow
	for p := first; p <= last; p++ {
		rest := page.Limit - len(rows)
		stream, err := c.data.ListObjects(ctx, &oprc.ListObjectsRequest{
			ClsId: class, PartitionId: p, ObjectIdPrefix: &page.Prefix, Limit: uint32(max(0, rest)), Cursor: cursor,
		})
		next, err := drain(stream, err, func(m *oprc.ObjectMetaEnvelope) []byte {
			rows = append(rows, client.ObjectRow{ID: m.GetObjectId(), Version: m.GetVersion(), Entries: m.GetEntryCount()})
			return m.GetNextCursor()
		})
		if err != nil {
			return nil, "", c.failure(ctx, err)
		}
		full := page.Limit > 0 && len(rows) >= page.Limit
		if len(next) > 0 || full && p < last {
			if len(next) == 0 {
				p++
			}
			return rows, cursorOf(partition, p, next), nil
		}
		cursor = nil
	}
	return rows, "", nil
}

// span gives the partitions to list, and the cursor in the first of them. A cursor over all partitions begins with the number of the one it is in.
func (c *Client) span(ctx context.Context, class, partition, cursor string) (first, last uint32, at []byte, err error) {
	if at, err = base64.RawURLEncoding.DecodeString(cursor); err != nil {
		return 0, 0, nil, fmt.Errorf("%q is no cursor: %w", cursor, err)
	}
	if partition != client.AnyPartition && partition != "" {
		first, err = c.partition(ctx, client.Ref{Class: class, Partition: partition})
		return first, first, at, err
	}
	n, err := c.partitions(ctx, class)
	if err != nil {
		return 0, 0, nil, err
	}
	if len(at) >= 2 {
		first, at = uint32(at[0])<<8|uint32(at[1]), at[2:]
	}
	return first, uint32(n - 1), at, nil
}

func cursorOf(partition string, at uint32, next []byte) string {
	if partition == client.AnyPartition || partition == "" {
		next = append([]byte{byte(at >> 8), byte(at)}, next...)
	}
	return base64.RawURLEncoding.EncodeToString(next)
}

// Entries lists the entries of an object, and gives the object's version and the cursor of the next page.
func (c *Client) Entries(ctx context.Context, ref client.Ref, page client.Page) ([]client.EntryRow, uint64, string, error) {
	p, err := c.partition(ctx, ref)
	if err != nil {
		return nil, 0, "", err
	}
	cursor, err := base64.RawURLEncoding.DecodeString(page.Cursor)
	if err != nil {
		return nil, 0, "", fmt.Errorf("%q is no cursor: %w", page.Cursor, err)
	}
	stream, err := c.data.ListValues(ctx, &oprc.ListValuesRequest{
		ClsId: ref.Class, PartitionId: p, ObjectId: &ref.ID, KeyPrefix: &page.Prefix, Limit: uint32(max(0, page.Limit)), Cursor: cursor,
	})
	var rows []client.EntryRow
	var version uint64
	next, err := drain(stream, err, func(m *oprc.ValueEnvelope) []byte {
		version = m.GetVersion() // that of the object; those of entries are not told
		rows = append(rows, client.EntryRow{Key: m.GetKey(), Data: m.GetValue().GetData(), Type: int(m.GetValue().GetType())})
		return m.GetNextCursor()
	})
	if err != nil {
		return nil, 0, "", c.failure(ctx, err)
	}
	if len(rows) == 0 && page.Cursor == "" && page.Prefix == "" {
		if _, err := c.Object(ctx, ref); err != nil { // an object that is not there has no entries either
			return nil, 0, "", err
		}
	}
	return rows, version, base64.RawURLEncoding.EncodeToString(next), nil
}

// drain reads a stream to its end, and gives the last cursor that each gave.
func drain[T any](stream grpc.ServerStreamingClient[T], err error, each func(*T) []byte) (next []byte, _ error) {
	if err != nil {
		return nil, err
	}
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return next, nil
		}
		if err != nil {
			return nil, err
		}
		next = each(m)
	}
}
