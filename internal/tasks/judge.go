package tasks

import (
	"errors"
	"strings"

	"rollcall/internal/graph"
	"rollcall/internal/ledger"
	"rollcall/internal/roster"
)

// next is what happens to a row after an answer that is no outcome.
type next uint8

const (
	settle   next = iota // the outcome stands
	again                // come back after a backoff; the attempt counts
	throttle             // come back when the pause is over; no attempt was made
	hold                 // come back soon; no attempt was made
)

// reaction is what an answer means for a row.
type reaction struct {
	next    next
	outcome ledger.Outcome
	hint    string // what to do about it
}

const (
	hintCall      = "the call has ended or never was"
	hintRemoveApp = "Graph forbids it: the app needs Calls.JoinGroupCall.All (or Calls.JoinGroupCallAsGuest.All), and the tenant's admin must have run Set-CsApplicationMeetingConfiguration -AllowRemoveParticipantAppIds @{Add=\"<app id>\"}"
	hintInviteApp = "Graph forbids it: the app needs Calls.InitiateGroupCall.All with admin consent"
	hintToken     = "Graph does not accept the token: check that the app's credentials belong to the tenant of the call, and that the token is for Graph" //nolint:gosec // words about a token
	hintServer    = "Graph had a temporary error; some tenants get 500 (9999) instead of a permission error, so check the app's permissions if it stays"
)

// answers are the reactions to one kind of error.
type answers struct {
	invite, remove reaction
}

func both(r reaction) answers { return answers{invite: r, remove: r} }

// reactions is the one table from Graph's errors to outcomes, for invites and
// deletes.
var reactions = map[graph.Kind]answers{
	graph.Throttled:    both(reaction{next: throttle}),
	graph.CallNotFound: both(reaction{outcome: ledger.CallEnded, hint: hintCall}),
	graph.NotFound: {
		invite: reaction{outcome: ledger.Rejected, hint: "Graph does not find what the invite names"},
		remove: reaction{outcome: ledger.AlreadyRemoved, hint: "the participant was gone already"},
	},
	graph.Unauthorized: both(reaction{next: again, hint: hintToken}),
	graph.Forbidden: {
		invite: reaction{outcome: ledger.Rejected, hint: hintInviteApp},
		remove: reaction{outcome: ledger.Rejected, hint: hintRemoveApp},
	},
	graph.Refused:   both(reaction{outcome: ledger.Rejected, hint: "Graph refused it"}),
	graph.Temporary: both(reaction{next: again, hint: hintServer}),
	graph.Unknown:   both(reaction{next: again, hint: "no whole answer from Graph"}),
	graph.NotSent:   both(reaction{next: again, hint: "Graph could not be reached"}),
	graph.NoToken:   both(reaction{next: hold, hint: "no token: see the worker's log"}),
	graph.BadAnswer: both(reaction{next: again, hint: "Graph's answer made no sense"}),
	graph.Invalid:   both(reaction{outcome: ledger.Rejected, hint: "the row cannot be sent to Graph"}),
}

// judge says what an error from the Graph client means for a row.
func judge(action roster.Action, err error) reaction {
	if _, away := sentAway(err); away {
		return reaction{next: throttle}
	}
	if _, ok := errors.AsType[*gateError](err); ok {
		return reaction{next: hold, hint: "stopped before it was sent"}
	}
	r, ok := reactions[graph.KindOf(err)]
	switch {
	case !ok:
		return reaction{next: hold, hint: "unexpected error"}
	case action == roster.Invite:
		return r.invite
	}
	return r.remove
}

// mayHaveApplied tells whether the change may have happened although there is
// an error.
func mayHaveApplied(err error) bool {
	e, ok := errors.AsType[*graph.Error](err)
	return ok && e.MayHaveApplied()
}

// evidence writes what an error says into a row's record.
func evidence(row *ledger.Row, hint string, err error) {
	row.Detail, row.Status, row.Code, row.RequestID = hint, 0, "", ""
	e, ok := errors.AsType[*graph.Error](err)
	if !ok {
		return
	}
	row.Status, row.Code = e.Status, e.Code
	row.RequestID = e.RequestID
	if row.RequestID == "" {
		row.RequestID = e.ClientRequestID
	}
	if m := strings.TrimSpace(e.Message); m != "" && e.Kind != graph.CallNotFound && e.Kind != graph.NotFound {
		row.Detail = hint + ": " + m
	}
}
