package router

import (
	"sync/atomic"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// clock is a hybrid logical clock (Kulkarni et al., "Logical Physical Clocks", 2014) in the form that Zenoh gives it: the lowest four bits of
// the time count, the others are those of the wall clock. Its times are ever later, and later than all that it observed.
type clock struct {
	id   wire.ZID
	last atomic.Uint64
}

const (
	clockBits = 1<<4 - 1
	// clockAhead is how far ahead of the wall clock a time may be to be believed: 500 ms in NTP64.
	clockAhead = 1 << 31
)

// at gives a time later than all before, for what happens at that time of the wall clock. Reading that costs more than all else that is done
// for a small message, so those of a batch share it.
func (c *clock) at(now time.Time) wire.Timestamp {
	wall := wire.NTP64(now) &^ clockBits
	for {
		last := c.last.Load()
		next := max(wall, last+1)
		if c.last.CompareAndSwap(last, next) {
			return wire.Timestamp{Time: next, ID: c.id}
		}
	}
}

// observe makes the clock later than a time of somebody else, unless that is too far ahead to be believed.
func (c *clock) observe(t wire.Timestamp, now func() time.Time) bool {
	last := c.last.Load()
	if t.Time <= last {
		return true
	}
	if wall := wire.NTP64(now()); t.Time > wall && t.Time-wall > clockAhead {
		return false
	}
	for t.Time > last && !c.last.CompareAndSwap(last, t.Time) {
		last = c.last.Load()
	}
	return true
}
