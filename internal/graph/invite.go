package graph

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"unicode/utf8"
)

// Limits of one invitation, from Graph's "participant: invite".
const (
	MaxInvitees      = 5
	MaxClientContext = 256 // characters
)

// IdentityKind is what an identity is, as it is named in Graph's JSON. Roster
// entries may have kinds other than the four that can be invited.
type IdentityKind string

// The kinds that can be invited.
const (
	User        IdentityKind = "user"        // id: object id
	Phone       IdentityKind = "phone"       // id: number in E.164
	Application IdentityKind = "application" // id: application id
	Guest       IdentityKind = "guest"
)

// Invitee is someone to invite.
type Invitee struct {
	Kind        IdentityKind
	ID          string
	DisplayName string // optional
	// ParticipantID, if set, becomes the participant's id, so that they can be
	// removed before they have joined.
	ParticipantID string
	// ReplacesCallID, if set, is the call of theirs that this one replaces.
	ReplacesCallID string
}

// Invitation is up to [MaxInvitees] people invited by one request.
type Invitation struct {
	Participants []Invitee
	// ClientContext comes back with the operation. Graph does not promise to
	// drop a second invitation with the same one.
	ClientContext string
}

type inviteBody struct {
	Participants  []invitationParticipant `json:"participants"`
	ClientContext string                  `json:"clientContext,omitempty"`
}

// invitationParticipant has nulls where the documentation's example has them.
type invitationParticipant struct {
	Type           string         `json:"@odata.type"`
	ParticipantID  *string        `json:"participantId"`
	ReplacesCallID *string        `json:"replacesCallId"`
	Hidden         *bool          `json:"hidden"`
	Identity       map[string]any `json:"identity"`
}

type identity struct {
	Type        string `json:"@odata.type"`
	ID          string `json:"id"`
	DisplayName string `json:"displayName,omitempty"`
	Provider    string `json:"identityProvider,omitempty"`
}

func (inv Invitation) encode() ([]byte, error) {
	if n := len(inv.Participants); n < 1 || n > MaxInvitees {
		return nil, errors.New("an invitation takes 1 to 5 participants")
	}
	if utf8.RuneCountInString(inv.ClientContext) > MaxClientContext {
		return nil, errors.New("the client context is longer than 256 characters")
	}
	body := inviteBody{ClientContext: inv.ClientContext}
	for _, p := range inv.Participants {
		set := "#microsoft.graph.identitySet"
		who := identity{Type: "#microsoft.graph.identity", ID: p.ID, DisplayName: p.DisplayName}
		switch p.Kind {
		case User:
			who.Provider = "AAD"
		case Application:
		case Phone, Guest:
			// identitySet has no such members.
			set = "#microsoft.graph.communicationsIdentitySet"
		default:
			return nil, errors.New("a participant is of a kind that cannot be invited")
		}
		if p.ID == "" {
			return nil, errors.New("a participant has no id")
		}
		body.Participants = append(body.Participants, invitationParticipant{
			Type:           "#microsoft.graph.invitationParticipantInfo",
			ParticipantID:  optional(p.ParticipantID),
			ReplacesCallID: optional(p.ReplacesCallID),
			Identity:       map[string]any{"@odata.type": set, string(p.Kind): who},
		})
	}
	return json.Marshal(body)
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// Invite asks Graph to ring people into a call. Success means accepted, not
// joined: refusal and no answer come later, as a failed operation.
//
// An accepted invitation is never an error: if the body of the answer cannot be
// read, the operation holds what is known, maybe nothing.
func (c *Client) Invite(ctx context.Context, tenant, callID string, inv Invitation) (Operation, error) {
	body, err := inv.encode()
	if err != nil {
		return Operation{}, &Error{Kind: Invalid, Op: OpInvite, Err: err}
	}
	u, err := c.address(OpInvite, "calls", callID, "participants", "invite")
	if err != nil {
		return Operation{}, err
	}
	a, err := c.do(ctx, call{op: OpInvite, method: http.MethodPost, tenant: tenant, url: u, body: body, people: len(inv.Participants)})
	if err != nil {
		return Operation{}, err
	}
	op, err := parseOperation(a.body)
	if err != nil || a.bodyErr != nil {
		// The end of a cut body may have said otherwise: keep the id only.
		op = Operation{ID: op.ID}
	}
	if op.ID == "" {
		op.ID = lastSegment(a.header.Get("Location"))
	}
	op.Answer = Answer{HTTPStatus: a.status, RequestID: requestID(a.header)}
	return op, nil
}

// Answer identifies a successful answer, as evidence.
type Answer struct {
	HTTPStatus int    // such as 204
	RequestID  string // Graph's request-id, empty if it gave none
}

// Remove takes a participant off a call, or cancels their invitation.
// [NotFound] means that they are gone already.
func (c *Client) Remove(ctx context.Context, tenant, callID, participant string) (Answer, error) {
	u, err := c.address(OpDelete, "calls", callID, "participants", participant)
	if err != nil {
		return Answer{}, err
	}
	a, err := c.do(ctx, call{op: OpDelete, method: http.MethodDelete, tenant: tenant, url: u, people: 1})
	if err != nil {
		return Answer{}, err
	}
	return Answer{HTTPStatus: a.status, RequestID: requestID(a.header)}, nil
}
