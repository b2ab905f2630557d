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
// another's rows, which came later: those take no more than their own rate allows.
func TestSlowTenant(t *testing.T) {
	t.Parallel()
	const rows, others = 400, 20
	for _, rate := range []float64{5, 20} {
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			t.Parallel()
			redistest.Either(t, func(t *testing.T, rdb *redis.Client) {
				w := newWorld(t, rdb, graphsim.Config{})
				slow := w.put(w.request(tenantDeletes("aaaaaaaa-0000-0000-0000-000000000001", rows), true))
				fast := w.put(w.request(tenantDeletes("bbbbbbbb-0000-0000-0000-000000000002", others), true))
				w.work(func(c *WorkerConfig) { c.Concurrency, c.Rate = 32, rate })
				w.finish(fast)
				if took := w.status(fast).FinishedAt.Sub(fast.CreatedAt); took.Seconds() > others/rate {
					t.Errorf("%d rows took %s at %v a second", others, took, rate)
				}
				if done := rows - w.status(slow).Pending; done < others/2 || done > 2*others {
					t.Errorf("%d rows waited until %d of another tenant were done", others, done)
				}
			})
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
