package odgm

import (
	"context"
	"strings"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/odgm/object"
	"github.com/hpcclab/oaas-go/odgm/stream"
)

// The stream of changes, see package stream.
type (
	// Stream is one reader's view of the changes of a class; it must be closed.
	Stream = stream.Stream
	// StreamFilter says what a stream gives. Its partition may be AnyPartition, which means that of the object if there is one, else all.
	StreamFilter = stream.Filter
	// Position is a place in a stream, as text.
	Position = stream.Position
	// Change is what one commit did to one object.
	Change = stream.Change
	// Gap is the notice that changes are missing.
	Gap = stream.Gap
)

// Subscribe begins a stream of the changes of a class after a position: the empty one is after everything that there is.
func (g *Grid) Subscribe(ctx context.Context, filter StreamFilter, from Position) (*Stream, error) {
	if err := ctx.Err(); err != nil {
		return nil, fault.From(err)
	}
	c, err := g.class(filter.Class)
	if err != nil {
		return nil, err
	}
	if filter, err = c.spec.Load().Watched(filter); err != nil {
		return nil, err
	}
	logs := make([]stream.Log, len(c.partitions))
	for i, p := range c.partitions {
		logs[i] = p.shard
	}
	return c.hub.Load().Subscribe(logs, filter, from)
}

// Watched gives a filter with what follows from the class filled in, and the names in it as they are stored. It fails for a class that keeps no
// changes.
func (c *Class) Watched(filter StreamFilter) (_ StreamFilter, err error) {
	if c.Changes.Off {
		return filter, unwatched(c.Name)
	}
	if filter.Object != "" {
		if filter.Object, err = object.NormalizeID(filter.Object); err != nil {
			return filter, err
		}
		if filter.Partition == AnyPartition {
			filter.Partition = int(PartitionOf(filter.Object, c.Partitions))
		}
	}
	filter.Entries = lower(filter.Entries)
	return filter, nil
}

// ChangeLog gives the log of the changes of a partition.
func (g *Grid) ChangeLog(class string, number int) (stream.Log, error) {
	c, err := g.class(class)
	if err != nil {
		return nil, err
	}
	p, err := c.partition(number)
	if err != nil {
		return nil, err
	}
	return p.shard, nil
}

// unwatched is the answer of a class that keeps no changes.
func unwatched(class string) error {
	return fault.New(fault.Conflict, "class %s keeps no changes, so that it cannot be watched: its option event_retention is 0", class)
}

// lower gives patterns of entry keys as keys are stored.
func lower(patterns []string) []string {
	lowered := make([]string, len(patterns))
	for i, p := range patterns {
		lowered[i] = strings.ToLower(p)
	}
	return lowered
}
