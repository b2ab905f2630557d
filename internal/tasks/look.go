package tasks

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/time/rate"

	"rollcall/internal/ledger"
	"rollcall/internal/roster"
)

// looks says when rows with an intent are looked at. Times count from the intent.
type looks struct {
	first time.Duration // the first look
	most  time.Duration // longest time between two; before that, they double
	over  time.Duration // who is not in the call by now will not come
	late  time.Duration // from then on, being absent says nothing: one may have come and gone

	// Where the roster cannot show everybody, each look reads the operation, too.
	// Elsewhere it is read when the ringing is over, and before that as long as
	// few say no more than that it still rings: early has a token for each of those.
	read  time.Duration
	early *rate.Limiter
}

// newLooks follows from how long to wait for a confirmation. Hardly anybody
// answers within two seconds; Graph rings for 60.
func newLooks(timeout time.Duration) looks {
	return looks{
		first: min(timeout/40, 2*time.Second), most: min(timeout/10, 8*time.Second),
		over: timeout, late: 2*timeout + 5*time.Minute,
		read: timeout * 4 / 5, early: rate.NewLimiter(2, 20),
	}
}

// next is when to look again at an invitation of some age. After the first looks,
// those of all tasks fall together, so that one roster serves all of a call.
func (l looks) next(now time.Time, age time.Duration) time.Time {
	step := l.most
	if age < 2*l.most {
		step /= 2 // most answer by then
	}
	next := now.Add(max(age, l.first))
	if age >= step {
		if next = now.Truncate(step).Add(step); next.Sub(now) < step/2 {
			next = next.Add(step)
		}
	}
	if end := now.Add(l.over - age); end.After(now) && end.Before(next) {
		return end
	}
	return next
}

// age is how long ago the row's intent was written, as of the look: what is found
// after that may take its time, and tells how it was then.
func (r *round) age(i int) time.Duration { return r.lookAt.Sub(r.turn.Rows[i].Intent.At) }

func (r *round) over(i int) bool { return r.age(i) >= r.w.looks.over }

// look finds out what became of invitations: by the roster of the call, then by
// Graph's operation. It returns the rows that have to be sent again: those whose
// request may never have arrived, and whose participants have not come.
func (r *round) look(ctx context.Context, rows []int) (resend []int) {
	if len(rows) == 0 || r.stopped(ctx, rows...) {
		return nil
	}
	r.lookAt = r.turn.Now()
	var since time.Time
	for _, i := range rows {
		at := r.turn.Rows[i].Intent.At
		if r.over(i) {
			at = at.Add(r.w.looks.over)
		}
		if at.After(since) {
			since = at
		}
	}
	snap, err := r.snapshot(ctx, since)
	if err != nil {
		// A row that must not be sent any more, and for which it is too late to
		// see anything, does not wait for better days.
		rows = r.hopeless(rows)
		if r.unreadable(ctx, err, rows...) {
			return nil
		}
	}
	open := rows
	if err == nil {
		open = r.seen(rows, snap)
	}
	open = r.operations(ctx, open, err == nil && snap.complete)
	var states []ledger.Settlement
	for _, i := range open {
		if r.stopped(ctx, i) {
			continue
		}
		state, again := r.unseen(i, snap, err)
		if again {
			resend = append(resend, i)
		} else {
			states = append(states, state)
		}
	}
	r.record(states...)
	return resend
}

// hopeless gives the rows their outcome of which nothing can be found out any
// more, and returns the others.
func (r *round) hopeless(rows []int) (rest []int) {
	var states []ledger.Settlement
	for _, i := range rows {
		row := r.turn.Rows[i]
		if r.turn.Instead[i].Outcome == ledger.Pending || r.age(i) <= r.w.looks.late {
			rest = append(rest, i)
			continue
		}
		row.Outcome, row.At, row.Detail = ledger.Unresolved, time.Time{}, detailUnknown+", and it is too late to find out"
		if row.Intent.Accepted {
			row.Outcome, row.Detail = ledger.Invited, "accepted by Graph; not confirmed, as Graph could not be asked in time"
		}
		states = append(states, r.state(i, row))
	}
	r.record(states...)
	return rest
}

const detailUnknown = "whether Graph took the invitation is not known (a retry may ring them again)"

// seen gives those the outcome who are on the roster, and returns the others.
func (r *round) seen(rows []int, snap *snapshot) (open []int) {
	var states []ledger.Settlement
	came := map[time.Time]int{}
	for _, i := range rows {
		if len(snap.endpoints(r.task.rows[i])) == 0 {
			open = append(open, i)
			continue
		}
		row := &r.turn.Rows[i]
		came[row.Intent.At]++
		row.Detail = "seen on the roster of the call" + snap.where(r.task.rows[i])
		if !row.Intent.Accepted {
			row.Status, row.RequestID = http.StatusOK, snap.requestID
		}
		states = append(states, r.joined(i))
	}
	// They show that Graph probably took a request whose answer was lost. Written
	// at once: later nobody could tell.
	for _, i := range open {
		row := &r.turn.Rows[i]
		if came[row.Intent.At] == 0 || row.Intent.Accepted {
			continue
		}
		row.Intent.Came += came[row.Intent.At]
		row.At = r.turn.Now().Add(r.w.looks.first)
		states = append(states, r.state(i, *row))
	}
	r.record(states...)
	return open
}

