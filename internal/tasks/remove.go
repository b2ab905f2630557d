package tasks

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"rollcall/internal/graph"
	"rollcall/internal/ledger"
	"rollcall/internal/roster"
)

// ringWait is how often a row looks whether an invitation is over that it has to
// wait for.
const ringWait = 2 * time.Second

// remove carries a delete out.
func (r *round) remove(ctx context.Context, i int) {
	c, known := r.task.rows[i], r.turn.Rows[i]
	if r.turn.Overdue() {
		r.later(0, i)
		return
	}
	row, err := r.removal(ctx, i)
	if row.Outcome != ledger.Pending {
		row.Attempts = known.Attempts + 1
		r.record(r.state(i, row))
		return
	}
	if err == nil {
		return
	}
	// An endpoint that was removed before another made trouble is not forgotten.
	partly := row.Status == http.StatusNoContent
	if partly && known.Status != row.Status {
		known.Status, known.RequestID = row.Status, row.RequestID
		r.write(r.state(i, known))
	}
	if r.trouble(ctx, err, i) {
		return
	}
	what := judge(c.Action, err)
	if what.next == settle {
		what.hint = strings.TrimPrefix(row.Detail+"; "+what.hint, "; ")
		row := ledger.Row{Outcome: what.outcome, Attempts: known.Attempts + 1}
		evidence(&row, what.hint, err)
		if row.Outcome == ledger.CallEnded {
			r.ended = &row
		}
		r.record(r.state(i, row))
		return
	}
	s := r.again(i, what.hint, err)
	if partly && s.Row.Outcome == ledger.Pending {
		s.Row.Status, s.Row.RequestID = row.Status, row.RequestID
	}
	r.record(s)
}

// removal removes the row's participant. It returns the outcome with its
// evidence, or the error of the request that did not succeed; neither if the row
// has to wait.
func (r *round) removal(ctx context.Context, i int) (ledger.Row, error) {
	c := r.task.rows[i]
	ring := r.turn.Rings[i]
	cancels := c.ParticipantID != "" && ring.Named
	left := ring.Until.Sub(r.turn.Now())
	if c.ParticipantID != "" && (left <= 0 || cancels) {
		return r.removeNamed(ctx, i)
	}
	snap, err := r.snapshot(ctx, r.fresh(i))
	switch kind := graph.KindOf(err); {
	case err == nil:
	case kind != graph.CallNotFound && left > 0: // the ringing tells when to look again
	case kind == graph.NotFound, kind == graph.Forbidden, kind == graph.Refused:
		// It is the roster that is not shown, which says nothing about who is in
		// the call.
		row := ledger.Row{Outcome: ledger.Unresolved}
		evidence(&row, "Graph does not show the roster of the call: give the participant_id instead", err)
		return row, nil
	default:
		return ledger.Row{}, err
	}
	var endpoints []string
	if err == nil {
		endpoints = snap.endpoints(roster.Change{Kind: c.Kind, ID: c.ID})
	}
	switch {
	case len(endpoints) == 0 && left > 0:
		// Whom an earlier row is ringing would join after they were removed.
		r.later(min(left, ringWait), i)
		return ledger.Row{}, nil
	case c.ParticipantID != "":
		return r.removeNamed(ctx, i)
	}
	row, err := r.removeAll(ctx, i, snap, endpoints)
	if err == nil && row.Outcome == ledger.AlreadyRemoved && len(endpoints) > 0 {
		// All that the roster showed were gone: they may be there anew.
		if snap, err = r.snapshot(ctx, r.turn.Now()); err != nil {
			return ledger.Row{}, err
		}
		endpoints = snap.endpoints(c)
		if len(endpoints) > 0 || !snap.complete {
			return r.removeAll(ctx, i, snap, endpoints)
		}
	}
	return row, err
}

// removeNamed removes the participant id of a row. If that is gone and the row
// says who it was, they may be there under another.
func (r *round) removeNamed(ctx context.Context, i int) (ledger.Row, error) {
	c := r.task.rows[i]
	row, gone := r.removeOne(ctx, c.ParticipantID)
	if graph.KindOf(gone) != graph.NotFound || c.Kind == roster.NoIdentity {
		return row, gone
	}
	snap, err := r.snapshot(ctx, r.fresh(i))
	if err != nil {
		if next := judge(roster.Delete, err).next; next == throttle || next == hold {
			return row, err // it can be asked later
		}
		return row, gone
	}
	endpoints := snap.endpoints(roster.Change{Kind: c.Kind, ID: c.ID})
	if len(endpoints) == 0 {
		return row, gone
	}
	return r.removeAll(ctx, i, snap, endpoints)
}

func (r *round) removeOne(ctx context.Context, participant string) (ledger.Row, error) {
	var a graph.Answer
	var err error
	r.outside(func() { a, err = r.w.graph.Remove(ctx, r.task.tenant, r.call, participant) })
	if err != nil {
		return ledger.Row{}, err
	}
	return ledger.Row{Outcome: ledger.Removed, Status: a.HTTPStatus, RequestID: a.RequestID}, nil
}

// removeAll removes every endpoint that the row's identity has in the call. With
// an error, the row says whether some were removed.
func (r *round) removeAll(ctx context.Context, i int, snap *snapshot, endpoints []string) (ledger.Row, error) {
	known := r.turn.Rows[i]
	// That is how an earlier round noted that it removed one.
	before := known.Status == http.StatusNoContent
	last := ledger.Row{Status: known.Status, RequestID: known.RequestID, Outcome: ledger.Removed}
	switch {
	case len(endpoints) > 0 || before:
	case snap.complete:
		return ledger.Row{Outcome: ledger.AlreadyRemoved, RequestID: snap.requestID, Detail: "not on the roster of the call, which is complete"}, nil
	default:
		return ledger.Row{
			Outcome: ledger.Unresolved, RequestID: snap.requestID,
			Detail: fmt.Sprintf("not among the %d participants that Graph shows, which may not be all: give the participant_id instead", snap.shown),
		}, nil
	}
	removed, refused := 0, error(nil)
	for _, id := range endpoints {
		row, err := r.removeOne(ctx, id)
		switch what := judge(roster.Delete, err); {
		case err == nil:
			removed++
			last = row
		case graph.KindOf(err) == graph.NotFound:
		case what.next == settle && what.outcome == ledger.Rejected:
			refused = err // the others may go
		default:
			last.Outcome = ledger.Pending
			return last, err
		}
	}
	switch {
	case refused != nil:
		last.Outcome, last.Detail = ledger.Pending, fmt.Sprintf("%d of %d endpoints removed", removed, len(endpoints))
		return last, refused
	case removed == 0 && !before:
		return ledger.Row{Outcome: ledger.AlreadyRemoved, Detail: "the participant was gone already"}, nil
	case before:
		last.Detail = "all endpoints removed"
	case removed > 1:
		last.Detail = fmt.Sprintf("%d endpoints removed", removed)
	}
	if !snap.complete {
		last.Detail = strings.TrimPrefix(last.Detail+fmt.Sprintf("; Graph shows %d participants, which may not be all: there may be more of them", snap.shown), "; ")
	}
	return last, nil
}
