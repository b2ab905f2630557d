package graphsim

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"rollcall/internal/roster"
)

func TestRefusals(t *testing.T) {
	s, _ := newSim(t, Config{Token: "token-1"})
	s.AddCall("c", "peer-1")
	person := `{"identity":{"user":{"id":"u"}}}`
	invite := base + "c/participants/invite"
	list := func(p ...string) string { return `{"participants":[` + strings.Join(p, ",") + `]}` }
	for _, tt := range []struct {
		name, method, path, body string
		header                   []string
		status                   int
		code                     string
	}{
		{"no token", "GET", base + "c/participants", "", []string{"Authorization", ""}, 401, "InvalidAuthenticationToken"},
		{"wrong token", "GET", base + "c/participants", "", []string{"Authorization", "Bearer other"}, 401, "InvalidAuthenticationToken"},
		{"wrong scheme", "GET", base + "c/participants", "", []string{"Authorization", "Basic token-1"}, 401, "InvalidAuthenticationToken"},
		{"wrong path", "GET", "/v1.0/users", "", nil, 404, "ResourceNotFound"},
		{"wrong version", "GET", "/v2.0/communications/calls/c/participants", "", nil, 404, "ResourceNotFound"},
		{"empty id", "DELETE", base + "c/participants//x", "", nil, 404, "ResourceNotFound"},
		{"POST to the list", "POST", base + "c/participants", "{}", nil, 405, "MethodNotAllowed"},
		{"PATCH", "PATCH", base + "c/participants/p", "{}", nil, 405, "MethodNotAllowed"},
		{"DELETE of an operation", "DELETE", base + "c/operations/o", "", nil, 405, "MethodNotAllowed"},
		{"unknown call", "GET", base + "d/participants", "", nil, 404, "8522"},
		{"unknown call, invite", "POST", base + "d/participants/invite", list(person), nil, 404, "8522"},
		{"unknown participant", "DELETE", base + "c/participants/p", "", nil, 404, "8523"},
		{"unknown participant, GET", "GET", base + "c/participants/p", "", nil, 404, "8523"},
		{"unknown operation", "GET", base + "c/operations/o", "", nil, 404, "8524"},
		{"no content type", "POST", invite, list(person), []string{"Content-Type", ""}, 400, "BadRequest"},
		{"wrong content type", "POST", invite, list(person), []string{"Content-Type", "text/plain"}, 400, "BadRequest"},
		{"unknown encoding", "POST", invite, list(person), []string{"Content-Encoding", "br"}, 400, "BadRequest"},
		{"not gzip", "POST", invite, list(person), []string{"Content-Encoding", "gzip"}, 400, "BadRequest"},
		{"no JSON", "POST", invite, "participants", nil, 400, "BadRequest"},
		{"nobody", "POST", invite, `{"participants":[]}`, nil, 400, "BadRequest"},
		{"six", "POST", invite, list(person, person, person, person, person, person), nil, 400, "BadRequest"},
		{"no identity", "POST", invite, list(`{"identity":{}}`), nil, 400, "BadRequest"},
		{"null identity", "POST", invite, list(`{"identity":{"user":null}}`), nil, 400, "BadRequest"},
		{"identity without id", "POST", invite, list(`{"identity":{"user":{"id":""}}}`), nil, 400, "BadRequest"},
		{"identity of no kind", "POST", invite, list(`{"identity":{"cat":{"id":"u"}}}`), nil, 400, "BadRequest"},
		{"two identities", "POST", invite, list(`{"identity":{"user":{"id":"u"},"guest":{"id":"g"}}}`), nil, 400, "BadRequest"},
		{"wrong type", "POST", invite, list(`{"@odata.type":"#microsoft.graph.user","identity":{"user":{"id":"u"}}}`), nil, 400, "BadRequest"},
		{"bad phone", "POST", invite, list(`{"identity":{"phone":{"id":"0400 000 000"}}}`), nil, 400, "BadRequest"},
		{"two bots", "POST", invite, list(`{"identity":{"application":{"id":"a"}}}`, `{"identity":{"application":{"id":"b"}}}`), nil, 400, "BadRequest"},
		{"malformed", "POST", invite, list(person, `{"identity":{"user":{"id":"malformed-1"}}}`), nil, 400, "BadRequest"},
		{"malformed phone", "POST", invite, list(`{"identity":{"phone":{"id":"malformed-1"}}}`), nil, 400, "BadRequest"},
		{"malformed, unknown call", "POST", base + "d/participants/invite", one("malformed-1"), nil, 404, "8522"},
		{"two to no group call", "POST", base + "peer-1/participants/invite", list(person, person), nil, 400, "BadRequest"},
		{"long context", "POST", invite, `{"clientContext":"` + strings.Repeat("x", 257) + `","participants":[` + person + `]}`, nil, 400, "BadRequest"},
		{"too large", "POST", invite, strings.Repeat(" ", maxBody) + list(person), nil, 400, "BadRequest"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rec := ask(s, tt.method, tt.path, tt.body, tt.header...)
			if rec.Code != tt.status || code(t, rec) != tt.code {
				t.Errorf("%d %s, want %d %s", rec.Code, rec.Body, tt.status, tt.code)
			}
			if rec.Header().Get("Request-Id") == "" || tt.status == 405 && rec.Header().Get("Allow") == "" {
				t.Errorf("headers %v", rec.Header())
			}
		})
	}
	for _, r := range s.Requests(0) {
		if r.Applied {
			t.Errorf("applied: %+v", r)
		}
	}
	for id, call := range s.State().Calls {
		if len(call.Rings) > 0 || len(call.Operations) > 0 {
			t.Errorf("%s: rung all the same: %+v", id, call)
		}
	}
}

