package tasks

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/graph"
	"rollcall/internal/graph/graphsim"
	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
	"rollcall/internal/testutil"
)

// TestDeadlineWithinTask: a deadline that passes during the first request of a task
// stops the others.
func TestDeadlineWithinTask(t *testing.T) {
	const expire = 2 * time.Second
	csv := deletes(rowsPerPack, 1)
	for name, tt := range map[string]struct {
		csv, method string
		done        ledger.Outcome
		sent        int64 // rows of a request
	}{
		"deletes": {csv, http.MethodDelete, ledger.Removed, 1},
		"invites": {strings.NewReplacer("participant_id", "user_id", "delete,", "invite,").Replace(csv), http.MethodPost, ledger.Joined, graph.MaxInvitees},
	} {
		t.Run(name, func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, rdb *redis.Client) {
				sim, err := graphsim.New(graphsim.Config{})
				if err != nil {
					t.Fatal(err)
				}
				var mu sync.Mutex
				var last time.Time
				w := newWorldWith(t, rdb, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					if r.Method == tt.method {
						mu.Lock()
						last = time.Now()
						mu.Unlock()
						testutil.Advance(t, expire)
					}
					sim.ServeHTTP(rw, r)
				}))
				w.sim = sim
				r := w.request(tt.csv, true)
				r.Expire = expire
				b := w.put(r)
				w.work()
				w.finish(b)

				outcomes := w.status(b).Outcomes
				if outcomes[tt.done] != tt.sent || outcomes[ledger.Expired] != rowsPerPack-tt.sent {
					t.Errorf("outcomes are %v, want %d %s, the others expired", outcomes, tt.sent, tt.done)
				}
				mu.Lock()
				defer mu.Unlock()
				if late := last.Sub(b.Deadline); late > 0 {
					t.Errorf("the last request was sent %s after the deadline", late)
				}
			})
		})
	}
}
