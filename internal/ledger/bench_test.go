package ledger

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/redistest"
)

// BenchmarkTurn is what the ledger costs a task of 20 rows in a call of 100: the
// claims, the records of all rows one by one, and the end. Redis' own share is told
// apart.
func BenchmarkTurn(b *testing.B) {
	const rows, tasks = 20, 5
	rdb := redistest.Any(b)
	rdb.ConfigSet(b.Context(), "appendonly", "no") // the disk is not what is measured
	l := New(rdb)
	turns := 0
	var all Batch
	var refs [tasks][]RowRef
	next := func() {
		var err error
		all, _, err = l.Create(b.Context(), Batch{ID: fmt.Sprint("b-", turns), Rows: rows * tasks, Expire: time.Hour, Keep: time.Hour})
		if err != nil {
			b.Fatal(err)
		}
		for k := range tasks {
			refs[k] = refs[k][:0]
			for i := range rows {
				n := int64(k*rows + i + 1)
				refs[k] = append(refs[k], ref(n, fmt.Sprintf("participant:%d-%d", turns, n)))
			}
			if err := l.Put(b.Context(), all, 0, nil, []CallRows{{Call: call(turns), Rows: refs[k]}}); err != nil {
				b.Fatal(err)
			}
		}
	}
	began := redisCPU(b, rdb)
	for b.Loop() {
		if turns%tasks == 0 {
			next()
		}
		k := turns % tasks
		ctx, turn, err := l.Begin(b.Context(), all, call(turns-k), refs[k])
		if err != nil {
			b.Fatal(err)
		}
		for _, r := range refs[k] {
			if _, err := turn.Record(ctx, Settlement{N: r.N, Row: Row{Outcome: Removed, Status: 204, RequestID: "0f0f0f0f-1111-4222-8333-444444444444", Attempts: 1}}); err != nil {
				b.Fatal(err)
			}
		}
		if err := turn.End(b.Context()); err != nil {
			b.Fatal(err)
		}
		turns++
	}
	b.ReportMetric((redisCPU(b, rdb)-began).Seconds()*1e6/float64(b.N*rows), "redis-µs/row")
}

func call(n int) string { return fmt.Sprint("t/call-", n) }

// redisCPU is the processor time that Redis has used; 0 of one that does not say.
func redisCPU(tb testing.TB, rdb *redis.Client) (used time.Duration) {
	tb.Helper()
	info, err := rdb.Info(tb.Context(), "cpu").Result()
	if err != nil {
		return 0
	}
	for line := range strings.Lines(info) {
		for _, kind := range [...]string{"used_cpu_sys:", "used_cpu_user:"} {
			if text, ok := strings.CutPrefix(strings.TrimSpace(line), kind); ok {
				d, err := time.ParseDuration(text + "s")
				if err != nil {
					tb.Fatal(err)
				}
				used += d
			}
		}
	}
	return used
}
