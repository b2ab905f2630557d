package test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"rollcall/internal/testutil"
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

// cmdHook is 'hook start [STATUS...]', which sets HOOK_URL; the first answers have
// those statuses, and 503 asks for a minute. 'hook took N' waits until it took N notices, and prints the last;
// it must not have taken more. 'hook tries N' is how often it was sent any, and
// 'hook signed SECRET' checks the signature of each.
func cmdHook(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) == 0 || args[0] != "start" && len(args) != 2, "hook start [STATUS...] | took N | tries N | signed SECRET")
	w := worldOf(ts)
	if args[0] == "start" {
		answers := make([]int, 0, len(args))
		for _, arg := range args[1:] {
			n, err := strconv.Atoi(arg)
			ts.Check(err)
			answers = append(answers, n)
		}
		w.hook = startHook(w.t, "/T0/pLanted", answers...)
		ts.Setenv("HOOK_URL", w.hook.url)
		return
	}
	switch want := args[1]; args[0] {
	case "took":
		least, err := strconv.Atoi(want)
		ts.Check(err)
		testutil.Eventually(w.t, "notices are received", func() bool {
			n, _, _ := w.hook.received()
			return n >= least
		})
		n, _, bodies := w.hook.received()
		if n != least {
			ts.Fatalf("%d notices were received, want %d:\n%s", n, least, strings.Join(bodies, "\n"))
		}
		if n > 0 {
			_, err := io.WriteString(ts.Stdout(), bodies[len(bodies)-1])
			ts.Check(err)
		}
	case "tries":
		if _, _, bodies := w.hook.received(); strconv.Itoa(len(bodies)) != want {
			ts.Fatalf("%d tries, want %s", len(bodies), want)
		}
	case "signed":
		_, headers, bodies := w.hook.received()
		for i, body := range bodies {
			mac := hmac.New(sha256.New, []byte(want))
			_, _ = io.WriteString(mac, body)
			if got := headers[i].Get("X-Rollcall-Signature"); got != "sha256="+hex.EncodeToString(mac.Sum(nil)) {
				ts.Fatalf("the signature of %s is %q", body, got)
			}
		}
	default:
		ts.Fatalf("no such word: %s", args[0])
	}
}
