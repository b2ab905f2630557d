package tasks

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/graph"
	"rollcall/internal/ledger"
	"rollcall/internal/ratelimit"
	"rollcall/internal/redistest"
	"rollcall/internal/roster"
)

// TestReactions is the table from Graph's errors to outcomes, read once more.
func TestReactions(t *testing.T) {
	type want struct {
		next    next
		outcome ledger.Outcome
	}
	table := map[graph.Kind]struct{ invite, remove want }{
		graph.Throttled:    {want{next: throttle}, want{next: throttle}},
		graph.CallNotFound: {want{outcome: ledger.CallEnded}, want{outcome: ledger.CallEnded}},
		graph.NotFound:     {want{outcome: ledger.Rejected}, want{outcome: ledger.AlreadyRemoved}},
		graph.Unauthorized: {want{next: again}, want{next: again}},
		graph.Forbidden:    {want{outcome: ledger.Rejected}, want{outcome: ledger.Rejected}},
		graph.Refused:      {want{outcome: ledger.Rejected}, want{outcome: ledger.Rejected}},
		graph.Temporary:    {want{next: again}, want{next: again}},
		graph.Unknown:      {want{next: again}, want{next: again}},
		graph.NotSent:      {want{next: again}, want{next: again}},
		graph.NoToken:      {want{next: hold}, want{next: hold}},
		graph.BadAnswer:    {want{next: again}, want{next: again}},
		graph.Invalid:      {want{outcome: ledger.Rejected}, want{outcome: ledger.Rejected}},
	}
	for kind, w := range table {
		err := fmt.Errorf("wrapped: %w", &graph.Error{Kind: kind})
		for action, want := range map[roster.Action]want{roster.Invite: w.invite, roster.Delete: w.remove} {
			got := judge(action, err)
			if got.next != want.next || got.outcome != want.outcome {
				t.Errorf("%s of %s: %+v, want %+v", kind, action, got, want)
			}
			if got.next != throttle && got.hint == "" {
				t.Errorf("%s of %s gives no hint", kind, action)
			}
			if (got.next == settle) == (got.outcome == ledger.Pending) {
				t.Errorf("%s of %s: %+v is neither an outcome nor a wait", kind, action, got)
			}
		}
	}
	if len(table) != len(reactions) {
		t.Errorf("the table has %d kinds, this test %d", len(reactions), len(table))
	}
	for name, err := range map[string]error{
		"pause": &graph.Error{Kind: graph.NotSent, Err: &gateError{&ratelimit.PausedError{Left: time.Second}}},
		"gate":  &graph.Error{Kind: graph.NotSent, Err: &gateError{errors.New("Redis is away")}},
		"other": errors.New("unexpected"),
	} {
		if got := judge(roster.Delete, err); got.next == again || got.next == settle {
			t.Errorf("%s costs an attempt: %+v", name, got)
		}
	}
}

// answer is what a Graph answers to a request.
type answer struct {
	status int
	header map[string]string
	body   string
	cut    bool // close the connection instead
}

func errorBody(code, message string) string {
	return `{"error":{"code":` + code + `,"message":"` + message + `","innerError":{"date":"2026-11-23T10:00:00","request-id":"inner-id","client-request-id":"c"}}}`
}

