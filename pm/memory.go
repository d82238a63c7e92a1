package pm

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Memory is a Store that forgets everything when the process ends.
type Memory struct {
	mu       sync.Mutex
	records  map[string]Record
	revision uint64
}

var _ Store = (*Memory)(nil)

// NewMemory makes an empty store.
func NewMemory() *Memory { return &Memory{records: map[string]Record{}} }

// Get implements Store.
func (s *Memory) Get(_ context.Context, key string) (Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.records[key]
	r.Key, r.Value = key, slices.Clone(r.Value)
	return r, nil
}

// List implements Store.
func (s *Memory) List(_ context.Context, prefix string) ([]Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Record
	for r := range maps.Values(s.records) {
		if strings.HasPrefix(r.Key, prefix) {
			r.Value = slices.Clone(r.Value)
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b Record) int { return cmp.Compare(a.Key, b.Key) })
	return list, nil
}

// Write implements Store.
func (s *Memory) Write(_ context.Context, changes ...Change) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range changes {
		if c.Expect != nil && s.records[c.Key].Revision != *c.Expect {
			return ErrConflict
		}
	}
	for _, c := range changes {
		if c.Value == nil {
			delete(s.records, c.Key)
			continue
		}
		s.revision++
		s.records[c.Key] = Record{Key: c.Key, Value: slices.Clone(c.Value), Revision: s.revision}
	}
	return nil
}

// Close implements Store.
func (s *Memory) Close() error { return nil }
