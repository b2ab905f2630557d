//go:build endurance

package test

import (
	"os"
	"testing"
	"time"

	"rollcall/internal/redistest"
	"rollcall/internal/testutil"
)

// TestNoticeOfKilledWorker: a worker is killed while it sends a notice. Another one
// sends it, under the same id, and it is not sent a third time.
func TestNoticeOfKilledWorker(t *testing.T) {
	t.Parallel()
	server := redistest.StartServer(t)
	dir := t.TempDir()
	deleteRoster(t, dir, "roster.csv", 1, 3)
	sim := startSim(t, dir, "--latency", "0s", "--roster", "roster.csv")
	h := startHook(t, "/hook", 0)
	env := []string{"ROLLCALL_REDIS=" + server.URL(), tokenEnv(), "ROLLCALL_GRAPH_URL=" + sim.url, "ROLLCALL_NOTIFY_URL=" + h.url, "ROLLCALL_HTTP="}
	first := start(t, dir, env, "worker")
	must(t, 0, dir, []string{"ROLLCALL_REDIS=" + server.URL()}, "enqueue", "--wait", "roster.csv")
	tries := func() int { _, headers, _ := h.received(); return len(headers) }
	testutil.Eventually(t, "the notice is being sent", func() bool { return tries() == 1 })
	first.signal(os.Kill)
	began := time.Now()
	must(t, 0, dir, env, "worker", "--drain") // it waits for the dead one's hold to be over
	t.Logf("another worker sent it %s after the first was killed", time.Since(began).Round(time.Second/10))
	must(t, 0, dir, env, "worker", "--drain")
	taken, headers, bodies := h.received()
	if taken != 1 || len(bodies) != 2 {
		t.Fatalf("%d notices received, of %d sent", taken, len(bodies))
	}
	if a, b := headers[0].Get("X-Rollcall-Delivery"), headers[1].Get("X-Rollcall-Delivery"); a != b || a == "" {
		t.Errorf("ids are %q and %q", a, b)
	}
}
