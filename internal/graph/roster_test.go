package graph

import (
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

func entries(from, n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(`{"id":"p-%d"}`, from+i)
	}
	return strings.Join(list, ",")
}

func TestRosterComplete(t *testing.T) {
	for _, tt := range []struct {
		name  string
		pages []string
		want  int
		whole bool
	}{
		{"empty", []string{""}, 0, true},
		{"99", []string{entries(0, 99)}, 99, true},
		{"100", []string{entries(0, 100)}, 100, false},
		{"150", []string{entries(0, 150)}, 150, false},
		{"100 and more pages", []string{entries(0, 100), entries(100, 1)}, 101, true},
		{"pages of 100", []string{entries(0, 100), entries(100, 100)}, 200, true},
		{"an entry without id", []string{`{"id":null},{"id":"p"}`}, 1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, w := newClient(t, func(w http.ResponseWriter, r *http.Request) {
				n := 0
				_, _ = fmt.Sscan(r.URL.Query().Get("$skip"), &n)
				next := ""
				if n+1 < len(tt.pages) {
					next = fmt.Sprintf(`,"@odata.nextLink":"http://%s%s?$skip=%d"`, strings.ToUpper(r.Host), r.URL.Path, n+1)
				}
				_, _ = fmt.Fprintf(w, `{"value":[%s]%s}`, tt.pages[n], next)
			})
			r, err := c.Participants(t.Context(), "", "c")
			if err != nil || len(r.Participants) != tt.want || r.Complete != tt.whole {
				t.Errorf("%d entries, complete %v, %v", len(r.Participants), r.Complete, err)
			}
			if before, _ := w.counts(); before != len(tt.pages) {
				t.Errorf("%d passed Before", before)
			}
		})
	}
}

func TestRosterEntries(t *testing.T) {
	c, _ := newClient(t, answerWith(200, nil, `{"value":[
		{"id":"p-1","isInLobby":true,"removedState":null,"info":{"participantId":"mine","identity":{
			"@odata.type":"#microsoft.graph.identitySet","user":{"id":"u-1","displayName":"Ann"},"phone":null,"application":{"id":"a-1"}}}},
		{"id":"p-2","removedState":{"reason":"Removed"},"info":null}]}`))
	r, err := c.Participants(t.Context(), "", "c")
	if err != nil || len(r.Participants) != 2 {
		t.Fatal(r, err)
	}
	p := r.Participants[0]
	if p.ID != "p-1" || !p.InLobby || p.Removed || p.InvitedAs != "mine" ||
		!slices.Equal(p.Identities, []Identity{{Application, "a-1"}, {User, "u-1"}}) {
		t.Errorf("%+v", p)
	}
	if !r.Participants[1].Removed {
		t.Errorf("%+v", r.Participants[1])
	}
}

func TestNextLinksThatAreNotFollowed(t *testing.T) {
	n := 0
	for name, next := range map[string]func(r *http.Request) string{
		"other host":   func(*http.Request) string { return "http://other.test/v1.0/next" },
		"other scheme": func(r *http.Request) string { return "https://" + r.Host + "/v1.0/next" },
		"user":         func(r *http.Request) string { return "http://u:p@" + r.Host + "/v1.0/next" },
		"no URL":       func(*http.Request) string { return "http://%zz" },
		"itself":       func(r *http.Request) string { return "http://" + r.Host + r.RequestURI },
		"endless":      func(r *http.Request) string { n++; return fmt.Sprintf("http://%s%s?%d", r.Host, r.URL.Path, n) },
	} {
		t.Run(name, func(t *testing.T) {
			c, w := newClient(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = fmt.Fprintf(w, `{"value":[{"id":"p-1"}],"@odata.nextLink":%q}`, next(r))
			})
			// Who was shown is there; about others it says nothing.
			if roster, err := c.Participants(t.Context(), "", "c"); err != nil || roster.Complete || len(roster.Participants) == 0 {
				t.Errorf("%+v, %v", roster, err)
			}
			if before, _ := w.counts(); before > maxPages {
				t.Errorf("%d requests", before)
			}
		})
	}
}

// TestRosterTooLong has more people than can be in a call.
func TestRosterTooLong(t *testing.T) { synctest.Test(t, testRosterTooLong) }

func testRosterTooLong(t *testing.T) {
	const each = maxParticipants/2 - 1
	n := 0
	c, w := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		n++
		_, _ = fmt.Fprintf(w, `{"value":[%s],"@odata.nextLink":"http://%s%s?%d"}`, entries(n*each, each), r.Host, r.URL.Path, n)
	})
	r, err := c.Participants(t.Context(), "", "c")
	if err != nil || r.Complete || r.Capped || len(r.Participants) != 3*each {
		t.Errorf("%d entries, complete %v, %v", len(r.Participants), r.Complete, err)
	}
	if before, _ := w.counts(); before != 3 {
		t.Errorf("%d requests", before)
	}
}

