package zenoh

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// HLC is a hybrid logical clock: its timestamps follow the clock of the system, never repeat, and are later than all that it was told of. The
// lowest four bits of a time are a counter (uhlc, after Kulkarni et al., "Logical Physical Clocks").
type HLC struct {
	id  ZID
	now func() time.Time

	mu   sync.Mutex
	last uint64
}

// hlcCounter are the bits that count.
const hlcCounter = 1<<4 - 1

// maxDrift is how far ahead of the clock of the system timestamps may be that are believed.
const maxDrift = 500 * time.Millisecond

// ErrDrift is for a timestamp that is too far ahead.
var ErrDrift = errors.New("timestamp too far in the future")

// NewHLC makes a clock with that id.
func NewHLC(id ZID) *HLC { return &HLC{id: id, now: time.Now} }

// NewTimestamp gives a time that is later than all that it gave or was told.
func (c *HLC) NewTimestamp() Timestamp {
	now := wire.NTP64(c.now()) &^ hlcCounter
	c.mu.Lock()
	defer c.mu.Unlock()
	if now > c.last&^hlcCounter {
		c.last = now
	} else {
		c.last++
	}
	return Timestamp{Time: c.last, ID: c.id}
}

// Update tells the clock of a timestamp that came from elsewhere. One that is more than half a second ahead is refused with ErrDrift.
func (c *HLC) Update(t Timestamp) error {
	wall := c.now()
	if limit := wire.NTP64(wall.Add(maxDrift)); t.Time > limit {
		return fmt.Errorf("%w: %v, now is %v", ErrDrift, t.When(), wall)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = max(c.last, t.Time)
	return nil
}