// joined is the state of a row whose participant has come. Its detail says how
// that is known.
func (r *round) joined(i int) ledger.Settlement {
	row := r.turn.Rows[i]
	row.Outcome, row.At, row.Code = ledger.Joined, time.Time{}, ""
	return r.state(i, row)
}

// declined is the state of a row whose participant will not come.
func (r *round) declined(i int, why string) ledger.Settlement {
	row := r.turn.Rows[i]
	row.Outcome, row.At, row.Detail = ledger.Declined, time.Time{}, why
	if instead := r.turn.Instead[i]; instead.Outcome == ledger.Superseded {
		row.Outcome, row.Detail = instead.Outcome, instead.Why+"; "+why
	}
	return r.state(i, row)
}

// party is how many were invited with row i and have no outcome. Where nobody of
// several came, their request hardly arrived.
func (r *round) party(i int) int {
	n := 0
	for _, row := range r.turn.Rows {
		if row.Outcome == ledger.Pending && row.Intent.At.Equal(r.turn.Rows[i].Intent.At) {
			n++
		}
	}
	return n
}

// unseen is the new state of a row whose participant has not been seen, or again
// is true if they are to be invited once more.
func (r *round) unseen(i int, snap *snapshot, err error) (state ledger.Settlement, again bool) {
	row := r.turn.Rows[i]
	instead, accepted, age := r.turn.Instead[i], row.Intent.Accepted, r.age(i)
	settled := func(o ledger.Outcome, detail string, args ...any) (ledger.Settlement, bool) {
		row.Outcome, row.At, row.Detail = o, time.Time{}, fmt.Sprintf(detail, args...)
		return r.state(i, row), false
	}
	switch {
	case age < r.w.looks.over, err == nil && !accepted && !snap.complete && age < 2*r.w.looks.over:
		// Where nobody knows whether they were rung, they get longer to show.
		row.At = r.w.looks.next(r.turn.Now(), age)
		return r.state(i, row), false
	case err != nil && judge(roster.Invite, err).next != settle && age < r.w.looks.late:
		// The roster may be there the next time.
		row.At = r.turn.Now().Add(max(r.w.looks.most, min(retryAfter(err), r.w.looks.over)))
		return r.state(i, row), false
	case accepted && err != nil:
		return settled(ledger.Invited, "accepted by Graph; not confirmed, as the roster of the call cannot be read")
	case accepted && !snap.complete:
		return settled(ledger.Invited, "accepted by Graph; not confirmed: not among the %d participants that Graph shows, which may not be all", snap.shown)
	case accepted && row.Code != "":
		return r.declined(i, row.Detail+"; not on the roster of the call"), false
	case accepted && age > r.w.looks.late && instead.Outcome != ledger.Superseded:
		return settled(ledger.Invited, "accepted by Graph; not confirmed: they were looked for only %s later", age.Round(time.Second))
	case accepted:
		why := "no answer"
		if row.Intent.Operation == "" {
			why = "refused or no answer" // Graph has forgotten which
		}
		return r.declined(i, fmt.Sprintf("%s: not on the roster of the call %s after the invitation", why, age.Round(time.Second))), false
	case err != nil:
		return settled(ledger.Unresolved, detailUnknown+", and the roster of the call cannot be read")
	case !snap.complete:
		return settled(ledger.Unresolved, detailUnknown+"; not among the %d participants that Graph shows, which may not be all", snap.shown)
	case instead.Outcome != ledger.Pending:
		return settled(instead.Outcome, "%s; an invitation was sent without an answer, and they did not join", instead.Why)
	case row.Intent.Came >= 2: // one may have come by themselves
		return settled(ledger.Unresolved, detailUnknown+"; %d others of the same request came, so they were probably rung, and are not rung again", row.Intent.Came)
	case age > r.w.looks.late:
		return settled(ledger.Unresolved, detailUnknown+"; they were looked for only %s later, and may have come and gone", age.Round(time.Second))
	case row.Intent.Again && (row.Intent.Came > 0 || r.party(i) < 3), row.Attempts >= r.w.cfg.MaxAttempts:
		return settled(ledger.Exhausted, "%d attempts: %s; not on the roster of the call", row.Attempts, row.Detail)
	}
	return ledger.Settlement{}, true
}
