package tasks

import (
	"context"
	"regexp"
	"strconv"

	"rollcall/internal/graph"
	"rollcall/internal/ledger"
	"rollcall/internal/roster"
)

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
		gone := graph.KindOf(err) == graph.NotFound
		for _, i := range mine {
			in := &r.turn.Rows[i].Intent
			in.Read = r.age(i)
			if gone { // it is over, with a result that nobody can tell
				in.Operation = ""
			}
		}
		if err != nil {
			if !gone && r.unreadable(ctx, err, mine...) {
				continue
			}
			open = append(open, mine...)
			continue
		}
		if !op.Status.Done() {
			r.w.looks.early.Allow() // only a reading that told nothing has its price
		}
		open = append(open, r.result(op, mine)...)
	}
	return open
}

func (r *round) readDue(i int, complete bool) bool {
	age, last, looks := r.age(i), r.turn.Rows[i].Intent.Read, r.w.looks
	switch {
	case age >= looks.over, age >= looks.read && last < looks.read:
		return true
	case age < 2*looks.first:
		return false
	}
	return !complete || age < looks.read && looks.early.Tokens() >= 1
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

// names tells whether a text names the change's participant.
func names(text string, c roster.Change) bool { return mention(c).MatchString(text) }

// mention matches where a text names the change's participant. An id may be a
// part of another.
func mention(c roster.Change) *regexp.Regexp {
	return regexp.MustCompile(`(?i)(^|[^\w.-])` + regexp.QuoteMeta(c.ID) + `($|[^\w.-]|\.(?:\W|$))`)
}
