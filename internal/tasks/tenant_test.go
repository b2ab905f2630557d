package tasks

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/graph/graphsim"
	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
	"rollcall/internal/testutil"
)

// tenantDeletes is a file of n deletes, each in a call of its own.
func tenantDeletes(tenant string, n int) string {
	var b strings.Builder
	b.WriteString("action,tenant_id,call_id,participant_id\n")
	for i := range n {
		_, _ = fmt.Fprintf(&b, "delete,%s,%s-%d,p-%d\n", tenant, tenant, i, i)
	}
	return b.String()
}

// TestSlowTenant: a tenant whose rate is used up does not keep the worker from
// another's rows, which came later. One after another, these would come when all but
// the last few of the others are done. How much is done by then is the machine's time
// to send those rows away, so the bound is far from what is usual (370 left).
func TestSlowTenant(t *testing.T) {
	const rows = 400
	for _, rate := range []float64{5, 20} {
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, redistest.Any(t), graphsim.Config{})
			slow := w.put(w.request(tenantDeletes("aaaaaaaa-0000-0000-0000-000000000001", rows), true))
			fast := w.put(w.request(tenantDeletes("bbbbbbbb-0000-0000-0000-000000000002", 20), true))
			w.work(func(c *WorkerConfig) { c.Concurrency, c.Rate = 32, rate })
			testutil.Eventually(t, "the other's rows are done", func() bool { return w.status(fast).Pending == 0 })
			if left := w.status(slow).Pending; left < rows/5 {
				t.Errorf("20 rows waited until %d of another tenant were done", rows-left)
			}
		})
	}
}

// TestThrottledRoster: the participant id of a delete is gone, and the roster,
// which would show under which they are there now, is refused with 429 once.
func TestThrottledRoster(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb *redis.Client) {
		var lists, removed atomic.Int32
		w := newWorldWith(t, rdb, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Type", "application/json")
			switch {
			case r.Method == http.MethodGet:
				if lists.Add(1) == 1 {
					rw.Header().Set("Retry-After", "1")
					rw.WriteHeader(http.StatusTooManyRequests)
					return
				}
				_, _ = rw.Write([]byte(`{"value":[{"id":"p-new","info":{"identity":{"user":{"id":"user-1"}}}}]}`))
			case strings.HasSuffix(r.URL.Path, "/p-new"):
				removed.Add(1)
				rw.WriteHeader(http.StatusNoContent)
			default:
				rw.WriteHeader(http.StatusNotFound)
				_, _ = rw.Write([]byte(`{"error":{"code":"8523","message":"Participant not found."}}`))
			}
		}))
		b := w.enqueue("action,call_id,participant_id,user_id\ndelete,c1,p-old,user-1\n")
		w.work()
		w.finish(b)
		if removed.Load() == 0 {
			t.Error("nobody was removed")
		}
		w.wantOutcomes(b, ledger.Removed)
	})
}
