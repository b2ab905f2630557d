package graph

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"
	"testing/synctest"
)

func TestRequestsOnTheWire(t *testing.T) {
	type seen struct {
		method, uri, body string
		header            http.Header
		length            int64
		encoding          []string
	}
	var last seen
	c, _ := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		last = seen{r.Method, r.RequestURI, string(body), r.Header.Clone(), r.ContentLength, r.TransferEncoding}
		if r.Method == http.MethodDelete {
			w.Header().Set("Request-Id", "r-1")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		_, _ = w.Write([]byte(`{"id":"x","status":"running","value":[]}`))
	})
	ctx := t.Context()
	answer, err := c.Remove(ctx, "", "a/b c+é%", "p:1")
	if err != nil || answer.RequestID != "r-1" {
		t.Fatal(answer, err)
	}
	if want := "/v1.0/communications/calls/a%2Fb%20c%2B%C3%A9%25/participants/p%3A1"; last.method != "DELETE" || last.uri != want {
		t.Errorf("%s %s, want DELETE %s", last.method, last.uri, want)
	}
	if last.length != 0 || len(last.encoding) > 0 || last.header.Get("Content-Type") != "" {
		t.Errorf("a DELETE has a body: %+v", last)
	}
	h := last.header
	if h.Get("Accept") != "application/json" || h.Get("Authorization") != "Bearer token-1" || len(h.Get("Client-Request-Id")) != 36 {
		t.Errorf("headers %v", h)
	}
	first := h.Get("Client-Request-Id")

	for _, get := range []struct {
		uri string
		do  func() error
	}{
		{"/participants", func() error { _, err := c.Participants(ctx, "", "c"); return err }},
		{"/participants/p", func() error { _, err := c.Participant(ctx, "", "c", "p"); return err }},
		{"/operations/o", func() error { _, err := c.Operation(ctx, "", "c", "o"); return err }},
	} {
		if err := get.do(); err != nil {
			t.Fatal(err)
		}
		if last.method != "GET" || last.uri != "/v1.0/communications/calls/c"+get.uri || last.length != 0 || len(last.encoding) > 0 {
			t.Errorf("got %+v, want GET …%s", last, get.uri)
		}
		if last.header.Get("Client-Request-Id") == first {
			t.Error("the same client-request-id twice")
		}
	}

	op, err := c.Invite(ctx, "", "c", Invitation{ClientContext: "ctx-1", Participants: []Invitee{
		{Kind: User, ID: "u-1", DisplayName: "Ann", ParticipantID: "p-1"},
		{Kind: Phone, ID: "+61400000000", ReplacesCallID: "c-0"},
		{Kind: Application, ID: "a-1"},
		{Kind: Guest, ID: "g-1"},
	}})
	if err != nil || op.ID != "x" || op.Status != Running {
		t.Fatalf("%+v %v", op, err)
	}
	if last.uri != "/v1.0/communications/calls/c/participants/invite" || last.header.Get("Content-Type") != "application/json" {
		t.Errorf("got %+v", last)
	}
	want := `{"participants":[
	{"@odata.type":"#microsoft.graph.invitationParticipantInfo","participantId":"p-1","replacesCallId":null,"hidden":null,
	 "identity":{"@odata.type":"#microsoft.graph.identitySet","user":{"@odata.type":"#microsoft.graph.identity","id":"u-1","displayName":"Ann","identityProvider":"AAD"}}},
	{"@odata.type":"#microsoft.graph.invitationParticipantInfo","participantId":null,"replacesCallId":"c-0","hidden":null,
	 "identity":{"@odata.type":"#microsoft.graph.communicationsIdentitySet","phone":{"@odata.type":"#microsoft.graph.identity","id":"+61400000000"}}},
	{"@odata.type":"#microsoft.graph.invitationParticipantInfo","participantId":null,"replacesCallId":null,"hidden":null,
	 "identity":{"@odata.type":"#microsoft.graph.identitySet","application":{"@odata.type":"#microsoft.graph.identity","id":"a-1"}}},
	{"@odata.type":"#microsoft.graph.invitationParticipantInfo","participantId":null,"replacesCallId":null,"hidden":null,
	 "identity":{"@odata.type":"#microsoft.graph.communicationsIdentitySet","guest":{"@odata.type":"#microsoft.graph.identity","id":"g-1"}}}
	],"clientContext":"ctx-1"}`
	if canonical(t, last.body) != canonical(t, want) {
		t.Errorf("body\n%s\nwant\n%s", last.body, want)
	}
}

func canonical(t *testing.T, text string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	out, _ := json.Marshal(v)
	return string(out)
}

