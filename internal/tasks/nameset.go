package tasks

import (
	"sync"
	"time"
)

// nameSet remembers for a while what has been found out about calls or batches.
// It is forgotten with the process, and then found out again.
type nameSet struct {
	mu    sync.Mutex
	names map[string]time.Time // since when it is known
}

const (
	nameSetLife = time.Hour // a call can become another kind of call
	maxNameSet  = 10_000
)

// note remembers a name and tells whether it was known.
func (s *nameSet) note(name string) (known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.names == nil || len(s.names) >= maxNameSet {
		s.names = map[string]time.Time{}
	}
	known = s.knows(name)
	s.names[name] = time.Now()
	return known
}

func (s *nameSet) has(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.knows(name)
}

func (s *nameSet) knows(name string) bool {
	at, ok := s.names[name]
	return ok && time.Since(at) < nameSetLife
}
