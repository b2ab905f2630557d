package tasks

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"golang.org/x/time/rate"

	"rollcall/internal/graph"
	"rollcall/internal/ledger"
	"rollcall/internal/roster"
)

// looks says when rows with an intent are looked at. Times count from the intent.
type looks struct {
	first time.Duration // the first look
	most  time.Duration // longest time between two; before that, they double
	over  time.Duration // who is not in the call by now will not come
	late  time.Duration // from then on, being absent says nothing: one may have come and gone

	// Operations are read when the ringing is over, or earlier where the roster
	// cannot show everybody; before that only as far as early allows, as most
	// would say no more than that it still rings.
	read, readHidden time.Duration
	early            *rate.Limiter
}

// newLooks follows from how long to wait for a confirmation. Hardly anybody
// answers within two seconds; Graph rings for 60.
func newLooks(timeout time.Duration) looks {
	return looks{
		first: min(timeout/40, 2*time.Second), most: min(timeout/10, 8*time.Second),
		over: timeout, late: 2*timeout + 5*time.Minute,
		read: timeout * 4 / 5, readHidden: timeout / 5, early: rate.NewLimiter(4, 20),
	}
}

// age is how long ago the row's intent was written.
func (r *round) age(i int) time.Duration { return r.turn.Now().Sub(r.turn.Rows[i].Intent.At) }

func (r *round) over(i int) bool { return r.age(i) >= r.w.looks.over }

