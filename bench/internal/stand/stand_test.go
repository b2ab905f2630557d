package stand

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"rollcall/internal/graph/graphsim"
)

// paged serves n records, three at a time, and says that some were dropped.
func paged(t *testing.T, n, dropped int) *Simulator {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		since, err := strconv.Atoi(r.URL.Query().Get("since"))
		if err != nil || r.URL.Path != "/_sim/requests" {
			http.Error(w, "not that", http.StatusNotFound)
			return
		}
		page := []graphsim.Record{}
		for i := since; i < min(since+3, n); i++ {
			page = append(page, graphsim.Record{N: i})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"requests": page, "next": since + len(page), "dropped": dropped})
	}))
	t.Cleanup(server.Close)
	return &Simulator{URL: server.URL}
}

func TestRequests(t *testing.T) {
	records, err := paged(t, 7, 0).Requests(t.Context())
	if err != nil || len(records) != 7 || records[6].N != 6 {
		t.Errorf("%d records, %v", len(records), err)
	}
	if _, err := paged(t, 7, 2).Requests(t.Context()); err == nil {
		t.Error("records that were dropped are not missed")
	}
	err = paged(t, 0, 0).Set(t.Context(), map[string]any{"limit": graphsim.Limit{}})
	if err == nil || !strings.Contains(err.Error(), "not that") {
		t.Errorf("a refusal: %v", err)
	}
}

func TestProcess(t *testing.T) {
	s := &Stand{Dir: t.TempDir()}
	t.Setenv("ROLLCALL_RATE", "1")
	if err := s.Run(t.Context(), []string{"GIVEN=1"}, "sh", "-c", `test "$GIVEN" = 1 && test -z "$ROLLCALL_RATE"`); err != nil {
		t.Errorf("the environment: %v", err)
	}
	err := s.Run(t.Context(), nil, "sh", "-c", "echo why >&2; exit 3")
	if err == nil || !strings.Contains(err.Error(), "why") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("one that fails: %v", err)
	}
	p, err := s.Start(t.Context(), nil, "sleep", "60")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Running(); err != nil {
		t.Errorf("one that runs: %v", err)
	}
	s.Close()
	if p.Running() == nil {
		t.Error("it outlived the stand")
	}
}

func TestTail(t *testing.T) {
	var l tail
	for range 10 * kept / 8 {
		_, _ = l.Write([]byte("1234567\n"))
	}
	_, _ = l.Write([]byte("the end\n"))
	if got := l.String(); len(got) > 2*kept || !strings.HasSuffix(got, "the end") {
		t.Errorf("%d bytes, up to %q", len(got), got[len(got)-10:])
	}
}
