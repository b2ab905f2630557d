package tasks

import (
	"cmp"
	"context"
	"errors"
	"hash/maphash"
	"slices"
	"strings"

	"rollcall/internal/graph"
	"rollcall/internal/ledger"
	"rollcall/internal/roster"
)

// Plan is what an enqueue would do, as far as its files say. What the rosters of
// the calls say besides, [Plan.Look] finds out.
type Plan struct {
	Batch      ledger.Batch // its id, rows and totals
	Superseded int64        // rows to whose participants later rows do something else

	r     Request
	calls []planCall
	index map[uint64]uint32 // of calls, by the hash of their key
	seed  maphash.Seed
	last  roster.Change // whose call is the one at at
	at    uint32
	over  []uint64 // a bit for each superseded row
	live  []*Live  // by call; nil unless it was looked at
}

// planCall is the rows of a call, by sort.
type planCall struct {
	name       string // tenant and call as first written, with a tab between
	rows, over [sorts]uint32
	file, line uint32 // of its first delete; line 0: there is none
}

// What rows cost is a matter of their sort.
const (
	sortInvite   = iota // somebody to ring
	sortBot             // an application to ring, of which Graph takes one a request
	sortNamed           // a delete by participant id
	sortIdentity        // a delete by identity alone
	sorts
)

func sortOf(c roster.Change) uint32 {
	switch {
	case c.Action == roster.Invite && c.Kind == roster.Application:
		return sortBot
	case c.Action == roster.Invite:
		return sortInvite
	case c.ParticipantID != "":
		return sortNamed
	}
	return sortIdentity
}

// NewPlan reads the request's files and computes what Enqueue would do with them.
// It contacts nobody.
func NewPlan(ctx context.Context, r Request) (p *Plan, err error) {
	p = newPlan(r)
	rows := newSpill()
	defer func() { err = errors.Join(err, rows.close()) }()
	p.Batch.Totals, err = plan(ctx, r, func(*pack) {}, func(rec roster.Record) error { return p.add(rec, rows) })
	if err == nil {
		err = p.supersede(rows)
	}
	return p, err
}

func newPlan(r Request) *Plan {
	return &Plan{
		Batch: ledger.Batch{ID: r.BatchID(), Rows: r.Summary.Rows, Rejected: r.Summary.Rejected},
		r:     r, index: map[uint64]uint32{}, seed: maphash.MakeSeed(), over: make([]uint64, r.Summary.Rows/64+1),
	}
}

// add counts a row, and notes under which names its participant is known.
func (p *Plan) add(rec roster.Record, rows *spill) error {
	c := rec.Change
	call, sort := p.find(c), sortOf(c)
	at := &p.calls[call]
	at.rows[sort]++
	if at.line == 0 && c.Action == roster.Delete {
		at.file, at.line = uint32(rec.File), uint32(rec.Line)
	}
	for _, k := range c.Keys() {
		// The same name in two calls is two people.
		h := maphash.String(p.seed, k) ^ (uint64(call)+1)*0x9e3779b97f4a7c15
		if err := rows.add(spillEntry{hash: h, row: uint32(c.Row), what: call<<2 | sort}); err != nil {
			return err
		}
	}
	return nil
}

// find gives the number of a row's call, which is a new one where it has not been
// seen.
func (p *Plan) find(c roster.Change) uint32 {
	if len(p.calls) > 0 && c.CallID == p.last.CallID && c.TenantID == p.last.TenantID { // calls mostly stand together
		return p.at
	}
	h := maphash.String(p.seed, c.CallKey())
	at, ok := p.index[h]
	if !ok {
		at = uint32(len(p.calls))
		p.index[h] = at
		p.calls = append(p.calls, planCall{name: c.TenantID + "\t" + c.CallID})
	}
	p.last, p.at = c, at
	return at
}

