package tasks

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"rollcall/internal/graph"
	"rollcall/internal/ledger"
	"rollcall/internal/roster"
)

// send invites the rows' participants, as many by one request as Graph takes.
func (r *round) send(ctx context.Context, rows []int) {
	var packs [][]int
	for len(rows) > 0 {
		pack := r.fit(rows)
		packs, rows = append(packs, pack), rows[len(pack):]
	}
	r.spread(len(packs), func(n int) {
		switch pack := packs[n]; {
		case len(pack) > 1 && r.w.singles.has(r.task.rows[0].CallKey()): // as a pack before it has shown
			for _, i := range pack {
				r.post(ctx, []int{i})
			}
		case r.post(ctx, pack):
			r.apart(ctx, pack)
		}
	})
}

// apart invites those each by a request of their own whom Graph has refused
// together: only that can tell which of them is at fault.
func (r *round) apart(ctx context.Context, pack []int) {
	accepted, refused := 0, 0
	for _, i := range pack {
		if r.turn.Standings[i] == ledger.Ready {
			r.post(ctx, []int{i})
		}
		switch row := r.turn.Rows[i]; {
		case row.Intent.Accepted, row.Outcome == ledger.Invited:
			accepted++
		case row.Outcome == ledger.Rejected:
			refused++
		}
	}
	if accepted > 1 && refused == 0 {
		// None is: the call does not take more than one at once.
		r.w.singles.note(r.task.rows[0].CallKey())
	}
}

// fit returns the first rows, as many as one request can have.
func (r *round) fit(rows []int) []int {
	if r.w.singles.has(r.task.rows[0].CallKey()) {
		return rows[:1]
	}
	bots := 0
	for n, i := range rows {
		if r.task.rows[i].Kind == roster.Application {
			bots++
		}
		if n == graph.MaxInvitees || bots > 1 { // Graph takes one bot a request
			return rows[:n]
		}
	}
	return rows
}

// post sends one invitation for the rows. That it is about to be sent is written
// first, and only an answer that says that it was surely not applied takes that
// back. It tells whether Graph refused the request for the sake of one of
// several rows: then nothing has become of them.
func (r *round) post(ctx context.Context, pack []int) (refused bool) {
	if r.stopped(ctx, pack...) {
		return false
	}
	if r.turn.Overdue() {
		r.later(0, pack...)
		return false
	}
	var slotted context.Context
	var err error
	r.outside(func() { slotted, err = r.w.slot(ctx, r.task.tenant) })
	if err != nil {
		r.trouble(ctx, err, pack...)
		return false
	}
	ctx = slotted
	before := r.states(pack)
	pack, before, err = r.intend(ctx, pack, before)
	if !errors.Is(err, ledger.ErrClaimLost) && !errors.Is(err, ledger.ErrNoBatch) && ctx.Err() == nil {
		r.w.intentTrouble(err)
	}
	if err != nil {
		r.w.log.Debug("an intent could not be written", "batch", r.task.batch.ID, "task", r.task.id, "error", err)
		r.later(redisWait, r.takeBack(pack, before)...)
		return false
	}
	if len(pack) == 0 {
		return false
	}
	var op graph.Operation
	inv := r.invitation(pack)
	r.outside(func() { op, err = r.w.graph.Invite(ctx, r.task.tenant, r.call, inv) })
	if err == nil {
		r.accepted(pack, op)
		return false
	}
	return r.notAccepted(ctx, pack, before, err)
}

func (r *round) states(rows []int) []ledger.Settlement {
	out := make([]ledger.Settlement, len(rows))
	for n, i := range rows {
		out[n] = r.state(i, r.turn.Rows[i])
	}
	return out
}

// intend writes the intent for the rows, and returns those that may be rung,
// with their states before. With an error it is not known whose was written.
func (r *round) intend(ctx context.Context, pack []int, before []ledger.Settlement) ([]int, []ledger.Settlement, error) {
	rows := slices.Clone(before)
	for n := range rows {
		rows[n].Row = ledger.Row{
			Attempts: before[n].Row.Attempts + 1, At: r.turn.Now().Add(r.w.looks.first),
			Detail: "an invitation was to be sent; whether Graph took it is not known",
			// Whom a row with an intent comes back for was perhaps rung already.
			Intent: ledger.Intent{Again: !before[n].Row.Intent.At.IsZero()},
		}
	}
	written, err := r.turn.Intend(ctx, r.w.ringTime(), rows...)
	if err != nil {
		return pack, before, err
	}
	var may []int
	var was []ledger.Settlement
	for n, i := range pack {
		if written[n] {
			may, was = append(may, i), append(was, before[n])
		} else {
			r.taken(i)
		}
	}
	return may, was, nil
}

