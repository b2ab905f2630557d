package graph

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// Limits of one roster. Graph is known to show 100 entries and stop.
const (
	shownAtMost     = 100
	maxPages        = 100
	maxParticipants = 100_000
)

// Identity is who a participant is.
type Identity struct {
	Kind IdentityKind
	ID   string
}

// Participant is an entry of a roster. One person may have several, one for
// each device, each with its own id.
type Participant struct {
	ID         string
	Identities []Identity
	// InvitedAs is info.participantId, which an invitation may have set.
	InvitedAs string
	InLobby   bool
	// Removed is true for an entry that only says someone was removed.
	Removed bool
}

// Roster is who is in a call.
type Roster struct {
	Participants []Participant
	// Complete is true when someone who is not listed is surely not there. Graph
	// cuts lists at 100 without saying so.
	Complete bool
	// Capped is true when the list is not complete only because it is of one
	// page, without a next one, and as long as Graph's lists get.
	Capped bool
	Pages  int
	// RequestID is the request-id of the last page.
	RequestID string
}

type wirePage struct {
	Value    *wireEntries `json:"value"`
	NextLink string       `json:"@odata.nextLink"`
}

// wireEntries are the entries of one page, no more than a roster may have: read
// as they come, empty ones would take a hundred times the room of their body.
type wireEntries []wireParticipant

// UnmarshalJSON reads an array.
func (l *wireEntries) UnmarshalJSON(b []byte) error {
	*l = wireEntries{}
	dec := json.NewDecoder(bytes.NewReader(b))
	if tok, err := dec.Token(); err != nil || tok != json.Delim('[') {
		return errBody
	}
	for dec.More() {
		var w wireParticipant
		if len(*l) == maxParticipants || dec.Decode(&w) != nil {
			return errBody
		}
		*l = append(*l, w)
	}
	return nil
}

type wireParticipant struct {
	ID   string `json:"id"`
	Info struct {
		Identity      map[string]json.RawMessage `json:"identity"`
		ParticipantID string                     `json:"participantId"`
	} `json:"info"`
	InLobby      bool            `json:"isInLobby"`
	RemovedState json.RawMessage `json:"removedState"`
}

func (w wireParticipant) participant() Participant {
	p := Participant{
		ID:        w.ID,
		InvitedAs: w.Info.ParticipantID,
		InLobby:   w.InLobby,
		Removed:   len(w.RemovedState) > 0 && string(w.RemovedState) != "null",
	}
	// The kinds are the names of members; others ("@odata.type") hold no object.
	for name, raw := range w.Info.Identity {
		var who struct {
			ID string `json:"id"`
		}
		if json.Unmarshal(raw, &who) == nil && who.ID != "" {
			p.Identities = append(p.Identities, Identity{Kind: IdentityKind(name), ID: who.ID})
		}
	}
	slices.SortFunc(p.Identities, func(a, b Identity) int { return cmp.Compare(a.Kind, b.Kind) })
	return p
}

// parsePage reads one page of a roster. whole is false when an entry has no id,
// so that the list proves nothing about those it does not name.
func parsePage(body []byte) (list []Participant, next string, whole bool, err error) {
	var page wirePage
	if json.Unmarshal(body, &page) != nil || page.Value == nil {
		return nil, "", false, errBody
	}
	whole = true
	list = make([]Participant, 0, len(*page.Value))
	for _, w := range *page.Value {
		if w.ID == "" {
			whole = false
			continue
		}
		list = append(list, w.participant())
	}
	return list, page.NextLink, whole, nil
}

// Participants reads the roster of a call, all pages. One whose next page leads
// astray (to another origin, back, or without end) is not complete.
func (c *Client) Participants(ctx context.Context, tenant, callID string) (Roster, error) {
	u, err := c.address(OpRoster, "calls", callID, "participants")
	if err != nil {
		return Roster{}, err
	}
	roster := Roster{Complete: true}
	seen := map[string]bool{u.String(): true}
	for page := 1; ; page++ {
		a, err := c.page(ctx, tenant, u)
		if err != nil {
			return Roster{}, err
		}
		list, next, whole, err := parsePage(a.body)
		if a.bodyErr != nil || err != nil {
			return Roster{}, bodyError(OpRoster, a, errBody)
		}
		roster.Participants = append(roster.Participants, list...)
		roster.RequestID = requestID(a.header)
		roster.Pages = page
		roster.Capped = whole && page == 1 && next == "" && len(list) >= shownAtMost
		if !whole || roster.Capped {
			roster.Complete = false
		}
		if next == "" {
			return roster, nil
		}
		u, err = c.follow(u, next)
		if err != nil || seen[u.String()] || page >= maxPages || len(roster.Participants) > maxParticipants {
			// Those who were shown are there; of others it says nothing.
			roster.Complete = false
			return roster, nil
		}
		seen[u.String()] = true
	}
}

// page asks for one page, and once more where that fails by chance: with many
// pages, a roster would hardly ever be whole otherwise.
func (c *Client) page(ctx context.Context, tenant string, u *url.URL) (*answer, error) {
	r := call{op: OpRoster, method: http.MethodGet, tenant: tenant, url: u}
	asked := time.Now()
	a, err := c.do(ctx, r)
	if e, ok := errors.AsType[*Error](err); ok && e.MayHaveApplied() && !e.HasRetryAfter && time.Since(asked) < c.timeout/4 {
		return c.do(ctx, r)
	}
	return a, err
}

// follow resolves a nextLink. The token goes with it, so it must stay at the
// origin of the base URL.
func (c *Client) follow(from *url.URL, next string) (*url.URL, error) {
	u, err := from.Parse(next)
	if err != nil || u.User != nil || !sameOrigin(c.base, u) {
		return nil, errors.New("the roster's next page is not at the same address")
	}
	u.Fragment, u.RawFragment = "", ""
	return u, nil
}

// Participant reads one entry of a roster.
func (c *Client) Participant(ctx context.Context, tenant, callID, participant string) (Participant, error) {
	u, err := c.address(OpParticipant, "calls", callID, "participants", participant)
	if err != nil {
		return Participant{}, err
	}
	a, err := c.do(ctx, call{op: OpParticipant, method: http.MethodGet, tenant: tenant, url: u})
	if err != nil {
		return Participant{}, err
	}
	var w wireParticipant
	if a.bodyErr != nil || json.Unmarshal(a.body, &w) != nil || w.ID == "" {
		return Participant{}, bodyError(OpParticipant, a, errBody)
	}
	return w.participant(), nil
}