// supersede finds the rows that share a name with a later one of their call.
func (p *Plan) supersede(rows *spill) error {
	type mention struct{ row, what uint32 }
	newest := map[uint64]mention{}
	for part := range spillParts {
		clear(newest)
		err := rows.part(part, func(e spillEntry) {
			if was, ok := newest[e.hash]; ok && !p.superseded(int64(was.row)) {
				p.over[was.row/64] |= 1 << (was.row % 64)
				p.calls[was.what>>2].over[was.what&3]++
				p.Superseded++
			}
			newest[e.hash] = mention{e.row, e.what}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *Plan) superseded(row int64) bool { return p.over[row/64]&(1<<(row%64)) != 0 }

// left is how many rows of a sort are not superseded.
func (c *planCall) left(sort int) int64 { return int64(c.rows[sort] - c.over[sort]) }

// deletes is how many participants the call's rows would remove.
func (c *planCall) deletes() int64 { return c.left(sortNamed) + c.left(sortIdentity) }

func (c *planCall) tenant() string { tenant, _, _ := strings.Cut(c.name, "\t"); return tenant }
func (c *planCall) call() string   { _, call, _ := strings.Cut(c.name, "\t"); return call }

func (c *planCall) total() int64 {
	n := int64(0)
	for _, rows := range c.rows {
		n += int64(rows)
	}
	return n
}

// CallPlan is what an enqueue would do about one call.
type CallPlan struct {
	Tenant, Call                 string // as first written; the tenant may be empty
	Invites, Deletes, Superseded int64  // rows
	Live                         *Live  // what its roster says; nil if it was not looked at
}

// Calls are those with the most rows, most first, and at most so many.
func (p *Plan) Calls(most int) []CallPlan {
	return p.largest(most, func(uint32) bool { return true })
}

// Unsure are the calls of which the look has not told all, as Calls gives them.
func (p *Plan) Unsure(most int) []CallPlan {
	return p.largest(most, func(i uint32) bool { l := p.lookedAt(i); return l != nil && l.Doubt() != "" })
}

func (p *Plan) largest(most int, which func(uint32) bool) []CallPlan {
	var order []uint32
	for i := range p.calls {
		if which(uint32(i)) {
			order = append(order, uint32(i))
		}
	}
	slices.SortStableFunc(order, func(a, b uint32) int { return cmp.Compare(p.calls[b].total(), p.calls[a].total()) })
	out := make([]CallPlan, 0, min(most, len(order)))
	for _, i := range order[:cap(out)] {
		out = append(out, p.callPlan(i))
	}
	return out
}

func (p *Plan) callPlan(i uint32) CallPlan {
	c := &p.calls[i]
	out := CallPlan{
		Tenant: c.tenant(), Call: c.call(),
		Invites: int64(c.rows[sortInvite]) + int64(c.rows[sortBot]),
		Deletes: int64(c.rows[sortNamed]) + int64(c.rows[sortIdentity]),
	}
	for _, n := range c.over {
		out.Superseded += int64(n)
	}
	out.Live = p.lookedAt(i)
	return out
}

// lookedAt is what the roster of a call says; nil if it was not looked at.
func (p *Plan) lookedAt(i uint32) *Live {
	if p.live == nil {
		return nil
	}
	return p.live[i]
}

// Requests are requests to Graph.
type Requests struct {
	Invitations, Removals, Rosters int64
}

// Total is how many they are.
func (r Requests) Total() int64 { return r.Invitations + r.Removals + r.Rosters }

// Add adds others.
func (r *Requests) Add(o Requests) {
	r.Invitations += o.Invitations
	r.Removals += o.Removals
	r.Rosters += o.Rosters
}

// Requests are those that the batch needs at least, by tenant in lower case. Where
// a roster is not known, they are for people who are not where they are to be.
func (p *Plan) Requests(confirm bool) map[string]Requests {
	all := map[string]Requests{}
	for i := range p.calls {
		c := &p.calls[i]
		tenant := strings.ToLower(c.tenant())
		sum := all[tenant]
		sum.Add(c.requests(p.lookedAt(uint32(i)), confirm))
		all[tenant] = sum
	}
	return all
}

func (c *planCall) requests(live *Live, confirm bool) Requests {
	invites, bots := c.left(sortInvite)+c.left(sortBot), c.left(sortBot)
	named, identity := c.left(sortNamed), c.left(sortIdentity)
	r := Requests{Removals: named + identity}
	if invites+identity > 0 {
		r.Rosters++
	}
	switch {
	case live == nil || live.Err != nil:
	case live.Ended:
		// The first request finds it out for its task.
		return Requests{Rosters: r.Rosters, Removals: min(named, 1-r.Rosters)}
	default:
		invites, bots = live.Invited+live.UnknownInvites, 0
		r.Removals = named + live.endpoints
	}
	if invites > 0 {
		r.Invitations = max((invites+graph.MaxInvitees-1)/graph.MaxInvitees, bots)
		if confirm {
			r.Rosters++
		}
	}
	return r
}

// first is where the call's first delete stands.
func (p *Plan) first(c *planCall) (file string, line int) {
	return p.r.Summary.Files[c.file].Name, int(c.line)
}
