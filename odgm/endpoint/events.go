package endpoint

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/broker/keys"
	"github.com/hpcclab/oaas-go/broker/zenoh"
	"github.com/hpcclab/oaas-go/odgm"
)

// localityOf reads where subscribers may be, in the spellings of Zenoh's configuration and of its enumeration. Nothing is remote.
func localityOf(text string) (zenoh.Locality, error) {
	switch strings.ReplaceAll(strings.ToLower(text), "_", "") {
	case "", "remote":
		return zenoh.LocalityRemote, nil
	case "any":
		return zenoh.LocalityAny, nil
	case "sessionlocal":
		return zenoh.LocalitySessionLocal, nil
	}
	return 0, fmt.Errorf("locality of events: %q is not one of session_local, any, remote", text)
}

// publishing publishes the changes of a class.
type publishing struct {
	locality zenoh.Locality
	ended    chan struct{} // closed when it has ended, of itself or not
	cancel   context.CancelFunc
	wait     sync.Once
}

// end ends the publishing, and waits for that. It may be called for nil.
func (p *publishing) end() {
	if p == nil {
		return
	}
	p.cancel()
	p.wait.Do(func() { <-p.ended })
}

// publish has changes published as the spec says. It begins with what is changed from now on.
func (c *class) publish(ctx context.Context, spec *odgm.Class) error {
	on, locality := c.e.cfg.Publish, c.e.cfg.Locality
	if spec.Publish.On != nil {
		on = *spec.Publish.On
	}
	if spec.Publish.Locality != "" {
		locality = spec.Publish.Locality
	}
	where, err := localityOf(locality)
	if err != nil {
		return err
	}
	on = on && !spec.Changes.Off
	if p := c.events; p != nil {
		select {
		case <-p.ended:
		default:
			if on && p.locality == where {
				return nil
			}
		}
		p.end()
		c.events = nil
	}
	if !on {
		return nil
	}
	stream, err := c.e.grid.Subscribe(ctx, odgm.StreamFilter{Class: c.name, Partition: odgm.AnyPartition}, "")
	if err != nil {
		return fmt.Errorf("publish changes: %w", err)
	}
	running, cancel := context.WithCancel(c.e.ctx)
	p := &publishing{locality: where, ended: make(chan struct{}), cancel: cancel}
	begun := c.e.begin(func() {
		defer close(p.ended)
		defer stream.Close()
		c.publishAll(running, stream, where)
	})
	if !begun {
		cancel()
		stream.Close()
		return nil
	}
	c.events = p
	return nil
}

// publishAll publishes until the stream or ctx ends. It waits for slow links rather than drop anything: what it has not read is in the shards' logs.
func (c *class) publishAll(ctx context.Context, stream *odgm.Stream, where zenoh.Locality) {
	o := &zenoh.PutOptions{CongestionControl: zenoh.CongestionControlBlock, AllowedDestination: where}
	for {
		change, err := stream.Next(ctx)
		gap := &odgm.Gap{}
		switch {
		case errors.As(err, &gap):
			c.e.log.Warn("changes not published", "class", c.name, "error", err)
			continue
		case err != nil:
			if ctx.Err() == nil && fault.CodeOf(err) != fault.Unavailable && fault.CodeOf(err) != fault.Conflict {
				c.e.log.Error("changes are published no longer", "class", c.name, "error", err)
			}
			return
		case len(change.Entries) == 0:
			continue // the end of a method, which OaaS-RS has no event for
		}
		key, err := zenoh.NewKeyExpr(keys.Of(c.name, change.Partition).Events(change.Object).String())
		if err == nil {
			err = c.e.session.Put(ctx, key, change.JSON(), o)
		}
		if err != nil && ctx.Err() == nil {
			c.e.log.Warn("change not published", "class", c.name, "object", change.Object, "version", change.Version, "error", err)
		}
	}
}
