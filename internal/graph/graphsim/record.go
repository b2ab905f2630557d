package graphsim

import (
	"maps"
	"slices"
	"strconv"
	"time"
)

// Record is one request that is over.
type Record struct {
	N      int       `json:"n"`     // counted from 0
	Start  time.Time `json:"start"` // when it was received
	End    time.Time `json:"end"`   // just before the answer was written
	Method string    `json:"method"`
	Kind   string    `json:"kind"` // one of the Kind constants
	// Tenant is the name of the tenant that the call is of, "" for none. What a
	// token says of it is not looked at.
	Tenant string `json:"tenant"`
	Call   string `json:"call,omitempty"`
	// Participants are the identities of an invite ("user:<id>", also
	// "participant:<id>" for those with a participantId) or "participant:<id>".
	Participants []string `json:"participants,omitempty"`
	// ClientContext is that of an invite.
	ClientContext string `json:"client_context,omitempty"`
	// Status is what was answered, 0 if the connection was closed.
	Status  int    `json:"status"`
	Code    string `json:"code,omitempty"`
	Fault   string `json:"fault,omitempty"`
	Applied bool   `json:"applied"`
	// Throttled: it arrived after an answer 429 had left, within its wait.
	Throttled bool `json:"sent_while_throttled"`
	// SinceThrottle is how long after that answer, for judging what was already
	// on its way.
	SinceThrottle time.Duration `json:"since_throttle_ns,omitempty"`
}

// State is a copy of all there is.
type State struct {
	Calls    map[string]CallState `json:"calls"`
	Counters Counters             `json:"counters"`
}

// CallState is one call.
type CallState struct {
	Ended        bool           `json:"ended"`
	Participants []Participant  `json:"participants"`
	Ringing      []string       `json:"ringing"` // identities
	Rings        map[string]int `json:"rings"`   // by identity: times rung in all
	// Joined are the identities that ever answered an invitation, sorted,
	// whether they are still here or not.
	Joined     []string         `json:"joined"`
	Operations []OperationState `json:"operations"`
}

// OperationState is one operation.
type OperationState struct {
	ID            string `json:"id"`
	ClientContext string `json:"client_context,omitempty"`
	Status        string `json:"status"`
	Code          int    `json:"code,omitempty"`
	Message       string `json:"message,omitempty"`
}

// Counters count requests.
type Counters struct {
	Requests int            `json:"requests"`
	ByKind   map[string]int `json:"by_kind"`
	// ByStatus has "0" for connections closed.
	ByStatus map[string]int `json:"by_status"`
	InFlight int            `json:"in_flight"` // come and not answered yet, in none of the others
	Dropped  int            `json:"dropped"`   // records not kept
	// Overlaps are changes of a participant begun while another was under way.
	Overlaps int `json:"overlaps"`
	// MaxOverlap has the keys ("call participant") with more than one at once.
	MaxOverlap         map[string]int `json:"max_overlap"`
	SentWhileThrottled int            `json:"sent_while_throttled"`
	// RungAgain are rings of someone already rung on that call.
	RungAgain int `json:"rung_again"`
}

// log is everything recorded. Sim's mutex guards it.
type log struct {
	limit int
	// blocks hold blockSize records each, but for the last. One slice would be
	// copied as it grows, for longer than half a second at the end, with every
	// request waiting.
	blocks [][]Record
	count  Counters
	active map[string]int // changes under way, by call and participant
}

const blockSize = 256

func newLog(limit int) log {
	return log{
		limit: limit,
		count: Counters{
			ByKind:     map[string]int{},
			ByStatus:   map[string]int{},
			MaxOverlap: map[string]int{},
		},
		active: map[string]int{},
	}
}

func (l *log) enter(keys []string) {
	l.count.InFlight++
	for _, key := range keys {
		l.active[key]++
		if n := l.active[key]; n > 1 {
			l.count.Overlaps++
			// Bounded as records are: a client this wrong needs no full list.
			if _, known := l.count.MaxOverlap[key]; known || len(l.count.MaxOverlap) < 10_000 {
				l.count.MaxOverlap[key] = max(l.count.MaxOverlap[key], n)
			}
		}
	}
}

func (l *log) leave(keys []string) {
	l.count.InFlight--
	for _, key := range keys {
		if l.active[key]--; l.active[key] <= 0 {
			delete(l.active, key)
		}
	}
}

func (l *log) add(r Record) {
	r.N = l.count.Requests
	l.count.Requests++
	l.count.ByKind[r.Kind]++
	l.count.ByStatus[strconv.Itoa(r.Status)]++
	if r.Throttled {
		l.count.SentWhileThrottled++
	}
	if r.N >= l.limit {
		l.count.Dropped++
		return
	}
	if r.N%blockSize == 0 {
		l.blocks = append(l.blocks, make([]Record, 0, blockSize))
	}
	last := &l.blocks[len(l.blocks)-1]
	*last = append(*last, r)
}

// list gives a copy of at most n records from number since on.
func (l *log) list(since, n int) []Record {
	kept := l.count.Requests - l.count.Dropped
	since = min(max(since, 0), kept)
	n = min(n, kept-since)
	records := make([]Record, 0, n)
	for len(records) < n {
		at := since + len(records)
		part := l.blocks[at/blockSize][at%blockSize:]
		records = append(records, part[:min(len(part), n-len(records))]...)
	}
	return records
}

// Requests gives the records from number since on, in the order in which the
// requests ended.
func (s *Sim) Requests(since int) []Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.list(since, s.log.count.Requests)
}

// Counters gives a copy of the counters.
func (s *Sim) Counters() Counters {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.count.clone()
}

func (c Counters) clone() Counters {
	c.ByKind, c.ByStatus, c.MaxOverlap = maps.Clone(c.ByKind), maps.Clone(c.ByStatus), maps.Clone(c.MaxOverlap)
	return c
}

// State gives a copy of everything, with all invitations settled that are due.
func (s *Sim) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	state := State{Calls: make(map[string]CallState, len(s.calls)), Counters: s.log.count.clone()}
	for _, m := range s.calls {
		if !m.ended {
			m.settle(now, s.newID)
		}
		c := CallState{
			Ended:        m.ended,
			Participants: []Participant{},
			Ringing:      []string{},
			Rings:        maps.Clone(m.rings),
			Joined:       slices.AppendSeq([]string{}, maps.Keys(m.joined)),
			Operations:   []OperationState{},
		}
		slices.Sort(c.Joined)
		for _, p := range m.present(0, len(m.roster)) {
			c.Participants = append(c.Participants, *p)
		}
		for _, inv := range m.ringing {
			c.Ringing = append(c.Ringing, inv.who.key())
		}
		for _, o := range m.opOrder {
			c.Operations = append(c.Operations, OperationState{
				ID: o.id, ClientContext: o.clientContext, Status: o.status(), Code: o.code, Message: o.message,
			})
		}
		state.Calls[m.id] = c
	}
	return state
}
