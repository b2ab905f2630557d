package tasks

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"rollcall/internal/graph"
	"rollcall/internal/roster"
)

// Live is what the roster of a call says about its rows that are not superseded,
// or the rosters of many.
type Live struct {
	Removed, AlreadyRemoved int64 // deletes, by the outcome they would have
	Invited, AlreadyPresent int64 // invites; who is invited may still not come
	CallEnded               int64 // rows of calls that there are not

	// Unknown are rows about which a roster says nothing that does not show
	// everybody, or could not be read.
	UnknownInvites, UnknownDeletes int64

	Shown    int64 // participants on the roster
	Leaving  int64 // those of them who would be removed
	Complete bool  // the roster shows everybody
	Ended    bool  // there is no such call
	Err      error // why the roster could not be read

	endpoints int64         // those that deletes by identity alone would remove
	action    roster.Action // what most wants the roster
}

// Unknown is how many rows are not known about.
func (l *Live) Unknown() int64 { return l.UnknownInvites + l.UnknownDeletes }

// Doubt says what cannot be known and why; "" if all is.
func (l *Live) Doubt() string {
	switch {
	case l.Err != nil:
		return l.noRoster()
	case l.Unknown() > 0:
		text := fmt.Sprintf("Graph shows %d participants, which may not be all: it cannot be known whether the others are there", l.Shown)
		if l.UnknownInvites > 0 {
			text += fmt.Sprintf("; %d invites of them will ring", l.UnknownInvites)
		}
		if l.UnknownDeletes > 0 {
			text += fmt.Sprintf("; %d deletes of them are sent if they name the participant_id, and otherwise may end as unresolved", l.UnknownDeletes)
		}
		return text
	}
	return ""
}

// noRoster says why the roster could not be read, and what to do about it.
func (l *Live) noRoster() string {
	text := fmt.Sprintf("its roster cannot be read: %v", l.Err)
	if graph.KindOf(l.Err) == graph.NoToken { // the hint is for those who can see a worker's log
		return text
	}
	return text + ": " + judge(l.action, l.Err).hint
}

func (l *Live) add(o *Live) {
	l.Removed += o.Removed
	l.AlreadyRemoved += o.AlreadyRemoved
	l.Invited += o.Invited
	l.AlreadyPresent += o.AlreadyPresent
	l.CallEnded += o.CallEnded
	l.UnknownInvites += o.UnknownInvites
	l.UnknownDeletes += o.UnknownDeletes
	l.Shown += o.Shown
	l.Leaving += o.Leaving
}

// Looked is what the look at the rosters has told in all.
type Looked struct {
	Live                               // Complete, Ended and Err are not set
	Whole, Cut, Over, Unreadable int64 // calls: their rosters show everybody, or may not; they have ended; they cannot be read
}

// Looked adds up what [Plan.Look] has found.
func (p *Plan) Looked() (all Looked) {
	for _, l := range p.live {
		if l == nil {
			continue
		}
		all.add(l)
		switch {
		case l.Err != nil:
			all.Unreadable++
		case l.Ended:
			all.Over++
		case l.Complete:
			all.Whole++
		default:
			all.Cut++
		}
	}
	return all
}

// LookOptions say what [Plan.Look] looks at.
type LookOptions struct {
	// DeletesOnly leaves calls out that have no deletes.
	DeletesOnly bool
	// Progress is told how many rosters of how many have been read, one call at a
	// time.
	Progress func(done, all int)

	held int64 // participants held at a time; 0: heldMost
}

const (
	// heldMost and heldCalls bound the rosters that are kept until the files are
	// read for them: 100,000 participants take some 50 MB.
	heldMost  = 100_000
	heldCalls = 10_000
	// lookTries is how often a roster is asked for that cannot be read by chance.
	lookTries = 3
)

// Look reads the rosters of the plan's calls as a worker does, by the limit and the
// pauses of the fleet in cfg's Redis, and compares the rows with them. It sends
// nothing that changes anything. That a roster cannot be read is no error: it is
// noted with its call.
func (p *Plan) Look(ctx context.Context, cfg WorkerConfig, o LookOptions) error {
	w, err := NewWorker(cfg)
	if err != nil {
		return err
	}
	defer w.graph.CloseIdleConnections()
	w.quit, w.hard = ctx, ctx
	var todo []uint32
	for i := range p.calls {
		if !o.DeletesOnly || p.calls[i].deletes() > 0 {
			todo = append(todo, uint32(i))
		}
	}
	p.live = make([]*Live, len(p.calls))
	l := &lookout{p: p, w: w, most: cmp.Or(o.held, heldMost), all: len(todo), progress: o.Progress}
	for len(todo) > 0 {
		n, err := l.read(ctx, todo)
		if err == nil {
			err = l.compare(ctx)
		}
		if err != nil {
			return err
		}
		todo = todo[n:]
	}
	return nil
}

