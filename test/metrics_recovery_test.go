//go:build endurance

package test

import (
	"context"
	"fmt"
	"io"
	"os"
	"testing"

	"rollcall/internal/redistest"
	"rollcall/internal/testutil"
)

// TestMetricsOfRecovery gives a worker what others have left behind, and looks whether
// its metrics tell of it.
func TestMetricsOfRecovery(t *testing.T) {
	t.Parallel()
	server := redistest.StartServer(t)
	dir := t.TempDir()
	redis := []string{"ROLLCALL_REDIS=" + server.URL()}

	// A worker dies with two tasks in hand.
	deleteRoster(t, dir, "dead.csv", 2, 3)
	stuck := startSim(t, dir, "--latency", "10m", "--roster", "dead.csv")
	dies := fleet(t, 1, server.URL(), stuck.url)[0]
	must(t, 0, dir, redis, "enqueue", "dead.csv")
	testutil.Eventually(t, "two are under way", func() bool { return stuck.state(t).Counters.InFlight >= 2 })
	dies.signal(os.Kill)

	// Three batches have lost their tasks; one expires, and one is cancelled by a
	// command that was killed before it was done.
	lose(t, server, dir, "lost")
	lose(t, server, dir, "expired", "--expire", "1s")
	cancelled := lose(t, server, dir, "cancelled")
	if err := server.Client(t).HSet(t.Context(), "rollcall:{b:"+cancelled+"}:meta", "cancelled", 1).Err(); err != nil {
		t.Fatal(err)
	}

	sim := startSim(t, dir, "--latency", "10ms", "--roster", "dead.csv", "--roster", "lost.csv", "--roster", "expired.csv", "--roster", "cancelled.csv")
	w := observe(t, append(redis, tokenEnv(), "ROLLCALL_GRAPH_URL="+sim.url), "--concurrency", "4")
	w.moved(t,
		"rollcall_tasks_recovered_total", `rollcall_sweeper_actions_total{action="expired"}`, `rollcall_sweeper_actions_total{action="cancelled"}`,
		`rollcall_changes_total{action="delete",outcome="expired"}`, `rollcall_changes_total{action="delete",outcome="cancelled"}`,
		`rollcall_sweeper_actions_total{action="requeued"}`, `rollcall_sweeper_actions_total{action="task_enqueued"}`)
	w.until(t, "all is done", func(e exposition) bool {
		n, there := e.values["rollcall_rows_pending"]
		return there && n == 0
	})
}

// lose enqueues a batch of one delete, with no worker that takes its queue, and has
// the queue lose the task. It returns the batch's id.
func lose(t *testing.T, server *redistest.Server, dir, name string, args ...string) string {
	t.Helper()
	writeFile(t, dir, name+".csv", func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "action,call_id,participant_id\ndelete,%s,p\n", name)
	})
	var st batchStatus
	args = append([]string{"--queue", "low", "--output", "json", name + ".csv"}, args...)
	must(t, 0, dir, []string{"ROLLCALL_REDIS=" + server.URL()}, "enqueue", args...).json(t, &st)
	rdb, ctx, queue := server.Client(t), context.WithoutCancel(t.Context()), "asynq:{rollcall-low}:"
	ids, err := rdb.LRange(ctx, queue+"pending", 0, -1).Result()
	if err != nil || len(ids) != 1 {
		t.Fatalf("tasks are %v, %v", ids, err)
	}
	if n, err := rdb.Del(ctx, queue+"pending", queue+"t:"+ids[0]).Result(); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	return st.Batch
}
