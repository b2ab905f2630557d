package graphsim

import (
	"strings"

	"rollcall/internal/roster"
)

// Seed makes the world in which a change can succeed: its call exists, unless
// its id begins with "ended-", and whom a delete names is on the roster, unless
// an id begins with "gone-".
func (s *Sim) Seed(c roster.Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.addCall(c.CallID)
	if m == nil || c.Action != roster.Delete ||
		strings.HasPrefix(c.ParticipantID, "gone-") || strings.HasPrefix(c.ID, "gone-") {
		return
	}
	p := Participant{ID: c.ParticipantID, DisplayName: c.DisplayName}
	if c.Kind != roster.NoIdentity {
		p.Kind, p.Identity = c.Kind.String(), c.ID
	}
	// Seeding a file twice, or a row that stands in it twice, changes nothing.
	if p.ID != "" && m.roster[fold(p.ID)] != nil || p.ID == "" && m.identity[p.key()] > 0 {
		return
	}
	s.addParticipant(m, p)
}