// TestAnswers sends one row of each action to a Graph with an empty roster that
// gives one answer to what shall change it, with a single attempt, and reads the
// outcome.
func TestAnswers(t *testing.T) {
	t.Parallel()
	huge := strings.Repeat("x", 8<<20)
	table := []struct {
		name            string
		answer          answer
		invite, remove  ledger.Outcome
		code, detailHas string
	}{
		{name: "204", answer: answer{status: 204}, invite: ledger.Invited, remove: ledger.Removed},
		{name: "200 with a body", answer: answer{status: 200, body: `{"id":"op","status":"running"}`}, invite: ledger.Invited, remove: ledger.Removed},
		{name: "200 empty", answer: answer{status: 200}, invite: ledger.Invited, remove: ledger.Removed},
		{name: "200 HTML", answer: answer{status: 200, body: "<html>"}, invite: ledger.Invited, remove: ledger.Removed},
		{name: "202", answer: answer{status: 202}, invite: ledger.Invited, remove: ledger.Removed},
		{name: "404 8522", answer: answer{status: 404, body: errorBody(`"8522"`, "Call not found.")}, invite: ledger.CallEnded, remove: ledger.CallEnded, code: "8522"},
		{name: "404 8522 as a number", answer: answer{status: 404, body: errorBody(`8522`, "Call not found.")}, invite: ledger.CallEnded, remove: ledger.CallEnded, code: "8522"},
		{name: "404 9997", answer: answer{status: 404, body: errorBody(`"9997"`, "Call not found.")}, invite: ledger.CallEnded, remove: ledger.CallEnded, code: "9997"},
		{name: "404 otherwise", answer: answer{status: 404, body: errorBody(`"NotFound"`, "no")}, invite: ledger.Rejected, remove: ledger.AlreadyRemoved, code: "NotFound"},
		{name: "404 empty", answer: answer{status: 404}, invite: ledger.Rejected, remove: ledger.AlreadyRemoved},
		{name: "404 HTML", answer: answer{status: 404, body: "<html><title>8522</title>"}, invite: ledger.Rejected, remove: ledger.AlreadyRemoved},
		{name: "400", answer: answer{status: 400, body: errorBody(`"BadRequest"`, "invalid user")}, invite: ledger.Rejected, remove: ledger.Rejected, code: "BadRequest", detailHas: "invalid user"},
		{name: "403", answer: answer{status: 403, body: errorBody(`"7503"`, "Forbidden")}, invite: ledger.Rejected, remove: ledger.Rejected, code: "7503"},
		{name: "405", answer: answer{status: 405}, invite: ledger.Rejected, remove: ledger.Rejected},
		{name: "409", answer: answer{status: 409, body: errorBody(`"x"`, "conflict")}, invite: ledger.Rejected, remove: ledger.Rejected, code: "x"},
		{name: "412", answer: answer{status: 412, body: `{"error":"text"}`}, invite: ledger.Rejected, remove: ledger.Rejected},
		{name: "422 truncated", answer: answer{status: 422, body: `{"error":{"code":"77`}, invite: ledger.Rejected, remove: ledger.Rejected},
		{name: "401 and again", answer: answer{status: 401}, invite: ledger.Exhausted, remove: ledger.Exhausted, detailHas: "token"},
		{name: "408", answer: answer{status: 408}, invite: ledger.Exhausted, remove: ledger.Exhausted},
		{name: "500 9999", answer: answer{status: 500, body: errorBody(`"9999"`, "Unknown internal server error")}, invite: ledger.Exhausted, remove: ledger.Exhausted, code: "9999", detailHas: "permission"},
		{name: "502 HTML", answer: answer{status: 502, body: "<html>bad gateway"}, invite: ledger.Exhausted, remove: ledger.Exhausted},
		{name: "503", answer: answer{status: 503}, invite: ledger.Exhausted, remove: ledger.Exhausted},
		{name: "504", answer: answer{status: 504}, invite: ledger.Exhausted, remove: ledger.Exhausted},
		{name: "507", answer: answer{status: 507}, invite: ledger.Exhausted, remove: ledger.Exhausted},
		{name: "500 huge", answer: answer{status: 500, body: huge}, invite: ledger.Exhausted, remove: ledger.Exhausted},
		{name: "400 huge", answer: answer{status: 400, body: huge}, invite: ledger.Rejected, remove: ledger.Rejected},
		{name: "302", answer: answer{status: 302, header: map[string]string{"Location": "/elsewhere"}}, invite: ledger.Exhausted, remove: ledger.Rejected},
		{name: "307", answer: answer{status: 307, header: map[string]string{"Location": "http://127.0.0.1:1/"}}, invite: ledger.Exhausted, remove: ledger.Rejected},
		{name: "reset", answer: answer{cut: true}, invite: ledger.Exhausted, remove: ledger.Exhausted},
	}
	for _, tt := range table {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			redistest.Either(t, func(t *testing.T, rdb *redis.Client) {
				w := newWorldWith(t, rdb, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/elsewhere" {
						t.Error("a redirect was followed")
					}
					if r.Method == http.MethodGet {
						_, _ = rw.Write([]byte(`{"value":[]}`))
						return
					}
					if tt.answer.cut {
						panic(http.ErrAbortHandler)
					}
					rw.Header().Set("request-id", "header-id")
					for k, v := range tt.answer.header {
						rw.Header().Set(k, v)
					}
					rw.WriteHeader(tt.answer.status)
					_, _ = rw.Write([]byte(tt.answer.body))
				}))
				w.work(confirmWithin(200*time.Millisecond), func(c *WorkerConfig) { c.MaxAttempts, c.AcceptOnly = 1, true })
				b := w.put(w.request("action,call_id,participant_id,user_id\ninvite,a,,u\ndelete,b,p,\n", false))
				w.finish(b)

				w.wantOutcomes(b, tt.invite, tt.remove)
				for _, r := range w.rows(b) {
					if r.Attempts != 1 || r.Status != tt.answer.status || r.Code != tt.code || !strings.Contains(r.Detail, tt.detailHas) {
						t.Errorf("%+v", r)
					}
					if !tt.answer.cut && r.RequestID != "header-id" {
						t.Errorf("request id %q", r.RequestID)
					}
				}
			})
		})
	}
	t.Run("403 on a delete names the cmdlet", func(t *testing.T) {
		if d := judge(roster.Delete, &graph.Error{Kind: graph.Forbidden}).hint; !strings.Contains(d, "Set-CsApplicationMeetingConfiguration -AllowRemoveParticipantAppIds") {
			t.Errorf("detail %q", d)
		}
	})
}

// TestRosterNotFound: a roster that cannot be read proves nothing.
func TestRosterNotFound(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, rdb *redis.Client) {
		w := newWorldWith(t, rdb, http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(404) }))
		w.work()
		b := w.put(w.request("action,call_id,user_id\ndelete,c,u\n", false))
		w.finish(b)
		w.wantOutcomes(b, ledger.Unresolved)
		if r := w.rows(b)[0]; r.Status != 404 || r.Attempts != 1 || !strings.Contains(r.Detail, "participant_id") {
			t.Errorf("%+v", r)
		}
	})
}

// TestAttempts counts them: temporary errors use them up, and success ends them.
func TestAttempts(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, rdb *redis.Client) {
		calls := make(chan struct{}, 10)
		w := newWorldWith(t, rdb, http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			calls <- struct{}{}
			rw.WriteHeader(503)
		}))
		w.work(func(c *WorkerConfig) { c.MaxAttempts = 2 })
		b := w.put(w.request("action,call_id,participant_id\ndelete,c,p\n", false))
		w.finish(b)
		w.wantOutcomes(b, ledger.Exhausted)
		if r := w.rows(b)[0]; r.Attempts != 2 || len(calls) != 2 {
			t.Errorf("%d attempts, %d requests", r.Attempts, len(calls))
		}
	})
}
