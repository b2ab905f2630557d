package tasks

import (
	"context"
	"slices"
	"time"

	"rollcall/internal/ledger"
	"rollcall/internal/roster"
)

// invites takes the rows of an invite task: those with an intent are looked at
// first, and only whom that leaves, and who is not in the call yet, is rung.
func (r *round) invites(ctx context.Context, due []int) {
	var sent, fresh []int
	for _, i := range due {
		if r.turn.Rows[i].Intent.At.IsZero() {
			fresh = append(fresh, i)
		} else {
			sent = append(sent, i)
		}
	}
	send := slices.Concat(r.look(ctx, sent), r.absent(ctx, fresh))
	slices.Sort(send)
	r.send(ctx, send)
}

// absent gives those the outcome who are in the call already, and returns the
// rows of the others.
func (r *round) absent(ctx context.Context, rows []int) []int {
	if len(rows) == 0 || r.stopped(ctx, rows...) {
		return nil
	}
	snap, present, sure, err := r.present(ctx, rows, r.fresh(rows...))
	if err != nil {
		if r.unreadable(ctx, err, rows...) {
			return nil
		}
		return r.unchecked(rows, err)
	}
	var send []int
	var there []ledger.Settlement
	for _, i := range rows {
		switch left := r.turn.Rings[i].Until.Sub(r.turn.Now()); {
		case present[i] && !sure:
			r.later(busyWait, i)
		case present[i]:
			there = append(there, r.state(i, ledger.Row{
				Outcome: ledger.AlreadyPresent, Attempts: r.turn.Rows[i].Attempts,
				RequestID: snap.requestID, Detail: "on the roster of the call already" + snap.where(r.task.rows[i]),
			}))
		case left > 0:
			// An earlier row is ringing them.
			r.later(min(left, ringWait), i)
		default:
			send = append(send, i)
		}
	}
	r.record(there...)
	return send
}

// present tells who is on the roster as it was at since or later. Someone who is
// shown may have been removed by their participant id after the roster was read:
// then it is read again. It is not sure while someone works on such an id.
func (r *round) present(ctx context.Context, rows []int, since time.Time) (snap *snapshot, present map[int]bool, sure bool, err error) {
	for range 2 {
		if snap, err = r.snapshot(ctx, since); err != nil {
			return nil, nil, false, err
		}
		present = map[int]bool{}
		var keys []string
		for _, i := range rows {
			for _, id := range snap.endpoints(r.task.rows[i]) {
				present[i] = true
				keys = append(keys, participantKey(id))
			}
		}
		if len(keys) == 0 {
			return snap, present, true, nil
		}
		changed, err := r.turn.LastChange(ctx, keys...)
		if err != nil {
			return nil, nil, false, err
		}
		if !changed.After(since) || !r.turn.Local(changed).After(snap.at) {
			return snap, present, true, nil
		}
		since = changed
	}
	return snap, present, false, nil
}

// unchecked returns the rows that are invited although the roster could not be
// read: that it cannot be read twice must not keep anybody from the call.
func (r *round) unchecked(rows []int, err error) (send []int) {
	what := judge(roster.Invite, err)
	var wait []ledger.Settlement
	for _, i := range rows {
		switch left := r.turn.Rings[i].Until.Sub(r.turn.Now()); {
		case left > 0:
			r.later(min(left, ringWait), i)
		case what.next == again && r.turn.Rows[i].Attempts == 0 && r.w.cfg.MaxAttempts > 1:
			wait = append(wait, r.again(i, what.hint, err))
		default:
			send = append(send, i)
		}
	}
	r.record(wait...)
	return send
}
