package tasks

import (
	"sync"
	"time"
)

// callSet remembers for a while what has been found out about calls. It is
// forgotten with the process, and then found out again.
type callSet struct {
	mu    sync.Mutex
	calls map[string]time.Time // since when it is known
}

const (
	callSetLife = time.Hour // a call can become another kind of call
	maxCallSet  = 10_000
)

func (s *callSet) note(call string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls == nil || len(s.calls) >= maxCallSet {
		s.calls = map[string]time.Time{}
	}
	s.calls[call] = time.Now()
}

func (s *callSet) has(call string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.calls[call]
	return ok && time.Since(at) < callSetLife
}
