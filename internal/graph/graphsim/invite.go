package graphsim

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strings"
	"unicode/utf8"
)

// maxBody caps request bodies, in bytes, before and after decompression.
const maxBody = 1 << 20

// invite is a valid body of an invitation.
type invite struct {
	who           []Participant
	clientContext string
	echo          []any // the participants as sent, for the answer
}

var e164 = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)

var errIdentity = badRequest("An identity is not valid.")

// identityKinds are the members of Graph's identity sets.
var identityKinds = map[string]bool{
	"user": true, "application": true, "device": true, "phone": true, "guest": true,
	"azureCommunicationServicesUser": true, "onPremises": true, "encrypted": true,
	"applicationInstance": true,
}

// readInvite reads and checks the body of an invitation.
func readInvite(w http.ResponseWriter, r *http.Request) (*invite, *apiError) {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return nil, badRequest("The body cannot be read or is too large.")
	}
	switch encoding := strings.ToLower(r.Header.Get("Content-Encoding")); encoding {
	case "", "identity":
	case "gzip":
		zr, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil, badRequest("The body is not gzip.")
		}
		data, err = io.ReadAll(io.LimitReader(zr, maxBody+1))
		if err != nil || len(data) > maxBody {
			return nil, badRequest("The body is not gzip or is too large.")
		}
	default:
		return nil, badRequest("The content encoding is not supported.")
	}
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset := params["charset"]
	if err != nil || media != "application/json" || charset != "" && !strings.EqualFold(charset, "utf-8") {
		return nil, badRequest("Write requests must have a content type of application/json.")
	}
	return parseInvite(data)
}

func parseInvite(data []byte) (*invite, *apiError) {
	var body struct {
		Participants  []json.RawMessage `json:"participants"`
		ClientContext string            `json:"clientContext"`
	}
	if json.Unmarshal(data, &body) != nil {
		return nil, badRequest("Unable to read JSON request payload.")
	}
	switch n := len(body.Participants); {
	case n == 0:
		return nil, badRequest("Participants is a required parameter.")
	case n > 5:
		return nil, badRequest("At most 5 participants can be invited by one request.")
	case utf8.RuneCountInString(body.ClientContext) > 256:
		return nil, badRequest("The client context is longer than 256 characters.")
	}
	inv := &invite{clientContext: body.ClientContext}
	bots := 0
	for _, raw := range body.Participants {
		p, bad := parseInvitee(raw)
		if bad != nil {
			return nil, bad
		}
		if p.Kind == "application" || p.Kind == "applicationInstance" {
			bots++
		}
		inv.who = append(inv.who, p)
		inv.echo = append(inv.echo, raw)
	}
	if bots > 1 {
		return nil, badRequest("Inviting more than one bot is not supported.")
	}
	return inv, nil
}

func parseInvitee(raw json.RawMessage) (Participant, *apiError) {
	var wire struct {
		Type          string                     `json:"@odata.type"`
		ParticipantID string                     `json:"participantId"`
		Identity      map[string]json.RawMessage `json:"identity"`
	}
	var p Participant
	if json.Unmarshal(raw, &wire) != nil {
		return p, badRequest("A participant is not valid.")
	}
	if wire.Type != "" && wire.Type != "#microsoft.graph.invitationParticipantInfo" {
		return p, badRequest("A participant is not of type invitationParticipantInfo.")
	}
	for kind, value := range wire.Identity {
		if strings.HasPrefix(kind, "@") || string(value) == "null" {
			continue
		}
		var who struct {
			ID          string `json:"id"`
			DisplayName string `json:"displayName"`
		}
		if !identityKinds[kind] || json.Unmarshal(value, &who) != nil || who.ID == "" {
			return p, errIdentity
		}
		if p.Kind != "" {
			return p, badRequest("A participant has more than one identity.")
		}
		p = Participant{Kind: kind, Identity: who.ID, DisplayName: who.DisplayName}
	}
	switch {
	case p.Kind == "":
		return p, badRequest("A participant has no identity.")
	// The ids with a meaning stand for phones, too.
	case p.Kind == "phone" && !e164.MatchString(p.Identity) && !special(p.Identity):
		return p, badRequest("A phone number is not in E.164 format.")
	}
	p.ID, p.InvitedAs = wire.ParticipantID, wire.ParticipantID
	return p, nil
}

func special(id string) bool {
	return strings.HasPrefix(id, "refuses-") || strings.HasPrefix(id, "noanswer-") || strings.HasPrefix(id, "gone-") || malformed(id)
}

func malformed(id string) bool { return strings.HasPrefix(id, "malformed-") }

// refused is why a valid body is refused by this call, nil if it is not.
func (inv *invite) refused(call string) *apiError {
	if len(inv.who) > 1 && strings.HasPrefix(call, "peer-") {
		return badRequest("The call is not a group call: only one participant can be invited by one request.")
	}
	for _, p := range inv.who {
		if malformed(p.Identity) {
			return errIdentity
		}
	}
	return nil
}
