//go:build integration || endurance

package test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// hook is a webhook that receives notices.
type hook struct {
	url string

	mu      sync.Mutex
	answers []int // the statuses of the next answers, 0: none; 204 after them
	headers []http.Header
	bodies  []string
	taken   int // answered by 2xx
}

// startHook starts a webhook at a path. Its first answers have the given statuses.
func startHook(t testing.TB, path string, answers ...int) *hook {
	t.Helper()
	h := &hook{answers: answers}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	h.url = server.URL + path
	return h
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, maxAnswer))
	status := h.next(r, string(body))
	if status == 0 {
		<-r.Context().Done()
		return
	}
	w.Header().Set("Location", "/elsewhere"+r.URL.String())
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "60")
	}
	w.WriteHeader(status)
	if status != http.StatusNoContent {
		_, _ = fmt.Fprintf(w, "this was %s", r.URL) // a receiver that says more than it should
	}
}

// next notes a request, and returns the status of its answer.
func (h *hook) next(r *http.Request, body string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.headers, h.bodies = append(h.headers, r.Header), append(h.bodies, body)
	status := http.StatusNoContent
	if len(h.answers) > 0 {
		status, h.answers = h.answers[0], h.answers[1:]
	}
	if status/100 == 2 {
		h.taken++
	}
	return status
}

// received returns how many notices it took, and all that it was sent.
func (h *hook) received() (taken int, headers []http.Header, bodies []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.taken, h.headers[:len(h.headers):len(h.headers)], h.bodies[:len(h.bodies):len(h.bodies)]
}
