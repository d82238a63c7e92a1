package zenoh

import (
	"context"
	"errors"

	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// startPeer listens and connects.
func (s *Session) startPeer(context.Context) error { return errors.ErrUnsupported }

func (f *face) interest(*wire.Interest) {}

func (f *face) oam(*wire.OAM) {}
