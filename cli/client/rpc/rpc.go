// Package rpc reaches the data plane over OaaS-RS's gRPC, with the calls and errors of package client.
//
// Guarantee: it needs nothing of the server that OaaS-RS's object data grid does not have. A status that the server answers with is a
// *client.Failure with the platform's code if it names one, a server that cannot be reached a *client.Unreachable, and every call ends with its
// context. The partition "_" is found by the id of the object, with the number of partitions that the server's statistics tell.
package rpc

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/cli/client"
	"github.com/hpcclab/oaas-go/odgm"
	"github.com/hpcclab/oaas-go/odgm/object"
)

// maxMessage bounds what is received at once.
const maxMessage = 256 << 20

// Client talks to one server. It is safe for use by many goroutines.
type Client struct {
	url      string
	conn     *grpc.ClientConn
	data     oprc.DataServiceClient
	function oprc.OprcFunctionClient
}

// Dial makes a client of the server at an http (h2c) or https URL. It connects with the first call.
func Dial(base string) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("%q is not the address of a gRPC server: want a URL such as %s", base, client.DefaultURL)
	}
	security, port := insecure.NewCredentials(), "80"
	if u.Scheme == "https" {
		security, port = credentials.NewTLS(nil), "443"
	}
	if u.Port() != "" {
		port = u.Port()
	}
	conn, err := grpc.NewClient("passthrough:///"+net.JoinHostPort(u.Hostname(), port), grpc.WithTransportCredentials(security),
		grpc.WithUserAgent("oaas"), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)))
	if err != nil {
		return nil, fmt.Errorf("reach %s: %w", base, err)
	}
	return &Client{base, conn, oprc.NewDataServiceClient(conn), oprc.NewOprcFunctionClient(conn)}, nil
}

// URL gives the address of the server.
func (c *Client) URL() string { return c.url }

// Close ends the connection.
func (c *Client) Close() { c.conn.Close() } //nolint:errcheck // nothing is lost with it

// partition gives the number of a partition.
func (c *Client) partition(ctx context.Context, r client.Ref) (uint32, error) {
	if r.Partition != "" && r.Partition != client.AnyPartition {
		n, err := strconv.ParseUint(r.Partition, 10, 32)
		if err != nil {
			return 0, fmt.Errorf("%q is no partition: want a number, or %s", r.Partition, client.AnyPartition)
		}
		return uint32(n), nil
	}
	n, err := c.partitions(ctx, r.Class)
	if err != nil {
		return 0, err
	}
	id, err := object.NormalizeID(r.ID)
	if err != nil {
		return 0, err
	}
	return odgm.PartitionOf(id, n), nil
}

// partitions counts the partitions of a class.
func (c *Client) partitions(ctx context.Context, class string) (int, error) {
	stats, err := c.data.Stats(ctx, &oprc.StatsRequest{})
	if err != nil {
		return 0, c.failure(ctx, err)
	}
	n := 0
	for _, s := range stats.GetShards() {
		if s.GetCollection() == class {
			n++
		}
	}
	if n == 0 {
		return 0, &client.Failure{Status: 404, Code: "NO_CLASS", Message: fmt.Sprintf("class %q is not deployed", class)}
	}
	return n, nil
}

// Object reads an object. Over gRPC its version is not told.
func (c *Client) Object(ctx context.Context, ref client.Ref) (*client.Object, error) {
	p, err := c.partition(ctx, ref)
	if err != nil {
		return nil, err
	}
	answer, err := c.data.Get(ctx, &oprc.SingleObjectRequest{ClsId: ref.Class, PartitionId: p, ObjectId: &ref.ID})
	if err != nil {
		return nil, c.failure(ctx, err)
	}
	return ObjectOf(ref.Class, p, ref.ID, answer.GetObj()), nil
}

