package tasks

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
	"rollcall/internal/testutil"
)

// TestLastLookReadsRosterAgain: who comes at the end of the ringing has come, although
// a roster does not show them that was read just before and is still good enough for
// others. They are not rung again.
func TestLastLookReadsRosterAgain(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb *redis.Client) {
		const before = 5 * time.Second // the end of the ringing
		var mu sync.Mutex
		var rung []time.Time
		w := newWorldWith(t, rdb, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()

			if r.Method == http.MethodPost { // it is applied, and the answer is lost
				rung = append(rung, time.Now())
				rw.WriteHeader(http.StatusGatewayTimeout)
				return
			}
			entries := `{"id":"p-2","info":{"identity":{"user":{"id":"u-2"}}}}`
			if len(rung) > 0 && time.Since(rung[0]) > DefaultConfirmTimeout-before/2 {
				entries += `,{"id":"p-1","info":{"identity":{"user":{"id":"u-1"}}}}`
			}
			_, _ = fmt.Fprintf(rw, `{"value":[%s]}`, entries)
		}))
		late := w.enqueue(inviteList("c", "u-1"))
		w.work(func(cfg *WorkerConfig) { cfg.SnapshotLife = maxSnapshotLife })
		testutil.Advance(t, DefaultConfirmTimeout-before)
		other := w.enqueue(inviteList("c", "u-2")) // reads the roster
		w.finish(late, other)

		w.wantOutcomes(late, ledger.Joined)
		w.wantOutcomes(other, ledger.AlreadyPresent)
		mu.Lock()
		defer mu.Unlock()
		if len(rung) != 1 {
			t.Errorf("they were rung %d times", len(rung))
		}
	})
}
