package graphsim

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// route is what a method and path ask for.
type route struct {
	kind        string
	call        string
	participant string
	operation   string
	allow       string // not empty: 405, these methods are allowed
}

// parseRoute reads a path by its escaped form, as ids may hold slashes.
func parseRoute(method, escaped string) route {
	none := route{kind: KindOther}
	parts := strings.Split(strings.TrimPrefix(escaped, "/"), "/")
	for i, p := range parts {
		var err error
		if parts[i], err = url.PathUnescape(p); err != nil || p == "" {
			return none
		}
	}
	if len(parts) < 5 || parts[0] != "v1.0" && parts[0] != "beta" || parts[1] != "communications" || parts[2] != "calls" {
		return none
	}
	r := route{call: parts[3]}
	switch rest := parts[4:]; {
	case rest[0] == "operations" && len(rest) == 2:
		r.operation = rest[1]
		return r.only(method, map[string]string{http.MethodGet: KindOperation}, "GET")
	case rest[0] != "participants" || len(rest) > 2:
		return none
	case len(rest) == 1:
		return r.only(method, map[string]string{http.MethodGet: KindRoster}, "GET")
	case rest[1] == "invite" && method == http.MethodPost:
		r.kind = KindInvite
		return r
	default:
		r.participant = rest[1]
		return r.only(method, map[string]string{
			http.MethodGet: KindParticipant, http.MethodDelete: KindDelete,
		}, "GET, DELETE")
	}
}

func (r route) only(method string, kinds map[string]string, allow string) route {
	if r.kind = kinds[method]; r.kind == "" {
		r.kind, r.allow = KindOther, allow
	}
	return r
}

// exchange is one request being served.
type exchange struct {
	route
	rec    Record
	invite *invite
	reply  reply
	fault  string
	slow   time.Duration
	bucket *bucket
}

// ServeHTTP serves the API below /v1.0 and the controls below /_sim.
func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/_sim/") {
		s.serveControl(w, r)
		return
	}
	x := &exchange{route: parseRoute(r.Method, r.URL.EscapedPath())}
	x.rec = Record{Start: s.now(), Method: r.Method, Kind: x.kind, Call: x.call}
	// Read to the end whatever comes of it: a connection with an unread body
	// would be closed, which a client sees as a reset.
	var bad *apiError
	if x.kind == KindInvite {
		x.invite, bad = readInvite(w, r)
	} else {
		_, _ = io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, maxBody))
	}
	keys := x.name()

	latency := s.admit(x, r, bad, keys)
	if latency > 0 {
		pause(r, latency)
	}
	s.apply(x, r)
	if x.fault == FaultSlow {
		pause(r, x.slow)
	}
	s.finish(x, keys)
	x.write(w, r)
}

// name fills in whom the request is about and gives the keys by which overlaps
// are noticed. Reading overlaps with nothing.
func (x *exchange) name() (keys []string) {
	switch {
	case x.invite != nil:
		x.rec.ClientContext = x.invite.clientContext
		for _, p := range x.invite.who {
			x.rec.Participants = append(x.rec.Participants, p.key())
			if p.ID != "" {
				x.rec.Participants = append(x.rec.Participants, "participant:"+fold(p.ID))
			}
		}
	case x.participant != "":
		x.rec.Participants = []string{"participant:" + fold(x.participant)}
	}
	if x.kind != KindInvite && x.kind != KindDelete {
		return nil
	}
	for _, p := range x.rec.Participants {
		keys = append(keys, fold(x.call)+" "+p)
	}
	return keys
}

// admit decides whether a request is refused, before the call is looked at, and
// draws its fault. It gives the time it takes.
func (s *Sim) admit(x *exchange, r *http.Request, bad *apiError, keys []string) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log.enter(keys)
	t := s.tenantOf(x.call)
	if t != nil {
		x.rec.Tenant = t.name
	}
	token := s.bearer(r)
	if token == "" {
		x.reply = refusal(errToken)
		return s.latency
	}
	limit, b := s.limitOf(t, token, r.Method)
	v := b.take(limit, x.rec.Start)
	x.rec.Throttled, x.rec.SinceThrottle = v.within, v.since
	switch {
	case v.refused:
		x.reply = refusal(errThrottled)
		limit.setRetryAfter(x.reply.headers(), v.wait, x.rec.Start)
		if v.wait > 0 {
			x.bucket = b
		}
	case x.allow != "":
		x.reply = refusal(errMethod)
		x.reply.headers().Set("Allow", x.allow)
	case x.kind == KindOther:
		x.reply = refusal(errPath)
	case bad != nil:
		x.reply = refusal(*bad)
	default:
		x.fault, x.slow = s.fault(x.kind), s.slow
		x.rec.Fault = x.fault
		switch x.fault {
		case FaultUnavailable:
			x.reply = refusal(errUnavailable)
		case FaultInternal:
			x.reply = refusal(errInternal)
		case FaultUnauthorized:
			x.reply = refusal(errToken)
		}
	}
	return s.latency
}

// apply does what is asked, unless it is already refused.
func (s *Sim) apply(x *exchange, r *http.Request) {
	if x.reply.status != 0 || x.fault == FaultReset {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	m := s.calls[fold(x.call)]
	if m == nil && s.cfg.AutoCalls {
		m = s.addCall(x.call)
	}
	if m == nil || m.ended {
		x.reply = refusal(errCall)
		return
	}
	m.settle(now, s.newID)
	switch x.kind {
	case KindInvite:
		x.reply = s.ring(m, x.invite, origin(r), now)
	case KindDelete:
		x.reply = s.kick(m, x.participant, now)
	case KindRoster:
		x.reply = s.list(m, r)
	case KindParticipant:
		x.reply = refusal(errParticipant)
		if p := m.roster[fold(x.participant)]; p != nil {
			x.reply = jsonReply(entity("participants/$entity", p.wire()))
		}
	case KindOperation:
		x.reply = s.operation(m, x.operation, now)
	}
	x.rec.Applied = x.reply.status < 300 && (x.kind == KindInvite || x.kind == KindDelete)
}

// finish records a request. What is recorded is what is going to be answered,
// before it is: a client that has its answer finds it recorded.
func (s *Sim) finish(x *exchange, keys []string) {
	switch x.fault {
	case FaultReset, FaultLost:
		x.reply = reply{}
	case FaultGateway:
		x.reply = gatewayTimeout()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	x.rec.End = s.now()
	x.rec.Status, x.rec.Code = x.reply.status, x.reply.code
	if x.bucket != nil && x.bucket.opened.IsZero() {
		x.bucket.opened = x.rec.End
	}
	s.log.leave(keys)
	s.log.add(x.rec)
}

// pause waits for real time, or until the client has gone. What was received
// is applied all the same, as the service would.
func pause(r *http.Request, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	}
}
