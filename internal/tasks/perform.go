package tasks

import (
	"context"
	"fmt"
	"time"

	"rollcall/internal/graph"
	"rollcall/internal/ledger"
	"rollcall/internal/roster"
)

// rosterLife is how long a roster that was read serves to find participants.
const rosterLife = 5 * time.Second

// visit is what a task knows of its call while it runs.
type visit struct {
	graph  *graph.Client
	tenant string
	call   string

	roster   graph.Roster
	rosterAt time.Time
}

// perform carries one change out. It returns the row's outcome with its
// evidence, or the error of the request that did not succeed.
func (v *visit) perform(ctx context.Context, c roster.Change, clientContext string) (ledger.Row, error) {
	switch {
	case c.Action == roster.Invite:
		return v.invite(ctx, c, clientContext)
	case c.ParticipantID != "":
		return v.remove(ctx, c.ParticipantID)
	}
	return v.removeIdentity(ctx, c)
}

func (v *visit) invite(ctx context.Context, c roster.Change, clientContext string) (ledger.Row, error) {
	op, err := v.graph.Invite(ctx, v.tenant, v.call, graph.Invitation{
		ClientContext: clientContext,
		Participants: []graph.Invitee{{
			Kind: identityKinds[c.Kind], ID: c.ID, DisplayName: c.DisplayName,
			ParticipantID: c.ParticipantID, ReplacesCallID: c.ReplacesCallID,
		}},
	})
	if err != nil {
		return ledger.Row{}, err
	}
	r := ledger.Row{Outcome: ledger.Invited, Status: op.HTTPStatus, RequestID: op.RequestID, Detail: "accepted by Graph; not confirmed"}
	if op.ID != "" {
		r.Detail += "; operation " + op.ID
	}
	return r, nil
}

// identityKinds are Graph's words for the kinds of the roster.
var identityKinds = map[roster.Kind]graph.IdentityKind{
	roster.User: graph.User, roster.Phone: graph.Phone,
	roster.Application: graph.Application, roster.Guest: graph.Guest,
}

func (v *visit) remove(ctx context.Context, participant string) (ledger.Row, error) {
	a, err := v.graph.Remove(ctx, v.tenant, v.call, participant)
	if err != nil {
		return ledger.Row{}, err
	}
	return ledger.Row{Outcome: ledger.Removed, Status: a.HTTPStatus, RequestID: a.RequestID}, nil
}

// removeIdentity removes every endpoint that the identity has in the call.
func (v *visit) removeIdentity(ctx context.Context, c roster.Change) (ledger.Row, error) {
	if time.Since(v.rosterAt) > rosterLife {
		at := time.Now()
		r, err := v.graph.Participants(ctx, v.tenant, v.call)
		if graph.KindOf(err) == graph.NotFound {
			// It is the roster that was not found, which says nothing about who
			// is in the call.
			row := ledger.Row{Outcome: ledger.Unresolved}
			evidence(&row, "Graph does not show the roster of the call: give the participant_id instead", err)
			return row, nil
		}
		if err != nil {
			return ledger.Row{}, err
		}
		v.roster, v.rosterAt = r, at
	}
	endpoints := find(v.roster, identityKinds[c.Kind], c.ID)
	if len(endpoints) == 0 {
		if v.roster.Complete {
			return ledger.Row{Outcome: ledger.AlreadyRemoved, RequestID: v.roster.RequestID, Detail: "not on the roster of the call, which is complete"}, nil
		}
		return ledger.Row{
			Outcome: ledger.Unresolved, RequestID: v.roster.RequestID,
			Detail: fmt.Sprintf("not among the %d participants that Graph shows, which may not be all: give the participant_id instead", len(v.roster.Participants)),
		}, nil
	}
	last := ledger.Row{Outcome: ledger.AlreadyRemoved, Detail: "the participant was gone already"}
	removed := 0
	for _, id := range endpoints {
		r, err := v.remove(ctx, id)
		switch {
		case graph.KindOf(err) == graph.NotFound:
		case err != nil:
			return ledger.Row{}, err
		default:
			removed++
			last = r
		}
	}
	if removed > 1 {
		last.Detail = fmt.Sprintf("%d endpoints removed", removed)
	}
	return last, nil
}

// find returns the ids of an identity's endpoints. The case of GUIDs does not
// matter; that of other ids may.
func find(r graph.Roster, kind graph.IdentityKind, id string) []string {
	var out []string
	for _, p := range r.Participants {
		if p.Removed {
			continue
		}
		for _, i := range p.Identities {
			if i.Kind == kind && roster.FoldGUID(i.ID) == roster.FoldGUID(id) {
				out = append(out, p.ID)
				break
			}
		}
	}
	return out
}