func TestArgumentsThatCannotBeSent(t *testing.T) {
	c, w := newClient(t, answerWith(204, nil, ""))
	ctx := t.Context()
	for _, id := range []string{"", ".", ".."} {
		if _, err := c.Remove(ctx, "", id, "p"); KindOf(err) != Invalid {
			t.Errorf("call %q: %v", id, err)
		}
		if _, err := c.Remove(ctx, "", "c", id); KindOf(err) != Invalid {
			t.Errorf("participant %q: %v", id, err)
		}
	}
	six := make([]Invitee, 6)
	for i := range six {
		six[i] = Invitee{Kind: User, ID: "u"}
	}
	for name, inv := range map[string]Invitation{
		"none":         {},
		"six":          {Participants: six},
		"no id":        {Participants: []Invitee{{Kind: User}}},
		"no kind":      {Participants: []Invitee{{ID: "u"}}},
		"long context": {Participants: six[:1], ClientContext: strings.Repeat("é", 257)},
	} {
		if _, err := c.Invite(ctx, "", "c", inv); KindOf(err) != Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if before, _ := w.counts(); before != 0 {
		t.Errorf("%d requests were sent", before)
	}
}

// FuzzAddress: whatever the ids are, they cannot lead elsewhere.
func FuzzAddress(f *testing.F) {
	for _, ids := range [][2]string{{"c", "p"}, {"a/b c+é%", "p:1"}, {"..", "."}, {"%2e%2e", "..%2f"}, {"", "?x=1"}, {"#", "\x00\xff\r\n"},
		{"//evil.example", "http://evil.example/"}, {"\\", ";x=1"}, {"@evil.example", ":80"}} {
		f.Add(ids[0], ids[1])
	}
	var clients []*Client
	for _, base := range []string{"https://graph.example", "http://127.0.0.1:8089/a%2Fb/beta/"} {
		c, err := New(Config{BaseURL: base, Tokens: tokenFunc(staticToken)})
		if err != nil {
			f.Fatal(err)
		}
		clients = append(clients, c)
	}
	_, refusal := clients[0].address(OpDelete, "")
	f.Fuzz(func(t *testing.T, call, participant string) {
		for _, c := range clients {
			u, err := c.address(OpDelete, "calls", call, "participants", participant)
			if err != nil {
				bad := func(id string) bool { return id == "" || id == "." || id == ".." }
				if KindOf(err) != Invalid || err.Error() != refusal.Error() || !bad(call) && !bad(participant) {
					t.Errorf("%q, %q: %v", call, participant, err)
				}
				continue
			}
			if u.Scheme != c.base.Scheme || u.Host != c.base.Host || u.User != nil || u.Opaque != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
				t.Errorf("%q, %q lead to %s", call, participant, u)
			}
			// As it goes over the wire, and as a server reads that.
			uri := u.RequestURI()
			if again, err := url.Parse(u.String()); err != nil || *again != *u || path.Clean(uri) != uri {
				t.Errorf("%q, %q: %s is read as %v, %v", call, participant, u, again, err)
			}
			rest, ok := strings.CutPrefix(uri, strings.TrimRight(c.base.EscapedPath(), "/")+"/communications/")
			parts := strings.Split(rest, "/")
			if !ok || len(parts) != 4 {
				t.Fatalf("%q, %q: %s", call, participant, uri)
			}
			for i, want := range []string{"calls", call, "participants", participant} {
				if got, err := url.PathUnescape(parts[i]); err != nil || got != want {
					t.Errorf("segment %d is %q, %v, want %q", i, got, err, want)
				}
			}
		}
	})
}

func TestSuccesses(t *testing.T) {
	inv := Invitation{Participants: []Invitee{{Kind: User, ID: "u"}}}
	location := http.Header{"Location": {"https://graph.example/v1.0/communications/calls/c/operations/op%2F1"}, "Request-Id": {"r-1"}}
	for _, tt := range []struct {
		name   string
		status int
		body   string
		want   Operation
	}{
		{"body", 200, `{"id":"op-2","status":"running","resultInfo":null}`, Operation{ID: "op-2", Status: Running}},
		{"upper case", 200, `{"id":"op-2","status":"COMPLETED","resultInfo":{"code":200,"subcode":7,"message":"m"}}`,
			Operation{ID: "op-2", Status: Completed, Result: ResultInfo{200, 7, "m"}}},
		{"no id in the body", 201, `{"id":null,"status":"notStarted"}`, Operation{ID: "op/1", Status: NotStarted}},
		{"empty", 202, "", Operation{ID: "op/1"}},
		{"no content", 204, "", Operation{ID: "op/1"}},
		{"no JSON", 200, "<html>", Operation{ID: "op/1"}},
		{"cut", 200, `{"id":"op-2","status":"Comp`, Operation{ID: "op-2"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, _ := newClient(t, answerWith(tt.status, location, tt.body))
			op, err := c.Invite(t.Context(), "", "c", inv)
			tt.want.Answer = Answer{HTTPStatus: tt.status, RequestID: "r-1"}
			if err != nil || op != tt.want {
				t.Errorf("%+v, %v; want %+v", op, err, tt.want)
			}
		})
	}
	for _, status := range []int{200, 202, 204} {
		c, _ := newClient(t, answerWith(status, nil, ""))
		if _, err := c.Remove(t.Context(), "", "c", "p"); err != nil {
			t.Errorf("DELETE answered %d: %v", status, err)
		}
	}
}