type operationBody struct {
	Type       string `json:"@odata.type"`
	ID, Status string
	ResultInfo *struct {
		Code    int
		Message string
	}
}

type rosterBody struct {
	Value []struct {
		ID   string
		Info struct {
			Identity      map[string]*struct{ ID string }
			ParticipantID *string
		}
	}
	NextLink string `json:"@odata.nextLink"`
}

func TestInvitationRingsThenJoins(t *testing.T) {
	s, clock := newSim(t, Config{RingMin: 2 * time.Second, RingMax: 4 * time.Second, OperationLife: time.Minute})
	s.AddCall("call/1")
	path := base + "call%2F1/participants"
	var zipped bytes.Buffer
	zw := gzip.NewWriter(&zipped)
	_, _ = zw.Write([]byte(`{"clientContext":"x","participants":[{"participantId":"mine","identity":{"user":{"id":"u-1"}}},{"identity":{"phone":{"id":"+61400000000"}}}]}`))
	zw.Close()
	rec := ask(s, "POST", path+"/invite", zipped.String(), "Content-Encoding", "gzip", "Content-Type", "application/json; charset=utf-8")
	op := parse[operationBody](t, rec)
	location := "http://example.com" + base + "call%2F1/operations/" + op.ID
	if rec.Code != 200 || op.Status != "Running" || rec.Header().Get("Location") != location || op.Type != "#microsoft.graph.inviteParticipantsOperation" {
		t.Fatalf("%d %s %v", rec.Code, rec.Body, rec.Header())
	}
	if r := parse[rosterBody](t, ask(s, "GET", path, "")); len(r.Value) != 0 {
		t.Errorf("joined while ringing: %+v", r)
	}
	clock.add(4 * time.Second)
	r := parse[rosterBody](t, ask(s, "GET", path, ""))
	if len(r.Value) != 2 {
		t.Fatalf("roster %+v", r)
	}
	for _, p := range r.Value {
		if user := p.Info.Identity["user"]; user != nil && (p.ID != "mine" || *p.Info.ParticipantID != "mine" || user.ID != "u-1") {
			t.Errorf("%+v", p)
		}
	}
	if op := parse[operationBody](t, ask(s, "GET", location, "")); op.Status != "Completed" {
		t.Errorf("%+v", op)
	}
	if rec := ask(s, "GET", path+"/mine", ""); rec.Code != 200 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if rec := ask(s, "DELETE", path+"/mine", ""); rec.Code != 204 || rec.Body.Len() > 0 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if rec := ask(s, "DELETE", path+"/mine", ""); rec.Code != 404 || code(t, rec) != "8523" {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	clock.add(2 * time.Minute)
	if rec := ask(s, "GET", location, ""); rec.Code != 404 {
		t.Errorf("the operation is still there: %d", rec.Code)
	}
	// Someone already here is rung, but does not come twice.
	ask(s, "POST", path+"/invite", `{"participants":[{"identity":{"phone":{"id":"+61400000000"}}}]}`)
	clock.add(4 * time.Second)
	state := s.State().Calls["call/1"]
	if len(state.Participants) != 1 || state.Rings["phone:+61400000000"] != 2 || s.Counters().RungAgain != 1 {
		t.Errorf("%+v", state)
	}
}

func TestInvitationsThatFail(t *testing.T) {
	s, clock := newSim(t, Config{RingMin: time.Second, RingMax: 5 * time.Second})
	s.AddCall("c")
	ops := map[string]string{}
	for _, id := range []string{"refuses-1", "noanswer-1"} {
		ops[id] = parse[operationBody](t, ask(s, "POST", base+"c/participants/invite", one(id))).ID
	}
	// An invitation with a participant id can be cancelled while it rings.
	body := `{"participants":[{"participantId":"mine","identity":{"user":{"id":"u"}}}]}`
	ops["u"] = parse[operationBody](t, ask(s, "POST", base+"c/participants/invite", body)).ID
	if rec := ask(s, "DELETE", base+"c/participants/mine", ""); rec.Code != 204 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	clock.add(4999 * time.Millisecond)
	if op := parse[operationBody](t, ask(s, "GET", base+"c/operations/"+ops["noanswer-1"], "")); op.Status != "Running" {
		t.Errorf("%+v", op)
	}
	clock.add(time.Millisecond)
	for id, op := range ops {
		got := parse[operationBody](t, ask(s, "GET", base+"c/operations/"+op, ""))
		want := "addParticipants failed for participant 8:orgid:" + id
		if got.Status != "Failed" || got.ResultInfo.Code == 0 || !strings.HasPrefix(got.ResultInfo.Message, want) {
			t.Errorf("%s: %+v", id, got)
		}
	}
	if state := s.State().Calls["c"]; len(state.Participants) != 0 || len(state.Ringing) != 0 {
		t.Errorf("%+v", state)
	}
}

func TestOutcomesRepeat(t *testing.T) {
	run := func(seed uint64) (joined map[string]bool) {
		s, _ := newSim(t, Config{Seed: seed, DeclineRate: 0.3, NoAnswerRate: 0.2, AutoCalls: true})
		for i := range 200 {
			ask(s, "POST", base+"c/participants/invite", one(fmt.Sprintf("u-%d", i)))
		}
		joined = map[string]bool{}
		for _, p := range s.State().Calls["c"].Participants {
			joined[p.Identity] = true
		}
		return joined
	}
	a, b, c := run(1), run(1), run(2)
	if fmt.Sprint(a) != fmt.Sprint(b) || fmt.Sprint(a) == fmt.Sprint(c) {
		t.Error("outcomes must depend on the seed alone")
	}
	if len(a) < 70 || len(a) > 130 {
		t.Errorf("%d of 200 joined, want about half", len(a))
	}
}

func TestRosterIsCutAt100(t *testing.T) {
	s, _ := newSim(t, Config{})
	paged, _ := newSim(t, Config{PageSize: 100})
	for i := range 250 {
		p := Participant{ID: fmt.Sprintf("p-%d", i), Kind: "user", Identity: fmt.Sprintf("u-%d", i/2)}
		s.AddParticipant("c", p)
		paged.AddParticipant("c", p)
	}
	r := parse[rosterBody](t, ask(s, "GET", base+"c/participants", ""))
	if len(r.Value) != 100 || r.NextLink != "" {
		t.Errorf("%d entries, next %q", len(r.Value), r.NextLink)
	}
	seen := map[string]bool{}
	for next := base + "c/participants"; next != ""; {
		r := parse[rosterBody](t, ask(paged, "GET", next, ""))
		for _, p := range r.Value {
			seen[p.ID] = true
		}
		next = r.NextLink
	}
	if len(seen) != 250 {
		t.Errorf("%d entries on all pages", len(seen))
	}
	for i := range 200 {
		if rec := ask(s, "DELETE", fmt.Sprintf("%sc/participants/P-%d", base, i), ""); rec.Code != 404 {
			t.Fatal("ids that are no GUIDs have a case")
		}
		ask(s, "DELETE", fmt.Sprintf("%sc/participants/p-%d", base, i), "")
	}
	if r := parse[rosterBody](t, ask(s, "GET", base+"c/participants", "")); len(r.Value) != 50 || r.Value[0].ID != "p-200" {
		t.Errorf("%d entries", len(r.Value))
	}
}

func TestEndedCalls(t *testing.T) {
	s, _ := newSim(t, Config{AutoCalls: true})
	if rec := ask(s, "GET", base+"c/participants", ""); rec.Code != 200 {
		t.Errorf("%d", rec.Code)
	}
	if !s.EndCall("c") || s.EndCall("c") {
		t.Error("EndCall")
	}
	for _, id := range []string{"c", "ended-1"} {
		if rec := ask(s, "DELETE", base+id+"/participants/p", ""); rec.Code != 404 || code(t, rec) != "8522" {
			t.Errorf("%s: %d %s", id, rec.Code, rec.Body)
		}
	}
}

func TestSeed(t *testing.T) {
	s, _ := newSim(t, Config{})
	for _, c := range []roster.Change{
		{Action: roster.Invite, CallID: "c", Kind: roster.User, ID: "u-1"},
		{Action: roster.Delete, CallID: "c", ParticipantID: "p-1"},
		{Action: roster.Delete, CallID: "c", ParticipantID: "p-1"},
		{Action: roster.Delete, CallID: "c", Kind: roster.Phone, ID: "+61400000000"},
		{Action: roster.Delete, CallID: "c", ParticipantID: "gone-1"},
		{Action: roster.Delete, CallID: "c", Kind: roster.User, ID: "gone-2"},
		{Action: roster.Delete, CallID: "ended-1", ParticipantID: "p-1"},
	} {
		s.Seed(c)
	}
	state := s.State()
	if p := state.Calls["c"].Participants; len(state.Calls) != 1 || len(p) != 2 || p[0].ID != "p-1" || p[1].Kind != "phone" {
		t.Errorf("%+v", state)
	}
}

func TestControls(t *testing.T) {
	s, _ := newSim(t, Config{})
	if rec := ask(s, "POST", "/_sim/calls", `{"calls":[{"id":"c","participants":[{"id":"p-1","kind":"user","identity":"u-1"}]}]}`); rec.Code != 204 {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	ask(s, "DELETE", base+"c/participants/p-1", "")
	ask(s, "DELETE", base+"c/participants/p-1", "")
	got := parse[listing](t, ask(s, "GET", "/_sim/requests?since=1", ""))
	if len(got.Requests) != 1 || got.Requests[0].Status != 404 || got.Next != 2 {
		t.Errorf("%+v", got)
	}
	state := parse[State](t, ask(s, "GET", "/_sim/state", ""))
	if state.Counters.ByKind["delete"] != 2 || state.Counters.ByStatus["204"] != 1 || len(state.Calls["c"].Participants) != 0 {
		t.Errorf("%+v", state)
	}
	if rec := ask(s, "POST", "/_sim/faults", `{"faults":{"delete.internal":1},"limit":{"window":2,"per":"1s"},"latency":"0s"}`); rec.Code != 204 {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	for _, want := range []int{500, 500, 429} {
		if rec := ask(s, "DELETE", base+"c/participants/p-1", ""); rec.Code != want {
			t.Errorf("%d, want %d", rec.Code, want)
		}
	}
	if rec := ask(s, "POST", "/_sim/end?call=c", ""); rec.Code != 204 {
		t.Errorf("%d", rec.Code)
	}
	for path, body := range map[string]string{"/_sim/faults": `{"faults":{"flood":1}}`, "/_sim/calls": `{"call":[]}`,
		"/_sim/end?call=c": "", "/_sim/other": ""} {
		if rec := ask(s, "POST", path, body); rec.Code < 400 {
			t.Errorf("POST %s: %d", path, rec.Code)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, cfg := range []Config{
		{RingMin: 2, RingMax: 1}, {DeclineRate: 2}, {PageSize: -1}, {Limit: Limit{Rate: -1}}, {Limit: Limit{Window: 1}},
		{Limit: Limit{Rate: 1, Window: 1, Per: 1}}, {Limit: Limit{Format: "smoke"}}, {Faults: Faults{"x": 1}}, {Faults: Faults{"roster.x": 1}},
		{Faults: Faults{"lost": 1.5}}, {Limit: Limit{Reads: &Limit{Rate: -1}}}, {Limit: Limit{Reads: &Limit{Format: "smoke"}}},
		{Limit: Limit{Reads: &Limit{Reads: &Limit{}}}}, {Tenants: Tenants{"": {Calls: "a-"}}}, {Tenants: Tenants{"a": {}}},
		{Tenants: Tenants{"a": {Calls: "a-", Limit: Limit{Window: 1}}}}, {Tenants: Tenants{"a": {Calls: "x-"}, "b": {Calls: "X-"}}},
		{Tenants: Tenants{"a": {Calls: "a-", Limit: Limit{Reads: &Limit{Reads: &Limit{}}}}}},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%+v is accepted", cfg)
		}
	}
}

func FuzzParseInvite(f *testing.F) {
	for _, seed := range []string{one("u"), `{"participants":[null]}`, `{"participants":[{"identity":{"phone":{"id":"+61400000000"}}}]}`, "{}", "[", `{"participants":[{"identity":{"@odata.type":7}}]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		inv, bad := parseInvite(body)
		if (inv == nil) == (bad == nil) {
			t.Error("neither accepted nor refused")
		}
		if inv != nil && (len(inv.who) < 1 || len(inv.who) > 5) {
			t.Error("accepted too few or too many")
		}
	})
}

func BenchmarkDelete(b *testing.B) {
	s, _ := newSim(b, Config{AutoCalls: true, Now: time.Now})
	for b.Loop() {
		r := httptest.NewRequest(http.MethodDelete, base+"c/participants/p", http.NoBody)
		r.Header.Set("Authorization", "Bearer x")
		s.ServeHTTP(httptest.NewRecorder(), r)
	}
}

func BenchmarkInvite(b *testing.B) {
	s, _ := newSim(b, Config{AutoCalls: true, Now: time.Now})
	body, _ := json.Marshal(map[string]any{"participants": []any{map[string]any{"identity": map[string]any{"user": map[string]any{"id": "u"}}}}})
	for b.Loop() {
		r := httptest.NewRequest(http.MethodPost, base+"c/participants/invite", bytes.NewReader(body))
		r.Header.Set("Authorization", "Bearer x")
		r.Header.Set("Content-Type", "application/json")
		s.ServeHTTP(httptest.NewRecorder(), r)
	}
}
