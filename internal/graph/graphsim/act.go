package graphsim

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// shown is how many entries of a roster Graph shows.
const shown = 100

// ring accepts an invitation, or refuses it as a whole. Graph answers before anyone has.
func (s *Sim) ring(m *meeting, inv *invite, origin string, now time.Time) reply {
	if bad := inv.refused(m.id); bad != nil {
		return refusal(*bad)
	}
	s.sweep(m, now)
	op := &operation{id: s.newID(), clientContext: inv.clientContext, pending: len(inv.who), failFast: s.cfg.FailFast}
	m.ops[op.id] = op
	m.opOrder = append(m.opOrder, op)
	for _, p := range inv.who {
		if m.rings[p.key()]++; m.rings[p.key()] > 1 {
			s.log.count.RungAgain++
		}
		out, ring := s.decide(m.id, p)
		m.ringing = append(m.ringing, &invitation{who: p, due: now.Add(ring), outcome: out, op: op})
	}
	m.schedule()
	wire := op.wire()
	wire.Participants = inv.echo
	r := jsonReply(entity("inviteParticipantsOperation", wire))
	r.headers().Set("Location", origin+"/v1.0/communications/calls/"+url.PathEscape(m.id)+"/operations/"+op.id)
	return r
}

// Fate is what an invitation of an identity to a call leads to: "answers",
// "declines" or "no answer"; "" if it is refused and rings nobody.
func (s *Sim) Fate(call, kind, identity string) string {
	if strings.HasPrefix(call, "ended-") || malformed(identity) {
		return ""
	}
	out, _ := s.decide(call, Participant{Kind: kind, Identity: identity})
	return [...]string{answers: "answers", declines: "declines", noAnswer: "no answer"}[out]
}

// decide is the fate of an invitation: it depends on who it is, not on when.
func (s *Sim) decide(call string, p Participant) (outcome, time.Duration) {
	h := hash(s.cfg.Seed, fold(call), p.key())
	ring := s.cfg.RingMin + time.Duration(fraction(mix(h+1))*float64(s.cfg.RingMax-s.cfg.RingMin))
	answer := s.cfg.AnswerRate
	if answer == 0 {
		answer = max(0, 1-s.cfg.DeclineRate-s.cfg.NoAnswerRate)
	}
	at := fraction(h) * (answer + s.cfg.DeclineRate + s.cfg.NoAnswerRate)
	switch {
	case strings.HasPrefix(p.Identity, "refuses-"):
		return declines, ring
	case strings.HasPrefix(p.Identity, "noanswer-"):
		return noAnswer, s.cfg.RingMax
	case at < answer:
		return answers, ring
	case at < answer+s.cfg.DeclineRate:
		return declines, ring
	}
	return noAnswer, s.cfg.RingMax
}

// sweep forgets the oldest operations, as far as they can no longer be read.
func (s *Sim) sweep(m *meeting, now time.Time) {
	for len(m.opOrder) > 0 && m.opOrder[0].gone(now, s.cfg.OperationLife) {
		delete(m.ops, m.opOrder[0].id)
		m.opOrder[0] = nil
		m.opOrder = m.opOrder[1:]
	}
}

// kick removes a participant, or cancels their invitation.
func (s *Sim) kick(m *meeting, participant string, now time.Time) reply {
	if p := m.roster[fold(participant)]; p != nil {
		m.remove(p)
		return reply{status: http.StatusNoContent}
	}
	if m.cancel(participant, now) {
		return reply{status: http.StatusNoContent}
	}
	return refusal(errParticipant)
}

func (s *Sim) operation(m *meeting, id string, now time.Time) reply {
	op := m.ops[fold(id)]
	if op == nil || op.gone(now, s.cfg.OperationLife) {
		return refusal(errOperation)
	}
	return jsonReply(entity("commsOperation", op.wire()))
}

// list gives a page of a roster. Pages continue after a sequence number, so
// that people who leave meanwhile shift nothing.
func (s *Sim) list(m *meeting, r *http.Request) reply {
	limit, after := shown, int64(0)
	if s.cfg.PageSize > 0 {
		limit = s.cfg.PageSize
		if token := r.URL.Query().Get("$skiptoken"); token != "" {
			var err error
			if after, err = strconv.ParseInt(token, 10, 64); err != nil {
				return refusal(*badRequest("The skip token is not valid."))
			}
		}
	}
	list := m.present(after, limit+1)
	page := struct {
		Context  string            `json:"@odata.context"`
		Value    []wireParticipant `json:"value"`
		NextLink string            `json:"@odata.nextLink,omitempty"`
	}{Context: "https://graph.microsoft.com/v1.0/$metadata#communications/calls/participants"}
	more := len(list) > limit
	list = list[:min(len(list), limit)]
	page.Value = make([]wireParticipant, 0, len(list))
	for _, p := range list {
		page.Value = append(page.Value, p.wire())
	}
	if more && s.cfg.PageSize > 0 {
		page.NextLink = origin(r) + r.URL.EscapedPath() + "?$skiptoken=" + strconv.FormatInt(list[len(list)-1].seq, 10)
	}
	return jsonReply(page)
}

// origin is the scheme and host a client used.
func origin(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}