// TestPageOfNothing: entries that are nearly free to send must not cost hundreds
// of times as much to read.
func TestPageOfNothing(t *testing.T) {
	for _, tt := range []struct {
		entry   string
		n       int
		refused bool
	}{{"{}", maxParticipants, false}, {"{}", maxParticipants + 1, true}, {"null", maxParticipants + 1, true}, {"7", 1 << 21, true}, {"{}", 1 << 20, true}} {
		body := `{"value":[` + strings.Repeat(tt.entry+",", tt.n-1) + tt.entry + `]}`
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		list, _, whole, err := parsePage([]byte(body))
		runtime.ReadMemStats(&after)
		if (err != nil) != tt.refused || whole || len(list) > 0 {
			t.Errorf("%d of %s: %d entries, whole: %v, %v", tt.n, tt.entry, len(list), whole, err)
		}
		if taken := (after.TotalAlloc - before.TotalAlloc) >> 20; taken > 100 {
			t.Errorf("%d of %s took %d MiB", tt.n, tt.entry, taken)
		}
	}
}

func FuzzParsePage(f *testing.F) {
	for _, seed := range []string{`{"value":[]}`, `{"value":[{"id":"p","info":{"identity":{"user":{"id":"u"}}}}],"@odata.nextLink":"x"}`,
		`{"value":null}`, `{"value":[null]}`, `{"value":[{"id":"p","info":{"identity":{"user":7,"phone":[]}}}]}`, "", "[]",
		`{"value":[{"id":"p","removedState":{}}]}`, `{"value":[],"@odata.nextLink":"https://graph.example:443/v1.0/x?$skip=1"}`,
		`{"value":[{"id":"p"},{}],"@odata.nextLink":"//evil.example/"}`, `{"id":"o","status":"Running","resultInfo":{"code":1e9,"message":"m"}}`} {
		f.Add([]byte(seed))
	}
	c, err := New(Config{BaseURL: "https://graph.example", Tokens: tokenFunc(staticToken)})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		list, next, whole, err := parsePage(body)
		if err != nil && (whole || list != nil || next != "") {
			t.Error("an error with a result")
		}
		for _, p := range list {
			if p.ID == "" {
				t.Error("an entry without id")
			}
			for _, i := range p.Identities {
				if i.Kind == "" && i.ID == "" {
					t.Errorf("nobody in %+v", p)
				}
			}
		}
		// Only a list that names all its entries is whole.
		var page struct{ Value []json.RawMessage }
		if json.Unmarshal(body, &page) == nil && err == nil && (whole != (len(list) == len(page.Value)) || len(list) > len(page.Value)) {
			t.Errorf("%d of %d entries, whole: %v", len(list), len(page.Value), whole)
		}
		if u, err := c.follow(c.base, next); err == nil {
			host, port, _ := strings.Cut(strings.ToLower(u.Host), ":")
			if u.Scheme != "https" || host != "graph.example" || port != "" && port != "443" || u.User != nil || u.Opaque != "" {
				t.Errorf("follows %q", next)
			}
		}
		if op, _ := parseOperation(body); len(op.Status) > 64 || len(op.Result.Message) > 2048 {
			t.Errorf("too long: %+v", op)
		}
	})
}

// TestPageAgain: a page that fails by chance is asked for once more, one that
// fails for good or asks to wait is not.
func TestPageAgain(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status int
		header string
		times  int // that it fails
		kind   Kind
		asked  int
	}{
		{"once", 503, "", 1, 0, 3},
		{"twice", 503, "", 2, Temporary, 3},
		{"asks to wait", 503, "5", 1, Temporary, 2},
		{"throttled", 429, "5", 1, Throttled, 2},
		{"forbidden", 403, "", 1, Forbidden, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked, failed := 0, 0
			c, _ := newClient(t, func(w http.ResponseWriter, r *http.Request) {
				asked++
				switch {
				case !r.URL.Query().Has("page"):
					_, _ = fmt.Fprintf(w, `{"value":[{"id":"p-1"}],"@odata.nextLink":"http://%s%s?page=2"}`, r.Host, r.URL.Path)
				case failed < tt.times:
					failed++
					if tt.header != "" {
						w.Header().Set("Retry-After", tt.header)
					}
					w.WriteHeader(tt.status)
				default:
					_, _ = w.Write([]byte(`{"value":[{"id":"p-2"}]}`))
				}
			})
			roster, err := c.Participants(t.Context(), "", "c")
			if KindOf(err) != tt.kind || asked != tt.asked || err == nil && (!roster.Complete || len(roster.Participants) != 2) {
				t.Errorf("%+v, %v after %d requests", roster, err, asked)
			}
		})
	}
}
