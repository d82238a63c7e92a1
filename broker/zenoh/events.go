package zenoh

import "time"

// TransportEvent tells that a connection is there, or that it was lost.
type TransportEvent struct {
	Kind    SampleKind // SampleKindPut when it is there, SampleKindDelete when it was lost
	ZID     ZID        // of the other side
	WhatAmI WhatAmI
	Remote  string    // locator of the other side
	Time    time.Time // of the event

	// Err tells why a connection was lost.
	Err error
	// FailedGets is the number of gets that ended with ErrSessionLost therefore.
	FailedGets int

	// Since tells, when a client is connected again, since when it was not: samples that others published between then and Time may have been
	// missed. The zero time is that nothing was.
	Since time.Time
	// Unpublished is the number of own publications that failed with ErrNotConnected meanwhile.
	Unpublished uint64
}

// TransportEventsListener hears of connections.
type TransportEventsListener struct {
	s       *Session
	sink    sink[TransportEvent]
	channel <-chan TransportEvent
}

// TransportEventsListenerOptions are what a listener may want; nil is the defaults.
type TransportEventsListenerOptions struct {
	History bool // get an event for each connection that is there already
}

// DeclareTransportEventsListener makes the handler get an event when a connection is there and when it is lost.
func (s *Session) DeclareTransportEventsListener(
	handler Handler[TransportEvent], o *TransportEventsListenerOptions,
) (*TransportEventsListener, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(); err != nil {
		return nil, err
	}
	l := &TransportEventsListener{s: s}
	l.sink, l.channel = open(s, handler, sinkOptions[TransportEvent]{})
	s.listeners[l] = struct{}{}
	if o != nil && o.History {
		for _, f := range *s.faces.Load() {
			l.sink.push(f.event(SampleKindPut))
		}
	}
	return l, nil
}

// Handler gives the channel of the handler, which is closed at the end, or nil for a closure.
func (l *TransportEventsListener) Handler() <-chan TransportEvent { return l.channel }

// Undeclare ends the listener. It may be called again.
func (l *TransportEventsListener) Undeclare() error {
	l.s.mu.Lock()
	delete(l.s.listeners, l)
	l.s.mu.Unlock()
	l.sink.close(true)
	return nil
}

func (f *face) event(kind SampleKind) *TransportEvent {
	return &TransportEvent{Kind: kind, ZID: f.peer.ZID, WhatAmI: f.peer.WhatAmI, Remote: f.peer.Remote, Time: time.Now()}
}

// raise hands an event to all listeners.
func (s *Session) raise(e *TransportEvent) {
	s.mu.RLock()
	var list []*TransportEventsListener
	for l := range s.listeners {
		list = append(list, l)
	}
	s.mu.RUnlock()
	for _, l := range list {
		l.sink.push(e)
	}
}
