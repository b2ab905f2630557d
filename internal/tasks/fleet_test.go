package tasks

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/graph/graphsim"
	"rollcall/internal/redistest"
	"rollcall/internal/testutil"
)

// TestFleet: who works, and what is allowed, can be read by anybody; a worker that
// has ended is not told of any more.
func TestFleet(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb *redis.Client) {
		w := newWorld(t, rdb, graphsim.Config{})
		fleet := func() Fleet {
			f, err := w.q.Fleet(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return f
		}
		if f := fleet(); len(f.Workers) > 0 || len(f.Scopes) > 0 {
			t.Fatalf("%+v before any worker", f)
		}
		b := w.put(w.request(tenantDeletes("aaaaaaaa-0000-0000-0000-000000000001", 40), true))
		stop := w.work(func(c *WorkerConfig) { c.Rate, c.Concurrency = 100, 7 })
		w.finish(b)
		testutil.Eventually(t, "the worker tells what it did", func() bool {
			f := fleet()
			return len(f.Workers) == 1 && f.Workers[0].Rows == 40 && len(f.Active()) == 1
		})
		f := fleet()
		if m := f.Workers[0]; m.Concurrency != 7 || m.Requests < 40 || m.Host == "" || m.PID == 0 || m.Ending {
			t.Errorf("%+v", m)
		}
		if s := f.Active()[0]; s.Ceiling != 100 || s.Rate <= 0 || s.Rate > 100 {
			t.Errorf("%+v", s)
		}
		stop()
		if f := fleet(); len(f.Workers) != 0 {
			t.Errorf("%+v after its end", f.Workers)
		}
	})
}
