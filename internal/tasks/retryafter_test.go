package tasks

import (
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
)

// TestRetryAfterIsKept: after a refusal no worker sends anything for as long as Graph
// asked to wait.
func TestRetryAfterIsKept(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb *redis.Client) {
		const wait = 30 * time.Second
		var mu sync.Mutex
		var refused time.Time
		w := newWorldWith(t, rdb, http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			mu.Lock()
			defer mu.Unlock()

			switch since := time.Since(refused); {
			case refused.IsZero():
				refused = time.Now()
				rw.Header().Set("Retry-After", strconv.Itoa(int(wait.Seconds())))
				rw.WriteHeader(http.StatusTooManyRequests)
			case since > 0 && since < wait: // the other worker may have sent one at the same moment
				t.Errorf("a request %s after the refusal", since)
				fallthrough
			default:
				rw.WriteHeader(http.StatusNoContent)
			}
		}))
		b := w.enqueue(deletes(2*rowsPerPack, 2))
		w.work()
		w.work()
		w.finish(b)

		w.wantOutcomes(b)
		if n := w.status(b).Outcomes[ledger.Removed]; n != 2*rowsPerPack {
			t.Errorf("%d removed", n)
		}
	})
}