// lookout is a look under way.
type lookout struct {
	p         *Plan
	w         *Worker
	most      int64 // participants held
	all, done int
	progress  func(done, all int)

	mu   sync.Mutex
	held map[uint32]*snapshot // rosters of the calls that are being compared
}

// read reads the rosters of the first calls, as many as can be held, and returns
// how many those are.
func (l *lookout) read(ctx context.Context, calls []uint32) (n int, err error) {
	l.held = map[uint32]*snapshot{}
	var shown atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(max(l.w.cfg.Concurrency/2, 1)) // as many as the limiter lets wait
	for n < len(calls) && n < heldCalls && (n == 0 || shown.Load() < l.most) {
		call := calls[n]
		n++
		g.Go(func() error {
			c := &l.p.calls[call]
			snap, err := l.w.look(ctx, cmp.Or(c.tenant(), l.w.cfg.Tenant), c.call())
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				snap = newSnapshot(time.Now(), graph.Roster{}, err)
			}
			shown.Add(int64(snap.shown))
			l.mu.Lock()
			defer l.mu.Unlock()
			l.held[call] = snap
			l.done++
			if l.progress != nil {
				l.progress(l.done, l.all)
			}
			return nil
		})
	}
	return n, g.Wait()
}

// look reads a roster, and waits as long as Graph asks for that.
func (w *Worker) look(ctx context.Context, tenant, call string) (*snapshot, error) {
	var since time.Time
	for tries := 1; ; since = time.Now() { // what was in the way is remembered for a while
		snap, err := w.snapshots.get(ctx, tenant, call, since)
		if err == nil || ctx.Err() != nil {
			return snap, err
		}
		wait, away := sentAway(err)
		switch judge(roster.Delete, err).next {
		case settle:
			return nil, err
		case throttle:
			if !away {
				wait = max(retryAfter(err), time.Second)
			}
		default:
			if tries == lookTries {
				return nil, err
			}
			wait = max(min(backoff(tries), lookWait), min(retryAfter(err), time.Minute))
			tries++
		}
		if !every(ctx, wait) {
			return nil, ctx.Err()
		}
	}
}

// lookWait bounds the wait until a roster that could not be read is asked for again.
const lookWait = 5 * time.Second

// compare reads the files, and says of each row whose call's roster is held what
// would become of it.
func (l *lookout) compare(ctx context.Context) error {
	leaving := map[uint32]map[string]bool{}
	for call, snap := range l.held {
		l.p.live[call] = newLive(snap, &l.p.calls[call])
		leaving[call] = map[string]bool{}
	}
	err := l.p.r.Input.Each(ctx, l.p.r.Options, func(rec roster.Record) error {
		call := l.p.find(rec.Change)
		if snap := l.held[call]; snap != nil && !l.p.superseded(rec.Change.Row) {
			l.p.live[call].row(rec.Change, snap, leaving[call])
		}
		return nil
	}, nil)
	for call, ids := range leaving {
		l.p.live[call].Leaving = int64(len(ids))
	}
	return err
}

func newLive(snap *snapshot, c *planCall) *Live {
	l := &Live{Shown: int64(snap.shown), Complete: snap.complete && snap.err == nil, action: roster.Invite}
	if c.deletes() > 0 {
		l.action = roster.Delete
	}
	if graph.KindOf(snap.err) == graph.CallNotFound {
		l.Ended = true
	} else {
		l.Err = snap.err
	}
	return l
}

// row counts what would become of a row, and adds to leaving whom it would remove.
func (l *Live) row(c roster.Change, snap *snapshot, leaving map[string]bool) {
	there := snap.endpoints(c)
	switch invite := c.Action == roster.Invite; {
	case l.Ended:
		l.CallEnded++
	case len(there) > 0 && invite:
		l.AlreadyPresent++
	case len(there) > 0:
		l.Removed++
		for _, id := range there {
			if c.ParticipantID == "" && !leaving[id] {
				l.endpoints++
			}
			leaving[id] = true
		}
	case l.Complete && invite:
		l.Invited++
	case l.Complete:
		l.AlreadyRemoved++
	case invite:
		l.UnknownInvites++
	default:
		l.UnknownDeletes++
	}
}
