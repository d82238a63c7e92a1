package rpc

import (
	"context"
	"strconv"

	"google.golang.org/grpc/metadata"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/odgm"
	"github.com/hpcclab/oaas-go/odgm/call"
	"github.com/hpcclab/oaas-go/odgm/object"
)

// fieldError is a fault whose cause is one field of the request.
type fieldError struct {
	field string
	fault *fault.Error
}

// Error gives the message of the fault.
func (e *fieldError) Error() string { return e.fault.Message }

// Unwrap gives the fault.
func (e *fieldError) Unwrap() error { return e.fault }

func invalid(code fault.Code, field, format string, args ...any) error {
	return &fieldError{field: field, fault: fault.New(code, format, args...)}
}

// target gives the object that a request names. The partition is taken as it is: there is none that stands for any.
func target(class string, partition int64, text *string, number *uint64) (t odgm.Target, older bool, err error) {
	id, older := oprc.ObjectID(text, number)
	if id == "" {
		return t, older, invalid(fault.InvalidObjectID, "object_id", "object_id required")
	}
	id, err = normalID(id)
	if err != nil {
		return t, older, err
	}
	shard, err := shardNumber(class, partition)
	return odgm.Target{Class: class, Partition: shard, ID: id}, older, err
}

// normalID checks an id, with the texts of OaaS-RS.
func normalID(id string) (string, error) {
	normal, err := object.NormalizeID(id)
	switch {
	case err == nil:
		return normal, nil
	case len(id) > object.MaxIDLength:
		return "", invalid(fault.InvalidObjectID, "object_id", "invalid identity: exceeds maximum length %d (got %d)", object.MaxIDLength, len(id))
	}
	return "", invalid(fault.InvalidObjectID, "object_id",
		"invalid identity: invalid characters present in %q: allowed are a-z 0-9 . _ : -", shortened(id))
}

// entryKey checks the key of a request, with the texts of OaaS-RS.
func entryKey(text *string, number *uint32, older bool) (string, error) {
	key := oprc.EntryKey(text, number, older)
	if key == "" && text == nil {
		return "", invalid(fault.InvalidArgument, "key", "key required")
	}
	return normalKey("key", key)
}

func normalKey(field, key string) (string, error) {
	normal, err := object.NormalizeKey(key)
	if err != nil {
		return "", &fieldError{field: field, fault: fault.From(err)}
	}
	return normal, nil
}

// maxPartition is the highest number that a partition can have.
const maxPartition = 1<<16 - 1

func shardNumber(class string, partition int64) (int, error) {
	if partition < 0 || partition > maxPartition {
		return 0, invalid(fault.NoPartition, "partition_id",
			"class %s has no partition %d: partitions are numbered from 0 to at most %d", class, partition, maxPartition)
	}
	return int(partition), nil
}

func shortened(text string) string {
	const most = 200
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}

// Names of the metadata that the services read; gRPC has them in lower case.
const (
	metaChain          = "oaas-chain"
	metaDepth          = "oaas-depth"
	metaIdempotencyKey = "idempotency-key"
)

// first gives the value of a metadata key, or "".
func first(md metadata.MD, key string) string {
	if values := md[key]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// onBehalf says on whose behalf the call writes.
func onBehalf(ctx context.Context) (odgm.WriteOptions, error) {
	if len(metadata.ValueFromIncomingContext(ctx, metaChain)) == 0 && len(metadata.ValueFromIncomingContext(ctx, metaDepth)) == 0 {
		return odgm.WriteOptions{}, nil // most clients are no functions; and what follows copies
	}
	md, _ := metadata.FromIncomingContext(ctx)
	return writeOptions(md)
}

func writeOptions(md metadata.MD) (opt odgm.WriteOptions, err error) {
	if opt.Chain, err = call.Parse(first(md, metaChain)); err != nil {
		return opt, &fieldError{field: metaChain, fault: fault.From(err)}
	}
	if text := first(md, metaDepth); text != "" {
		depth, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return opt, invalid(fault.InvalidArgument, metaDepth, "metadata %s: %q is not a number of triggers", metaDepth, shortened(text))
		}
		opt.Depth = uint32(depth)
	}
	return opt, nil
}