// ringTime is for how long after an intent somebody may be rung: the request for
// it can take its time, too.
func (w *Worker) ringTime() time.Duration { return w.cfg.ConfirmTimeout + w.graph.Timeout() }

func (r *round) invitation(pack []int) graph.Invitation {
	first := r.task.rows[pack[0]].Row
	inv := graph.Invitation{ClientContext: fmt.Sprintf("rollcall %s %d %s", r.task.batch.ID, first, rand.Text())}
	for _, i := range pack {
		c := r.task.rows[i]
		inv.Participants = append(inv.Participants, graph.Invitee{
			Kind: identityKinds[c.Kind], ID: c.ID, DisplayName: c.DisplayName,
			ParticipantID: c.ParticipantID, ReplacesCallID: c.ReplacesCallID,
		})
	}
	return inv
}

// identityKinds are Graph's words for the kinds of the roster.
var identityKinds = map[roster.Kind]graph.IdentityKind{
	roster.User: graph.User, roster.Phone: graph.Phone,
	roster.Application: graph.Application, roster.Guest: graph.Guest,
}

// accepted notes that Graph rings the rows' participants.
func (r *round) accepted(pack []int, op graph.Operation) {
	intent, answered := r.turn.Rows[pack[0]].Intent.At, r.answered()
	for rows := pack; len(rows) > 0; {
		states := r.states(rows)
		for n := range states {
			row := &states[n].Row
			row.Intent = ledger.Intent{At: answered, Accepted: true, Operation: op.ID}
			row.Status, row.RequestID = op.HTTPStatus, op.RequestID
			row.Detail = "accepted by Graph; not confirmed"
			if op.ID != "" {
				row.Detail += "; operation " + op.ID
			}
			if r.w.cfg.AcceptOnly {
				row.Outcome, row.At = ledger.Invited, time.Time{}
			}
		}
		written := r.record(states...)
		if len(written) == 0 {
			return
		}
		// Whoever has looked at a row meanwhile does not know what is known here.
		var missed []int
		for n, i := range rows {
			now := r.turn.Rows[i]
			if !written[n] && now.Outcome == ledger.Pending && now.Intent.At.Equal(intent) {
				missed = append(missed, i)
			}
		}
		rows = missed
	}
}

// answered is from when on people ring at the latest whose invitation's request
// has just ended: the time from its intent to that can be long, and counts for
// nothing.
func (r *round) answered() time.Time { return r.turn.Now().Truncate(time.Millisecond) }

// notAccepted deals with an error of an invitation.
func (r *round) notAccepted(ctx context.Context, pack []int, before []ledger.Settlement, err error) (refused bool) {
	if mayHaveApplied(err) {
		if ctx.Err() != nil {
			r.later(0, pack...) // what became of it is found out by looking
			return false
		}
		rows, ended := r.states(pack), r.answered()
		for n := range rows {
			row := &rows[n].Row
			evidence(row, judge(roster.Invite, err).hint, err)
			row.Intent.At = ended
			row.At = ended.Add(min(max(r.w.looks.first, retryAfter(err)), r.w.looks.over))
		}
		r.record(rows...)
		return false
	}
	// Nobody was rung. Rows that somebody else has taken over are left to them.
	pack = r.takeBack(pack, before)
	if len(pack) == 0 || r.trouble(ctx, err, pack...) {
		return false
	}
	what := judge(roster.Invite, err)
	if what.next == settle && what.outcome == ledger.Rejected && len(pack) > 1 {
		return true
	}
	var rows []ledger.Settlement
	for _, i := range pack {
		if what.next != settle {
			rows = append(rows, r.again(i, what.hint, err))
			continue
		}
		row := ledger.Row{Outcome: what.outcome, Attempts: r.turn.Rows[i].Attempts + 1}
		evidence(&row, what.hint, err)
		if row.Outcome == ledger.CallEnded {
			r.ended = &row
		}
		rows = append(rows, r.state(i, row))
	}
	r.record(rows...)
	return false
}

// takeBack records the intent of an invitation away that was surely not sent. It
// returns the rows that were as they had been left.
func (r *round) takeBack(pack []int, before []ledger.Settlement) (mine []int) {
	written := r.write(before...)
	for n, i := range pack {
		if n < len(written) && written[n] {
			mine = append(mine, i)
		} else {
			r.taken(i)
		}
	}
	return mine
}

// taken leaves a row to the one who has got hold of it.
func (r *round) taken(i int) {
	r.turn.Standings[i] = ledger.Busy
	r.later(busyWait, i)
}
