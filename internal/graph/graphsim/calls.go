package graphsim

import (
	"encoding/binary"
	"encoding/hex"
	"hash/fnv"
	"slices"
	"strings"
	"time"
)

// Participant is someone on a call.
type Participant struct {
	ID string `json:"id,omitempty"` // made up when empty
	// Kind is the name of the member in Graph's identity set: "user", "phone",
	// "application", "guest".
	Kind        string `json:"kind"`
	Identity    string `json:"identity"`
	DisplayName string `json:"display_name,omitempty"`
	InLobby     bool   `json:"in_lobby,omitempty"`
	// InvitedAs is the participantId of their invitation, if it had one.
	InvitedAs string `json:"invited_as,omitempty"`

	seq int64 // rosterSequenceNumber
}

func (p *Participant) key() string { return identityKey(p.Kind, p.Identity) }

// identityKey names an identity in records: "user:<id>", "phone:<number>".
func identityKey(kind, id string) string { return kind + ":" + fold(id) }

// fold makes ids comparable: GUIDs are, without case.
func fold(id string) string {
	if len(id) == 36 && strings.Count(id, "-") == 4 {
		return strings.ToLower(id)
	}
	return id
}

// meeting is a call.
type meeting struct {
	id       string
	ended    bool
	seq      int64
	roster   map[string]*Participant // by folded id
	order    []*Participant          // by sequence; may hold some already gone
	identity map[string]int          // how many endpoints an identity has here
	ringing  []*invitation
	nextDue  time.Time // the first due of ringing
	ops      map[string]*operation
	opOrder  []*operation   // by age
	rings    map[string]int // by identity
	joined   map[string]bool
}

type outcome int

const (
	answers outcome = iota
	declines
	noAnswer
)

// invitation is someone being rung.
type invitation struct {
	who     Participant
	due     time.Time
	outcome outcome
	op      *operation
}

type operation struct {
	id, clientContext string
	pending           int
	code              int // of the first failure
	message           string
	finished          time.Time
	failFast          bool
}

func newMeeting(id string) *meeting {
	return &meeting{
		id:       id,
		roster:   map[string]*Participant{},
		identity: map[string]int{},
		ops:      map[string]*operation{},
		rings:    map[string]int{},
		joined:   map[string]bool{},
	}
}

func (m *meeting) add(p Participant) {
	m.seq++
	p.seq = m.seq
	if old := m.roster[fold(p.ID)]; old != nil {
		m.remove(old)
	}
	m.roster[fold(p.ID)] = &p
	m.order = append(m.order, &p)
	m.identity[p.key()]++
}

func (m *meeting) remove(p *Participant) {
	delete(m.roster, fold(p.ID))
	if m.identity[p.key()]--; m.identity[p.key()] <= 0 {
		delete(m.identity, p.key())
	}
	// Swept now and then, so that emptying a large call is not quadratic.
	if len(m.order) > 32 && len(m.order) > 2*len(m.roster) {
		m.order = m.present(0, len(m.roster))
	}
}

// present gives up to limit participants with a sequence number above after.
func (m *meeting) present(after int64, limit int) []*Participant {
	list := make([]*Participant, 0, min(limit, len(m.roster)))
	for _, p := range m.order {
		if len(list) == limit {
			break
		}
		if p.seq > after && m.roster[fold(p.ID)] == p {
			list = append(list, p)
		}
	}
	return list
}

// settle ends the invitations that are due.
func (m *meeting) settle(now time.Time, newID func() string) {
	if len(m.ringing) == 0 || now.Before(m.nextDue) {
		return
	}
	var due []*invitation
	still := m.ringing[:0]
	for _, inv := range m.ringing {
		if now.Before(inv.due) {
			still = append(still, inv)
		} else {
			due = append(due, inv)
		}
	}
	clear(m.ringing[len(still):])
	m.ringing = still
	m.schedule()
	// Who was first must not depend on when someone looks.
	slices.SortStableFunc(due, func(a, b *invitation) int { return a.due.Compare(b.due) })
	for _, inv := range due {
		switch inv.outcome {
		case answers:
			// Someone already here does not come a second time.
			if m.identity[inv.who.key()] == 0 {
				if inv.who.ID == "" {
					inv.who.ID = newID()
				}
				m.add(inv.who)
			}
			m.joined[inv.who.key()] = true
			inv.op.end(inv.due, 0, "")
		case declines:
			inv.op.end(inv.due, 403, failure(inv.who, "Participant declined the invitation."))
		case noAnswer:
			inv.op.end(inv.due, 412, failure(inv.who, "No answer from the participant."))
		}
	}
}

func (m *meeting) schedule() {
	m.nextDue = time.Time{}
	for _, inv := range m.ringing {
		if m.nextDue.IsZero() || inv.due.Before(m.nextDue) {
			m.nextDue = inv.due
		}
	}
}

// cancel ends the invitation of a participant id that has not joined yet.
func (m *meeting) cancel(participant string, now time.Time) bool {
	for i, inv := range m.ringing {
		if inv.who.ID != "" && fold(inv.who.ID) == fold(participant) {
			inv.op.end(now, 412, failure(inv.who, "The invitation was cancelled."))
			m.ringing = append(m.ringing[:i], m.ringing[i+1:]...)
			m.schedule()
			return true
		}
	}
	return false
}

// end ends the part of an operation that is about one participant.
func (o *operation) end(at time.Time, code int, message string) {
	if !o.over() && at.After(o.finished) {
		o.finished = at
	}
	if o.pending--; code != 0 && o.code == 0 {
		o.code, o.message = code, message
	}
}

// over tells whether the status is final.
func (o *operation) over() bool { return o.pending == 0 || o.failFast && o.code != 0 }

func (o *operation) status() string {
	switch {
	case !o.over():
		return "Running"
	case o.code != 0:
		return "Failed"
	}
	return "Completed"
}

// failure is written in the manner of the service, which names the participant
// by the prefix of its address.
func failure(p Participant, why string) string {
	prefix := map[string]string{"phone": "4:", "user": "8:orgid:", "application": "28:"}[p.Kind]
	return "addParticipants failed for participant " + prefix + p.Identity + ". " + why
}

// hash mixes texts into 64 bits.
func hash(seed uint64, parts ...string) uint64 {
	h := fnv.New64a()
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], seed)
	h.Write(b[:])
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	return mix(h.Sum64())
}

// mix spreads the bits of x (the finalizer of SplitMix64).
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// fraction maps a hash to [0, 1).
func fraction(h uint64) float64 { return float64(h>>11) / (1 << 53) }

// guid makes the nth GUID of a seed.
func guid(seed, n uint64) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], mix(seed+n*0x9e3779b97f4a7c15))
	binary.BigEndian.PutUint64(b[8:], mix(^seed^n*0xd1342543de82ef95))
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	s := hex.EncodeToString(b[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}
