package graphsim

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// clock is a clock that only moves when told.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func newSim(t testing.TB, cfg Config) (*Sim, *clock) {
	t.Helper()
	c := newClock()
	if cfg.Now == nil {
		cfg.Now = c.now
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s, c
}

const base = "/v1.0/communications/calls/"

// ask serves one request. A closed connection is status 0.
func ask(s http.Handler, method, path, body string, header ...string) (rec *httptest.ResponseRecorder) {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer token-1")
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	rec = httptest.NewRecorder()
	defer func() {
		if v := recover(); v != nil {
			if v != http.ErrAbortHandler { //nolint:errorlint // a recovered value, compared as net/http does
				panic(v)
			}
			if rec.Body.Len() == 0 {
				rec.Code = 0
			}
		}
	}()
	s.ServeHTTP(rec, r)
	return rec
}

// one is a body that invites one user.
func one(id string) string {
	return `{"participants":[{"identity":{"user":{"id":"` + id + `"}}}]}`
}

// code is error.code of an answer; it fails on a body that is not Graph's.
func code(t *testing.T, rec *httptest.ResponseRecorder) string {
	t.Helper()
	var body struct {
		Error struct {
			Code, Message *string
			InnerError    map[string]string
		}
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &body); err != nil || body.Error.Code == nil || body.Error.Message == nil {
		t.Fatalf("%d: no error body: %s", rec.Code, rec.Body)
	}
	for _, name := range []string{"date", "request-id", "client-request-id"} {
		if body.Error.InnerError[name] == "" {
			t.Errorf("%d: no %s: %s", rec.Code, name, rec.Body)
		}
	}
	return *body.Error.Code
}

func parse[T any](t *testing.T, rec *httptest.ResponseRecorder) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(rec.Body.Bytes(), &v); err != nil {
		t.Fatalf("%d: %v: %s", rec.Code, err, rec.Body)
	}
	return v
}
