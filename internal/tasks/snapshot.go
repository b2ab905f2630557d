package tasks

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"rollcall/internal/graph"
	"rollcall/internal/roster"
)

const (
	// defaultSnapshotLife is how long a roster that was read is good enough. All
	// tasks of a call share it, so a call is read at most once in this time.
	defaultSnapshotLife = 5 * time.Second
	// maxSnapshotLife is well below what the ledger remembers of changes.
	maxSnapshotLife = 30 * time.Second
	// lifeRequests is how many requests a roster lives for, where Graph allows so
	// few that it would be too old when its task has its next slot.
	lifeRequests = 100
	// troubleLife is for how long at least it is remembered that a roster could
	// not be read; longer if it took longer to find out.
	troubleLife = time.Second
	// maxSnapshots bounds the rosters kept in memory.
	maxSnapshots = 1024
)

// snapshot is the roster of a call as it was when it was asked for.
type snapshot struct {
	at        time.Time // on the local clock, when the request was sent
	life      time.Duration
	until     time.Time // from then on it is too old
	err       error     // why there is none
	complete  bool      // who is not shown is not there
	capped    bool      // it is not complete only because it is as long as a list that was cut
	pages     int
	shown     int
	requestID string
	ids       map[string][]string // the participants' ids, by participant key
	lobby     map[string]bool     // those ids that wait to be let in
}

func newSnapshot(at time.Time, r graph.Roster, err error) *snapshot {
	s := &snapshot{at: at, err: err, complete: r.Complete, capped: r.Capped, pages: r.Pages, requestID: r.RequestID, ids: map[string][]string{}, lobby: map[string]bool{}}
	add := func(key, id string) {
		if have := s.ids[key]; len(have) == 0 || have[len(have)-1] != id {
			s.ids[key] = append(have, id)
		}
	}
	for _, p := range r.Participants {
		if p.Removed {
			continue
		}
		s.shown++
		if p.InLobby {
			s.lobby[p.ID] = true
		}
		add(participantKey(p.ID), p.ID)
		if p.InvitedAs != "" {
			add(participantKey(p.InvitedAs), p.ID)
		}
		for _, i := range p.Identities {
			// The case of GUIDs does not matter; that of other ids may.
			add(string(i.Kind)+":"+roster.FoldGUID(i.ID), p.ID)
		}
	}
	return s
}

// participantKey is how the changes' keys name a participant id.
func participantKey(id string) string {
	return roster.Change{ParticipantID: id}.Keys()[0]
}

// endpoints are the ids under which the change's participant is in the call.
func (s *snapshot) endpoints(c roster.Change) []string {
	for _, k := range c.Keys() {
		if ids := s.ids[k]; len(ids) > 0 {
			return ids
		}
	}
	return nil
}

// where says of someone who is on the roster whether they are in the lobby only,
// which is where Graph's word of "in the call" begins.
func (s *snapshot) where(c roster.Change) string {
	for _, id := range s.endpoints(c) {
		if !s.lobby[id] {
			return ""
		}
	}
	return ", in its lobby"
}

// snapshots are the rosters of a process, each read by one request at a time.
type snapshots struct {
	life    time.Duration
	read    func(e *errand, tenant, call string) *snapshot
	flights singleflight.Group
	paged   nameSet // calls whose roster comes in pages, so that a list of 100 is no cut one

	mu     sync.Mutex
	kept   map[string]*snapshot
	pruned time.Time
}

// get gives the roster of a call as it was at since or later, and not longer ago
// than the snapshots' life. Its error is the one with which the roster was not
// read, or ctx's.
func (s *snapshots) get(ctx context.Context, tenant, call string, since time.Time) (*snapshot, error) {
	k := s.have(tenant, call)
	key := roster.Change{TenantID: tenant, CallID: call}.CallKey()
	// A reading that others began may be too old, the next is not.
	for n := 0; n < 2 && (k == nil || k.at.Before(since)); n++ {
		// Clocks differ a little: what has just changed may seem to be to come.
		if wait := min(time.Until(since), troubleLife); wait > 0 && !every(ctx, wait) {
			return nil, ctx.Err()
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case done := <-s.flights.DoChan(key, func() (any, error) {
			k := s.read(errandOf(ctx), tenant, call)
			if k.pages > 1 {
				s.paged.note(key)
			}
			k.complete = k.complete || k.capped && s.paged.has(key)
			s.keep(key, k)
			return k, nil
		}):
			k, _ = done.Val.(*snapshot)
		}
	}
	return k, k.err
}

// have gives the roster that is good enough for now, if there is one.
func (s *snapshots) have(tenant, call string) *snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.kept[roster.Change{TenantID: tenant, CallID: call}.CallKey()]
	if k == nil || !time.Now().Before(k.until) {
		return nil
	}
	return k
}

func (s *snapshots) keep(key string, k *snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	k.until = k.at.Add(max(s.life, k.life))
	switch {
	case k.err == nil:
	case judge(roster.Delete, k.err).next == throttle:
		k.until = now // it ends by itself
	default:
		k.until = now.Add(min(s.life, max(troubleLife, now.Sub(k.at))))
	}
	if s.kept == nil {
		s.kept = map[string]*snapshot{}
	}
	if full := len(s.kept) >= maxSnapshots; full || now.Sub(s.pruned) > s.life {
		s.pruned = now
		for other, o := range s.kept {
			if !now.Before(o.until) {
				delete(s.kept, other)
			}
		}
		for other := range s.kept {
			if len(s.kept) < maxSnapshots {
				break
			}
			delete(s.kept, other)
		}
	}
	s.kept[key] = k
}

// readRoster reads the roster of a call for all who want it: it does not end with
// the errand on which it is read.
func (w *Worker) readRoster(e *errand, tenant, call string) *snapshot {
	// Waiting comes first, for the roster's age counts from the request.
	ctx, err := w.slot(withErrand(w.hard, e), tenant)
	if err != nil {
		return newSnapshot(time.Now(), graph.Roster{}, err)
	}
	at := time.Now()
	got, err := w.graph.Participants(ctx, tenant, call)
	k := newSnapshot(at, got, err)
	if rate := w.limiter.Rate(w.scope(tenant)); rate > 0 {
		k.life = min(time.Duration(lifeRequests/rate*float64(time.Second)), maxSnapshotLife)
	}
	return k
}