// ObjectOf gives an object of its message; class, partition and id are those that were asked for.
func ObjectOf(class string, partition uint32, id string, m *oprc.ObjData) *client.Object {
	o := &client.Object{Class: class, Partition: partition, ID: id, Entries: map[string]client.Value{}}
	if m.GetMetadata().GetObjectId() != "" {
		o.ID = m.GetMetadata().GetObjectId()
	}
	for key, v := range m.GetEntries() {
		o.Entries[key] = client.Value{Data: v.GetData(), Type: int(v.GetType())}
	}
	return o
}

// Entry reads the bytes of one entry.
func (c *Client) Entry(ctx context.Context, ref client.Ref, key string) ([]byte, error) {
	p, err := c.partition(ctx, ref)
	if err != nil {
		return nil, err
	}
	answer, err := c.data.GetValue(ctx, &oprc.SingleKeyRequest{ClsId: ref.Class, PartitionId: p, ObjectId: &ref.ID, Key: &key})
	switch {
	case err != nil:
		return nil, c.failure(ctx, err)
	case answer.GetValue() == nil:
		return nil, &client.Failure{Status: 404, Code: "NO_ENTRY", Message: fmt.Sprintf("object %s/%d/%s has no entry %q", ref.Class, p, ref.ID, key)}
	}
	return answer.GetValue().GetData(), nil
}

// Values gives entries as messages.
func Values(set map[string]client.Value) map[string]*oprc.ValData {
	values := make(map[string]*oprc.ValData, len(set))
	for key, v := range set {
		values[key] = &oprc.ValData{Data: v.Data, Type: oprc.ValType(v.Type)}
	}
	return values
}

// Write changes an object. What only sets is a Set, which makes the object if need be; what deletes, or expects a version, is a batch. The version
// afterwards is not told: it gives 0.
func (c *Client) Write(ctx context.Context, ref client.Ref, ch client.Change) (uint64, error) {
	p, err := c.partition(ctx, ref)
	if err != nil {
		return 0, err
	}
	if len(ch.Delete) == 0 && ch.ExpectedVersion == nil {
		_, err = c.data.Set(ctx, &oprc.SetObjectRequest{
			ClsId: ref.Class, PartitionId: int32(p), ObjectId: &ref.ID, Object: &oprc.ObjData{Entries: Values(ch.Set)},
		})
		return 0, c.failure(ctx, err)
	}
	_, err = c.data.BatchSetValues(ctx, Batch(ref, p, ch))
	return 0, c.failure(ctx, err)
}

// Batch gives a change as a message.
func Batch(ref client.Ref, partition uint32, ch client.Change) *oprc.BatchSetValuesRequest {
	return &oprc.BatchSetValuesRequest{
		ClsId: ref.Class, PartitionId: partition, ObjectId: &ref.ID, Values: Values(ch.Set), DeleteKeys: ch.Delete,
		ExpectedObjectVersion: ch.ExpectedVersion,
	}
}

// Delete deletes an object.
func (c *Client) Delete(ctx context.Context, ref client.Ref, version *uint64) error {
	if version != nil {
		return fmt.Errorf("gRPC cannot delete an object only if it has a version: use HTTP")
	}
	p, err := c.partition(ctx, ref)
	if err != nil {
		return err
	}
	_, err = c.data.Delete(ctx, &oprc.SingleObjectRequest{ClsId: ref.Class, PartitionId: p, ObjectId: &ref.ID})
	return c.failure(ctx, err)
}

// Capabilities says what the server can do.
func (c *Client) Capabilities(ctx context.Context) (*oprc.CapabilitiesResponse, error) {
	answer, err := c.data.Capabilities(ctx, &oprc.CapabilitiesRequest{})
	return answer, c.failure(ctx, err)
}

// trimmed gives the text of a connection error without what gRPC says around it.
func trimmed(text string) string {
	text = strings.TrimPrefix(text, "connection error: desc = ")
	if unquoted, err := strconv.Unquote(text); err == nil {
		text = unquoted
	}
	return strings.TrimPrefix(text, "transport: Error while dialing: ")
}
