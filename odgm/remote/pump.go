package remote

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/hpcclab/oaas-go/broker/zenoh"
	"github.com/hpcclab/oaas-go/odgm"
	"github.com/hpcclab/oaas-go/odgm/record"
	"github.com/hpcclab/oaas-go/odgm/remote/message"
)

const (
	// watchLease is how long a pump goes on after it was last asked for.
	watchLease = 10 * time.Second
	// maxBatch and maxBatchBytes bound the changes that are published as one sample, more or less.
	maxBatch      = 256
	maxBatchBytes = 256 << 10
)

// pump publishes the changes of a class while somebody watches.
type pump struct {
	stop  context.CancelFunc
	lease *time.Timer // calls stop
}

// watch makes a pump for the class, or has its lease renewed, and then says how far the logs are: everything after that is published.
func (s *Server) watch(class string) ([]*message.Span, error) {
	if err := s.keepPump(class); err != nil {
		return nil, err
	}
	spec, err := s.grid.Class(class)
	if err != nil {
		return nil, err
	}
	spans := make([]*message.Span, spec.Partitions)
	for number := range spans {
		log, err := s.grid.ChangeLog(class, number)
		if err != nil {
			return nil, err
		}
		span := log.Span()
		spans[number] = &message.Span{Epoch: span.Epoch, First: span.First, Last: span.Last}
	}
	return spans, nil
}

func (s *Server) keepPump(class string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.pumps[class]; p != nil && p.lease.Reset(watchLease) {
		return nil
	}
	if s.closed {
		return nil // the spans are true all the same
	}
	changes, err := s.grid.Subscribe(s.ctx, odgm.StreamFilter{Class: class, Partition: odgm.AnyPartition}, "")
	if err != nil {
		return err
	}
	key, err := changesKey(class)
	if err != nil {
		changes.Close()
		return err
	}
	ctx, stop := context.WithCancel(s.ctx)
	p := &pump{stop: stop, lease: time.AfterFunc(watchLease, stop)}
	s.pumps[class] = p
	s.running.Go(func() {
		defer changes.Close()
		defer stop()
		err := s.publish(ctx, key, changes)
		if ctx.Err() == nil {
			s.log.Info("changes are no longer published", "class", class, "error", err)
		}
		p.lease.Stop()
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.pumps[class] == p {
			delete(s.pumps, class)
		}
	})
	return nil
}

// publish publishes a stream until it ends or ctx does. What it does not give, watchers find missing and read from the log.
func (s *Server) publish(ctx context.Context, key zenoh.KeyExpr, changes *odgm.Stream) error {
	publisher, err := s.session.DeclarePublisher(ctx, key, &zenoh.PublisherOptions{CongestionControl: zenoh.CongestionControlBlock})
	if err != nil {
		return err
	}
	defer publisher.Drop()
	for {
		first, err := changes.Next(ctx)
		if isGap(err) {
			continue
		}
		if err != nil {
			return err
		}
		batch, ended := gather(ctx, first, changes)
		payload, err := proto.Marshal(batch)
		if err != nil {
			return err
		}
		if err := publisher.Put(ctx, payload, nil); err != nil && ctx.Err() == nil {
			s.log.Debug("publish changes", "key", key.String(), "error", err) // watchers find out
		}
		if ended != nil {
			return ended
		}
	}
}

// gather takes what there is now along with the first change.
func gather(ctx context.Context, c *odgm.Change, changes *odgm.Stream) (*message.Changes, error) {
	batch := &message.Changes{}
	size := 0
	for range maxBatch {
		r := c.Record()
		size += proto.Size(r)
		last := len(batch.Commits) - 1
		if last >= 0 && follows(batch.Commits[last], c) {
			batch.Commits[last].Changes = append(batch.Commits[last].Changes, r)
		} else {
			batch.Commits = append(batch.Commits, &message.Commit{
				Partition: c.Partition, First: c.Seq, Time: c.Time.UnixNano(), Changes: []*record.Change{r},
			})
		}
		if size > maxBatchBytes {
			return batch, nil
		}
		for {
			next, err := changes.TryNext(ctx)
			if isGap(err) {
				continue
			}
			if err != nil || next == nil {
				return batch, err
			}
			c = next
			break
		}
	}
	return batch, nil
}

// follows tells whether a change comes next in a commit.
func follows(m *message.Commit, c *odgm.Change) bool {
	return m.Partition == c.Partition && m.First+uint64(len(m.Changes)) == c.Seq && m.Time == c.Time.UnixNano()
}

func isGap(err error) bool {
	_, gap := errors.AsType[*odgm.Gap](err)
	return gap
}