func TestBadAnswers(t *testing.T) {
	for _, body := range []string{"", "<html>", "null", "[]", `{"value":7}`, `{"value":[{"id":7}]}`, `{"id":""}`, `{"value":[`} {
		c, _ := newClient(t, answerWith(200, nil, body))
		ctx := t.Context()
		_, err1 := c.Participants(ctx, "", "c")
		_, err2 := c.Participant(ctx, "", "c", "p")
		_, err3 := c.Operation(ctx, "", "c", "o")
		for _, err := range []error{err1, err2, err3} {
			if KindOf(err) != BadAnswer {
				t.Errorf("%q: %v", body, err)
			}
		}
	}
	c, _ := newClient(t, answerWith(200, nil, `{"value":[]}`+strings.Repeat(" ", 5000)), func(cfg *Config) { cfg.MaxBody = 4096 })
	if _, err := c.Participants(t.Context(), "", "c"); KindOf(err) != BadAnswer || !errors.Is(err, errTooLarge) {
		t.Errorf("too large a body: %v", err)
	}
}

func TestGzip(t *testing.T) { synctest.Test(t, testGzip) }

func testGzip(t *testing.T) {
	c, _ := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "gzip" {
			t.Errorf("Accept-Encoding %q", r.Header.Get("Accept-Encoding"))
		}
		w.Header().Set("Content-Encoding", "gzip")
		zw := gzip.NewWriter(w)
		if strings.Contains(r.URL.Path, "bomb") {
			w.WriteHeader(500)
			zeros := make([]byte, 1<<20)
			for range 64 {
				_, _ = zw.Write(zeros)
			}
		} else {
			_, _ = zw.Write([]byte(`{"value":[{"id":"p-1"}]}`))
		}
		_ = zw.Close()
	})
	r, err := c.Participants(t.Context(), "", "c")
	if err != nil || len(r.Participants) != 1 {
		t.Errorf("%+v %v", r, err)
	}
	if _, err := c.Participants(t.Context(), "", "bomb"); KindOf(err) != Temporary {
		t.Errorf("bomb: %v", err)
	}
}

func TestFreshTokenOnce(t *testing.T) {
	for _, tt := range []struct {
		name   string
		accept string
		kind   Kind
		sent   int
	}{{"accepted", "Bearer fresh", 0, 2}, {"refused again", "Bearer other", Unauthorized, 2}, {"first is fine", "Bearer cached", 0, 1}} {
		t.Run(tt.name, func(t *testing.T) {
			c, w := newClient(t, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				if !strings.Contains(string(body), `"participants"`) {
					t.Errorf("body %q", body)
				}
				if r.Header.Get("Authorization") != tt.accept {
					w.WriteHeader(http.StatusUnauthorized)
				}
			}, func(cfg *Config) {
				cfg.Tokens = tokenFunc(func(_ context.Context, tenant string, fresh bool) (string, error) {
					if tenant != "t-1" {
						t.Errorf("tenant %q", tenant)
					}
					if fresh {
						return "fresh", nil
					}
					return "cached", nil
				})
			})
			_, err := c.Invite(t.Context(), "t-1", "c", Invitation{Participants: []Invitee{{Kind: User, ID: "u"}}})
			if KindOf(err) != tt.kind {
				t.Errorf("%v, want %v", err, tt.kind)
			}
			if before, results := w.counts(); before != tt.sent || len(results) != tt.sent || results[0].Kind != OpInvite || results[0].Tenant != "t-1" {
				t.Errorf("Before %d, After %+v", before, results)
			}
		})
	}
}

func TestNothingIsSent(t *testing.T) {
	cause := errors.New("no luck")
	handler := func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") }
	c, _ := newClient(t, handler, func(cfg *Config) {
		cfg.Tokens = tokenFunc(func(context.Context, string, bool) (string, error) { return "", cause })
	})
	if _, err := c.Remove(t.Context(), "", "c", "p"); KindOf(err) != NoToken || !errors.Is(err, cause) {
		t.Error(err)
	}
	for _, token := range []string{"", "a b", "a\nb", "é"} {
		c, _ = newClient(t, handler, func(cfg *Config) {
			cfg.Tokens = tokenFunc(func(context.Context, string, bool) (string, error) { return token, nil })
		})
		if _, err := c.Remove(t.Context(), "", "c", "p"); KindOf(err) != NoToken || token != "" && strings.Contains(err.Error(), token) {
			t.Errorf("token %q: %v", token, err)
		}
	}
	c, _ = newClient(t, handler, func(cfg *Config) {
		cfg.Before = func(context.Context, string) error { return cause }
	})
	if _, err := c.Remove(t.Context(), "", "c", "p"); KindOf(err) != NotSent || !errors.Is(err, cause) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c, _ = newClient(t, handler)
	if _, err := c.Remove(ctx, "", "c", "p"); KindOf(err) != NotSent || !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
