package tasks

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
	"rollcall/internal/testutil"
)

// TestRecover: what a dead worker had in hand is put back into the queue before
// asynq would do so; what a living one takes long for is left to it.
func TestRecover(t *testing.T) {
	redistest.Suite(t, map[string]func(*testing.T, *redis.Client){"recover": testRecover})
}

func testRecover(t *testing.T, rdb *redis.Client) {
	const long = beatsLost + 4*time.Second
	var mu sync.Mutex
	asked := map[string]int{}
	w := newWorldWith(t, rdb, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		call := strings.Split(strings.TrimPrefix(r.URL.Path, "/v1.0/communications/calls/"), "/")[0]
		mu.Lock()
		asked[call]++
		mu.Unlock()
		if call == "slow" {
			testutil.Advance(t, long)
		}
		rw.WriteHeader(http.StatusNoContent)
	}))
	dead := w.enqueue("action,call_id,participant_id\ndelete,dead,p\n")
	queue := queueName("default")
	id, err := rdb.LMove(t.Context(), queueKey(queue, "pending"), queueKey(queue, "active"), "right", "left").Result()
	if err != nil {
		t.Fatal(err)
	}
	// As asynq's Dequeue leaves it, a moment before its worker dies.
	rdb.HSet(t.Context(), queueKey(queue, "t:"+id), "state", "active")
	rdb.ZAdd(t.Context(), queueKey(queue, "lease"), redis.Z{Member: id, Score: float64(time.Now().Add(30 * time.Second).Unix())})

	slow := w.enqueue("action,call_id,participant_id\ndelete,slow,p\n")
	patient := func(c *WorkerConfig) { c.Graph.Timeout = 2 * long }
	w.work(patient)
	w.work(patient)
	from := time.Now()
	w.finish(dead)
	if took := time.Since(from); took > 28*time.Second {
		t.Errorf("the task came back after %s: asynq did that", took)
	}
	w.finish(slow)
	w.wantOutcomes(dead, ledger.Removed)
	w.wantOutcomes(slow, ledger.Removed)
	if asked["dead"] != 1 || asked["slow"] != 1 {
		t.Errorf("requests: %v", asked)
	}
	testutil.Eventually(t, "no task is held for running", func() bool {
		return rdb.ZCard(t.Context(), queueKey(queue, "lease")).Val()+rdb.LLen(t.Context(), queueKey(queue, "active")).Val() == 0
	})
}

// TestPutBackOnce: of several that hold a task for lost one puts it back, and
// none does whose view of it is old, or if its payload is gone.
func TestPutBackOnce(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb *redis.Client) {
		ctx := t.Context()
		keys := []string{queueKey("q", "lease"), queueKey("q", "active"), queueKey("q", "pending"), queueKey("q", "t:1")}
		try := func(lease string) int {
			n, err := putbackScript.Run(context.WithoutCancel(ctx), rdb, keys, "1", lease).Int()
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		take := func() {
			rdb.ZAdd(ctx, keys[0], redis.Z{Member: "1", Score: 1800000000})
			rdb.LPush(ctx, keys[1], "1")
		}
		rdb.LPush(ctx, keys[2], "0")
		rdb.HSet(ctx, keys[3], "state", "active", "msg", "m")
		take()
		if n := try("1799999999"); n != 0 {
			t.Error("put back though its worker lives")
		}
		if first, second := try("1800000000"), try("1800000000"); first != 1 || second != 0 {
			t.Errorf("put back %d and %d times", first, second)
		}
		if state, next := rdb.HGet(ctx, keys[3], "state").Val(), rdb.LIndex(ctx, keys[2], -1).Val(); state != "pending" || next != "1" {
			t.Errorf("its state is %q, the next task is %q", state, next)
		}
		if ns := rdb.HGet(ctx, keys[3], "pending_since").Val(); ns != strconv.FormatInt(time.Now().UnixNano(), 10) {
			t.Errorf("it waits since %q", ns)
		}
		rdb.Del(ctx, keys[2], keys[3])
		take()
		if n := try("1800000000"); n != 0 || rdb.Exists(ctx, keys[:3]...).Val() != 0 {
			t.Error("a task without a payload was put back")
		}
	})
}

// TestBeats: a lease counts as lost once it has stood still, on the looker's clock.
func TestBeats(t *testing.T) {
	b, at := beats{}, time.Unix(1_000_000, 0)
	z := func(id string, lease float64) redis.Z { return redis.Z{Member: id, Score: lease} }
	for _, step := range []struct {
		after time.Duration
		seen  []redis.Z
		lost  int
	}{
		{0, []redis.Z{z("a", 1), z("b", 1)}, 0},
		{beatsLost - time.Second, []redis.Z{z("a", 2), z("b", 1)}, 0},
		{beatsLost, []redis.Z{z("a", 2), z("b", 1)}, 1},
		{beatsLost + time.Second, []redis.Z{z("a", 3)}, 0},
		{2 * beatsLost, []redis.Z{z("a", 3), z("b", 1)}, 0}, // b was taken again
		{3 * beatsLost, []redis.Z{z("a", 3), z("b", 1)}, 2},
	} {
		if lost := b.note(at.Add(step.after), step.seen); len(lost) != step.lost {
			t.Errorf("after %s: lost are %v, want %d", step.after, lost, step.lost)
		}
	}
}