// look finds out what became of invitations: by the roster of the call, then by
// Graph's operation. It returns the rows that have to be sent again: those whose
// request may never have arrived, and whose participants have not come.
func (r *round) look(ctx context.Context, rows []int) (resend []int) {
	if len(rows) == 0 || r.stopped(ctx, rows...) {
		return nil
	}
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
		if r.turn.Instead[i] == ledger.Pending || r.age(i) <= r.w.looks.late {
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

// operations reads the operations of the rows, as far as that is due, and
// returns the rows about which they say nothing final.
func (r *round) operations(ctx context.Context, rows []int, complete bool) (open []int) {
	byID := map[string][]int{}
	var ids []string
	for _, i := range rows {
		id := r.turn.Rows[i].Intent.Operation
		if id != "" && byID[id] == nil {
			ids = append(ids, id)
		}
		byID[id] = append(byID[id], i)
	}
	open = byID[""]
	for _, id := range ids {
		mine := byID[id]
		if r.halt != nil || r.ended != nil || !r.readDue(mine[0], complete) {
			open = append(open, mine...)
			continue
		}
		op, err := r.w.graph.Operation(ctx, r.task.tenant, r.call, id)
		for _, i := range mine {
			in := &r.turn.Rows[i].Intent
			in.Read = r.age(i)
		}
		if err != nil {
			// One that is gone is over, with a result that nobody can tell.
			if graph.KindOf(err) != graph.NotFound && r.unreadable(ctx, err, mine...) {
				continue
			}
			open = append(open, mine...)
			continue
		}
		open = append(open, r.result(op, mine)...)
	}
	return open
}

func (r *round) readDue(i int, complete bool) bool {
	age, last, looks := r.age(i), r.turn.Rows[i].Intent.Read, r.w.looks
	due := looks.read
	if !complete {
		due = looks.readHidden
	}
	switch {
	case age >= looks.over, age >= due && last < due:
		return true
	case age < 2*looks.first, age < 2*last:
		return false
	}
	return age >= due || looks.early.Allow()
}

// result gives the rows of an operation the outcome that it tells, and returns
// those about which it says nothing.
//
// Graph gives one reason for all that were invited together, which names who did
// not come; the others may still be ringing. Where nobody is named, it is about
// the last of whom nothing else is known.
func (r *round) result(op graph.Operation, rows []int) (open []int) {
	var states []ledger.Settlement
	for _, i := range rows {
		row := &r.turn.Rows[i]
		mine, others := r.named(op.Result.Message, i)
		failed := op.Status == graph.Failed && (mine || len(others) == 0)
		if failed {
			reason(row, op, others)
		}
		switch {
		case op.Status == graph.Completed:
			row.Detail = "Graph's operation completed"
			states = append(states, r.joined(i))
		case failed && (mine || r.alone(i)):
			states = append(states, r.declined(i, row.Detail))
		default:
			open = append(open, i)
			continue
		}
		last := &states[len(states)-1].Row
		last.Status, last.RequestID = op.HTTPStatus, op.RequestID
	}
	r.record(states...)
	return open
}

// alone tells whether no other row of the same operation is without an outcome.
func (r *round) alone(i int) bool {
	for other, row := range r.turn.Rows {
		if other != i && row.Outcome == ledger.Pending && row.Intent.Operation == r.turn.Rows[i].Intent.Operation {
			return false
		}
	}
	return true
}

// named tells whether a message names row i's participant, and gives the other
// rows' that it names.
func (r *round) named(message string, i int) (mine bool, others []roster.Change) {
	for other, c := range r.task.rows {
		switch {
		case !names(message, c):
		case other == i:
			mine = true
		default:
			others = append(others, c)
		}
	}
	return mine, others
}

// reason writes into a row's record how its operation failed, without what is
// said of others.
func reason(row *ledger.Row, op graph.Operation, others []roster.Change) {
	row.Code = strconv.Itoa(op.Result.Code)
	if op.Result.Subcode != 0 {
		row.Code += "/" + strconv.Itoa(op.Result.Subcode)
	}
	row.Detail = "the invitation failed"
	message := op.Result.Message
	for _, c := range others {
		message = mention(c).ReplaceAllString(message, "${1}…${2}")
	}
	if message != "" {
		row.Detail += ": " + message
	}
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
	if r.turn.Instead[i] == ledger.Superseded {
		row.Outcome = ledger.Superseded
		row.Detail = insteadOf[ledger.Superseded] + "; " + why
	}
	return r.state(i, row)
}

// names tells whether a text names the change's participant.
func names(text string, c roster.Change) bool { return mention(c).MatchString(text) }

// mention matches where a text names the change's participant. An id may be a
// part of another.
func mention(c roster.Change) *regexp.Regexp {
	return regexp.MustCompile(`(?i)(^|[^\w.-])` + regexp.QuoteMeta(c.ID) + `($|[^\w.-]|\.(?:\W|$))`)
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
		wait := min(max(age, r.w.looks.first), r.w.looks.most)
		if left := r.w.looks.over - age; left > 0 {
			wait = min(wait, left)
		}
		row.At = r.turn.Now().Add(wait)
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
	case accepted && age > r.w.looks.late && instead != ledger.Superseded:
		return settled(ledger.Invited, "accepted by Graph; not confirmed: they were looked for only %s later", age.Round(time.Second))
	case accepted:
		return r.declined(i, fmt.Sprintf("no answer: not on the roster of the call %s after the invitation", age.Round(time.Second))), false
	case err != nil:
		return settled(ledger.Unresolved, detailUnknown+", and the roster of the call cannot be read")
	case !snap.complete:
		return settled(ledger.Unresolved, detailUnknown+"; not among the %d participants that Graph shows, which may not be all", snap.shown)
	case instead != ledger.Pending:
		return settled(instead, "%s; an invitation was sent without an answer, and they did not join", insteadOf[instead])
	case row.Intent.Came >= 2: // one may have come by themselves
		return settled(ledger.Unresolved, detailUnknown+"; %d others of the same request came, so they were probably rung, and are not rung again", row.Intent.Came)
	case age > r.w.looks.late:
		return settled(ledger.Unresolved, detailUnknown+"; they were looked for only %s later, and may have come and gone", age.Round(time.Second))
	case row.Intent.Again, row.Attempts >= r.w.cfg.MaxAttempts:
		return settled(ledger.Exhausted, "%d attempts: %s; not on the roster of the call", row.Attempts, row.Detail)
	}
	return ledger.Settlement{}, true
}

// insteadOf says why a row is not sent again.
var insteadOf = map[ledger.Outcome]string{
	ledger.Superseded: "a newer change to the same participant exists",
	ledger.Cancelled:  "the batch was cancelled",
	ledger.Expired:    "the deadline of the batch is over",
}
