package transport

import "sync"

// shared is what the links of a listener have in common, such as a socket: it ends when the listener is closed and the last link too.
type shared struct {
	end func() error

	mu     sync.Mutex
	users  int
	closed bool
}

// hold is for a new link.
func (s *shared) hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users++
}

// release is for a link that is closed, once.
func (s *shared) release() error { return s.leave(func() { s.users-- }) }

// close is for the listener, once.
func (s *shared) close() error { return s.leave(func() { s.closed = true }) }

func (s *shared) leave(change func()) error {
	s.mu.Lock()
	change()
	last := s.closed && s.users == 0
	s.mu.Unlock()
	if last {
		return s.end()
	}
	return nil
}
