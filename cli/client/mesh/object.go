package mesh

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/broker/keys"
	"github.com/hpcclab/oaas-go/broker/zenoh"
	"github.com/hpcclab/oaas-go/cli/client"
	"github.com/hpcclab/oaas-go/cli/client/rpc"
)

// Object reads an object. Over Zenoh its version is not told.
func (c *Client) Object(ctx context.Context, ref client.Ref) (*client.Object, error) {
	a, err := place(ref)
	if err != nil {
		return nil, err
	}
	var m oprc.ObjData
	if err := c.get(ctx, a.Get(a.ref.ID), nil, &m); err != nil {
		return nil, err
	}
	return rpc.ObjectOf(ref.Class, a.partition, a.ref.ID, &m), nil
}

// Entry reads the bytes of one entry.
func (c *Client) Entry(ctx context.Context, ref client.Ref, key string) ([]byte, error) {
	a, err := place(ref)
	if err == nil {
		err = keys.Check("entry", key)
	}
	if err != nil {
		return nil, err
	}
	var m oprc.ValueResponse
	if err := c.get(ctx, a.Entry(a.ref.ID, key), nil, &m); err != nil {
		return nil, err
	}
	return m.GetValue().GetData(), nil
}

// Write changes an object. What only sets is a write of the object; what deletes, or expects a version, is a batch. The version afterwards is not
// told: it gives 0.
func (c *Client) Write(ctx context.Context, ref client.Ref, ch client.Change) (uint64, error) {
	a, err := place(ref)
	if err != nil {
		return 0, err
	}
	if len(ch.Delete) > 0 || ch.ExpectedVersion != nil {
		return 0, c.get(ctx, a.BatchSet(a.ref.ID), rpc.Batch(a.ref, a.partition, ch), nil)
	}
	return 0, c.get(ctx, a.Set(a.ref.ID), &oprc.ObjData{
		Metadata: &oprc.ObjMeta{ClsId: ref.Class, PartitionId: a.partition, ObjectId: &a.ref.ID}, Entries: rpc.Values(ch.Set),
	}, nil)
}

// Delete publishes that an object is deleted. Nobody answers that, so whether it was there is not told.
func (c *Client) Delete(ctx context.Context, ref client.Ref, version *uint64) error {
	if version != nil {
		//lint:ignore ST1005 a name
		return errors.New("Zenoh cannot delete an object only if it has a version: use HTTP")
	}
	a, err := place(ref)
	if err != nil {
		return err
	}
	key, err := zenoh.NewKeyExpr(a.Get(a.ref.ID).String())
	if err != nil {
		return fmt.Errorf("make key: %w", err)
	}
	if err := c.session.Delete(ctx, key, &zenoh.DeleteOptions{CongestionControl: zenoh.CongestionControlBlock}); err != nil {
		return c.failure(ctx, err)
	}
	return nil
}

// Objects lists the objects of a partition.
func (c *Client) Objects(ctx context.Context, class, partition string, page client.Page) ([]client.ObjectRow, string, error) {
	a, err := place(client.Ref{Class: class, Partition: partition})
	if err != nil {
		return nil, "", err
	}
	cursor, err := base64.RawURLEncoding.DecodeString(page.Cursor)
	if err != nil {
		return nil, "", fmt.Errorf("%q is no cursor: %w", page.Cursor, err)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	key := a.ListObjects().String()
	replies, err := c.ask(ctx, key, "", &oprc.ListObjectsRequest{
		ClsId: class, PartitionId: a.partition, ObjectIdPrefix: &page.Prefix, Limit: uint32(max(0, page.Limit)), Cursor: cursor,
	})
	if err != nil {
		return nil, "", err
	}
	var rows []client.ObjectRow
	var next []byte
	for reply := range replies {
		data, err := c.read(ctx, key, reply)
		if err != nil {
			return nil, "", err
		}
		var m oprc.ObjectMetaEnvelope
		if err := proto.Unmarshal(data, &m); err != nil {
			return nil, "", fmt.Errorf("read the answer for %s: %w", key, err)
		}
		rows = append(rows, client.ObjectRow{ID: m.GetObjectId(), Version: m.GetVersion(), Entries: m.GetEntryCount()})
		if len(m.GetNextCursor()) > 0 {
			next = m.GetNextCursor()
		}
	}
	slices.SortStableFunc(rows, func(x, y client.ObjectRow) int { return cmp.Compare(x.ID, y.ID) })
	return rows, base64.RawURLEncoding.EncodeToString(next), nil
}

// Entries lists the entries of an object, which Zenoh has no query for: it reads the object, and cuts the page out of it. Versions are not told.
func (c *Client) Entries(ctx context.Context, ref client.Ref, page client.Page) ([]client.EntryRow, uint64, string, error) {
	o, err := c.Object(ctx, ref)
	if err != nil {
		return nil, 0, "", err
	}
	var rows []client.EntryRow
	for key, v := range o.Entries {
		if strings.HasPrefix(key, page.Prefix) && key > page.Cursor {
			rows = append(rows, client.EntryRow{Key: key, Data: v.Data, Type: v.Type})
		}
	}
	slices.SortFunc(rows, func(x, y client.EntryRow) int { return cmp.Compare(x.Key, y.Key) })
	if page.Limit > 0 && len(rows) > page.Limit {
		rows = rows[:page.Limit]
		return rows, 0, rows[len(rows)-1].Key, nil
	}
	return rows, 0, "", nil
}
