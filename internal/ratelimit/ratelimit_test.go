package ratelimit

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/redistest"
	"rollcall/internal/testutil"
)

func TestLimiter(t *testing.T) {
	redistest.Suite(t, map[string]func(*testing.T, *redis.Client){
		"never above the ceiling":       testCeiling,
		"idle time is no credit":        testNoCredit,
		"all workers share one rate":    testShared,
		"pause stops all":               testPause,
		"longer pause stays":            testLongerPause,
		"pause is capped":               testCapped,
		"guessed pause doubles":         testGuess,
		"scopes are apart":              testScopes,
		"cancelled wait":                testCancelledWait,
		"slot for one who has left":     testLeft,
		"pause during the wait":         testPauseDuringWait,
		"no burst after a pause":        testNoBurst,
		"slot too late is changed":      testLateSlot,
		"slot not needed goes on":       testRelease,
		"what has begun goes first":     testFrontFirst,
		"not all may wait":              testCrowd,
		"not all that has begun waits":  testCrowdedFront,
		"one cut per pause":             testOneCut,
		"what is learned stays":         testLearned,
		"only use lets the rate grow":   testGrowth,
		"a limit that others use up":    testCrowdedGraph,
		"what cannot be read is passed": testUnreadable,
		"the fleet's history":           testHistory,
	})
}

// use waits for a slot and its time.
func use(ctx context.Context, l *Limiter, longest time.Duration) error {
	s, err := l.Begin(ctx, "s", longest)
	if err != nil {
		return err
	}
	s.Take()
	return s.Wait(ctx)
}

func newStore(rdb *redis.Client) *store { return &store{rdb: rdb, key: []string{key("s")}} }

// refuse says that Graph refused a request sent just now.
func refuse(t *testing.T, l *Limiter, wait time.Duration) {
	t.Helper()
	if _, first, err := l.Refused(t.Context(), "s", 0, wait, true); err != nil || !first {
		t.Fatal(first, err)
	}
}

// known is the search that Redis keeps.
func known(t *testing.T, rdb *redis.Client) search {
	t.Helper()
	var s search
	if err := json.Unmarshal([]byte(rdb.HGet(t.Context(), key("s"), "climb").Val()), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// rush has callers take slots of the limiters until n were used, and returns when.
func rush(t *testing.T, n int, limiters ...*Limiter) []time.Time {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var mu sync.Mutex
	var at []time.Time
	var all sync.WaitGroup
	for _, l := range limiters {
		for range 20 {
			all.Go(func() {
				for ctx.Err() == nil {
					err := use(ctx, l, 5*time.Second)
					if _, ok := errors.AsType[*CrowdedError](err); ok {
						_ = sleep(ctx, 10*time.Millisecond)
						continue
					}
					if p, ok := errors.AsType[*PausedError](err); ok {
						_ = sleep(ctx, p.Left)
						continue
					}
					if err != nil {
						if ctx.Err() == nil {
							t.Error(err)
						}
						return
					}
					mu.Lock()
					at = append(at, time.Now())
					if len(at) >= n {
						stop()
					}
					mu.Unlock()
				}
			})
		}
	}
	all.Wait()
	slices.SortFunc(at, time.Time.Compare)
	return at[:min(n, len(at))]
}

// most is the largest number of times within a second.
func most(at []time.Time) int {
	worst, from := 0, 0
	for i := range at {
		for at[i].Sub(at[from]) >= time.Second {
			from++
		}
		worst = max(worst, i-from+1)
	}
	return worst
}

func testCeiling(t *testing.T, rdb *redis.Client) {
	const rate = 2000
	s := newStore(rdb)
	var last float64
	for i := 0; i < 500; {
		got, err := s.lease(t.Context(), 1+i%3, rate, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got.count == 0 { // those at hand reach as far as slots are given out
			testutil.Advance(t, time.Until(got.first))
			continue
		}
		i++
		next, err := rdb.HGet(t.Context(), key("s"), "next").Float64()
		if err != nil {
			t.Fatal(err)
		}
		// No slot is nearer to the one before than the rate allows, so no second
		// holds more than that.
		if gap := next - last; gap < float64(got.count)*1e6/rate {
			t.Fatalf("lease %d: %d slots in %.0f µs", i, got.count, gap)
		}
		last = next
	}
}

func testNoCredit(t *testing.T, rdb *redis.Client) {
	l := New(rdb, 20, 32)
	// A slot that was free an hour ago is gone.
	rdb.HSet(t.Context(), key("s"), "next", time.Now().Add(-time.Hour).UnixMicro())
	begin := time.Now()
	for range 4 {
		if err := use(t.Context(), l, 0); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(begin); took < 150*time.Millisecond || took > 151*time.Millisecond {
		t.Errorf("four slots at 20/s took %s", took)
	}
}

func testShared(t *testing.T, rdb *redis.Client) {
	const rate = 100
	at := rush(t, 3*rate, New(rdb, rate, 32), New(rdb, rate, 32), New(rdb, rate, 32))
	if n := most(at); n > rate {
		t.Errorf("%d requests in one second at a rate of %d", n, rate)
	}
	if took := at[len(at)-1].Sub(at[0]); took > 3100*time.Millisecond {
		t.Errorf("three seconds' worth of slots took %s", took)
	}
}

func testPause(t *testing.T, rdb *redis.Client) {
	a, b := New(rdb, 0, 32), New(rdb, 100, 32)
	left, first, err := a.Refused(t.Context(), "s", 0, 10*time.Second, true)
	if err != nil || !first || left < 10*time.Second || left > 10*time.Second+jitter {
		t.Fatal(left, first, err)
	}
	for _, l := range []*Limiter{a, b} {
		var paused *PausedError
		if _, err := l.Begin(t.Context(), "s", time.Second); !errors.As(err, &paused) || paused.Left != left {
			t.Errorf("begin: %v, want %s", err, left)
		}
		if _, err := l.Next(t.Context(), "s"); !errors.As(err, &paused) || paused.Left != left {
			t.Errorf("next: %v, want %s", err, left)
		}
		if !l.Stats().Paused || l.Free("s") {
			t.Error("it does not know of the pause")
		}
	}
	if n := rdb.HGet(t.Context(), key("s"), "n").Val(); n != "0" {
		t.Errorf("%s slots were given out in a pause that nobody waited for", n)
	}

	begin := time.Now()
	if err := use(t.Context(), b, 11*time.Second); err != nil {
		t.Fatal(err)
	}
	if waited := time.Since(begin); waited != left {
		t.Errorf("a caller waited for %s, the pause was over after %s", waited, left)
	}
}

func testLongerPause(t *testing.T, rdb *redis.Client) {
	l := New(rdb, 0, 32)
	refuse(t, l, 20*time.Second)
	left, first, err := l.Refused(t.Context(), "s", 0, time.Second, true)
	if err != nil || first || left < 20*time.Second {
		t.Error(left, first, err)
	}
}

func testCapped(t *testing.T, rdb *redis.Client) {
	l := New(rdb, 0, 32)
	if left, _, err := l.Refused(t.Context(), "s", 0, 1000*time.Hour, true); err != nil || left > MaxPause+jitter {
		t.Error(left, err)
	}
	// 0 has been seen: it must not mean that a throttled fleet does not wait.
	for scope, d := range map[string]time.Duration{"t": -time.Hour, "u": 0} {
		if left, first, err := l.Refused(t.Context(), scope, 0, d, true); err != nil || left < time.Second || left > time.Second+jitter || !first {
			t.Error(left, first, err)
		}
	}
}

func testGuess(t *testing.T, rdb *redis.Client) {
	l := New(rdb, 0, 32)
	// unnamed lets the pause that Graph does not name pass, and then some time.
	unnamed := func(then time.Duration) time.Duration {
		left, first, err := l.Refused(t.Context(), "s", 0, 0, false)
		if err != nil || !first {
			t.Fatal(left, first, err)
		}
		// Those under way when it began are no further strike.
		if _, first, err := l.Refused(t.Context(), "s", 0, 0, false); err != nil || first {
			t.Fatal("a request under way prolonged the pause", err)
		}
		testutil.Advance(t, left+then)
		return left.Truncate(100 * time.Millisecond)
	}

	var got []time.Duration
	for range 8 {
		got = append(got, unnamed(time.Millisecond))
	}
	got = append(got, unnamed(time.Second)) // it goes well for longer than atOnce
	got = append(got, unnamed(0))

	want := []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60, 1}
	for i := range want {
		want[i] *= time.Second
	}
	if !slices.Equal(got, want) {
		t.Errorf("pauses %v, want %v", got, want)
	}
}

func testScopes(t *testing.T, rdb *redis.Client) {
	l := New(rdb, 0, 32)
	if _, _, err := l.Refused(t.Context(), "app/one", 0, time.Hour, true); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Begin(t.Context(), "app/two", 0); err != nil {
		t.Errorf("one tenant's pause holds another: %v", err)
	}
}

func testCancelledWait(t *testing.T, rdb *redis.Client) {
	l := New(rdb, 0.1, 32)
	if err := use(t.Context(), l, 0); err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	begin := time.Now()
	go func() { done <- use(ctx, l, 0) }()
	synctest.Wait()
	if n := l.Waiting("s"); n != 1 {
		t.Errorf("%d callers wait", n)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) || time.Since(begin) > 0 {
		t.Errorf("after %s: %v", time.Since(begin), err)
	}
	if n := l.Waiting("s"); n != 0 {
		t.Errorf("%d callers wait", n)
	}
	if _, err := l.Begin(ctx, "s", 0); !errors.Is(err, context.Canceled) {
		t.Errorf("begin: %v", err)
	}
}

// testLeft: a slot that comes when its caller has just given up is for the next.
func testLeft(t *testing.T, rdb *redis.Client) {
	l := New(rdb, 0.2, 32)
	s, err := l.Begin(t.Context(), "s", 0)
	if err != nil {
		t.Fatal(err)
	}
	c := &caller{got: make(chan turn, 1)}
	c.got <- turn{at: s.at}
	l.line("s").leave(back, c)
	begin := time.Now()
	if err := use(t.Context(), l, 0); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > 0 {
		t.Errorf("the next caller waited for %s", took)
	}
}

func testPauseDuringWait(t *testing.T, rdb *redis.Client) {
	l := New(rdb, 2, 32)
	if err := use(t.Context(), l, 0); err != nil {
		t.Fatal(err)
	}
	// The second caller has its slot when 'next' has moved on to the third.
	first := rdb.HGet(t.Context(), key("s"), "next").Val()
	done := make(chan error, 1)
	go func() { done <- use(t.Context(), l, 0) }()
	testutil.Eventually(t, "the caller has a slot", func() bool {
		return rdb.HGet(t.Context(), key("s"), "next").Val() != first
	})

	refuse(t, New(rdb, 0, 32), time.Minute)
	var paused *PausedError
	if err := <-done; !errors.As(err, &paused) {
		t.Errorf("a caller that slept into a pause was let through: %v", err)
	}
}

// testNoBurst: callers that hold slots when a pause begins do not use them all
// at its end.
func testNoBurst(t *testing.T, rdb *redis.Client) {
	const rate = 50
	l := New(rdb, rate, 32)
	done := make(chan []time.Time)
	go func() { done <- rush(t, 80, l, New(rdb, rate, 32)) }()
	testutil.Eventually(t, "slots are used", func() bool { return l.Stats().Slots > 10 })

	refuse(t, New(rdb, 0, 32), 700*time.Millisecond)
	at := <-done
	if n := most(at); n > rate {
		t.Errorf("%d requests in one second at a rate of %d", n, rate)
	}
}

func testLateSlot(t *testing.T, rdb *redis.Client) {
	l := New(rdb, 100, 32)
	s, err := l.Begin(t.Context(), "s", 0)
	if err != nil {
		t.Fatal(err)
	}
	testutil.Advance(t, 500*time.Millisecond) // its holder is busy elsewhere
	old := rdb.HGet(t.Context(), key("s"), "n").Val()
	if s.Taken() || !s.Take() || s.Take() || !s.Taken() {
		t.Error("a slot is taken once")
	}
	if err := s.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := rdb.HGet(t.Context(), key("s"), "n").Val(); n == old {
		t.Error("a slot long over was used")
	}
}

func testRelease(t *testing.T, rdb *redis.Client) {
	l := New(rdb, 0.2, 32) // the next slot is 5 s away
	s, err := l.Begin(t.Context(), "s", 0)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	got := make(chan error, 1)
	go func() { got <- use(t.Context(), l, 0) }()
	synctest.Wait()
	s.Release()
	s.Release() // once is enough
	if err := <-got; err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > 0 {
		t.Errorf("a slot given back was handed on after %s", took)
	}
}

func testFrontFirst(t *testing.T, rdb *redis.Client) {
	l := New(rdb, 2, 32)
	if err := use(t.Context(), l, 0); err != nil {
		t.Fatal(err)
	}

	order := make(chan string, 2)
	go func() {
		if _, err := l.Begin(t.Context(), "s", 0); err != nil {
			t.Error(err)
		}
		order <- "new"
	}()
	synctest.Wait()
	go func() {
		if _, err := l.Next(t.Context(), "s"); err != nil {
			t.Error(err)
		}
		order <- "begun"
	}()
	synctest.Wait()
	if n := l.Waiting("s"); n != 2 {
		t.Errorf("%d callers wait", n)
	}

	if first, second := <-order, <-order; first != "begun" || second != "new" {
		t.Errorf("%s work went first", first)
	}
}

func testCrowd(t *testing.T, rdb *redis.Client) {
	l := New(rdb, 1, 32)
	if !l.Free("s") {
		t.Error("the first is in nobody's way")
	}
	if err := use(t.Context(), l, 0); err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	var away []time.Duration
	for range fewest[back] {
		all.Go(func() { _ = use(ctx, l, 0) })
	}
	synctest.Wait()
	for range 10 {
		var crowded *CrowdedError
		if err := use(ctx, l, 0); errors.As(err, &crowded) {
			away = append(away, crowded.After)
		}
	}
	if n := l.Waiting("s"); n != fewest[back] || l.Free("s") {
		t.Errorf("%d wait, want %d", n, fewest[back])
	}
	cancel()
	all.Wait()

	// Each comes back a slot later than the one before.
	if len(away) != 10 {
		t.Fatalf("%d of 10 were sent away", len(away))
	}
	for i := 1; i < len(away); i++ {
		if gap := away[i] - away[i-1]; gap < time.Second || gap > 1010*time.Millisecond {
			t.Errorf("they are to come back after %v", away)
			break
		}
	}
}

// testCrowdedFront: what has begun is sent away, too, when too much of it waits.
func testCrowdedFront(t *testing.T, rdb *redis.Client) {
	l := New(rdb, 1, 32)
	if err := use(t.Context(), l, 0); err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for range fewest[front] {
		all.Go(func() { _, _ = l.Next(ctx, "s") })
	}
	synctest.Wait()
	var crowded *CrowdedError
	if _, err := l.Next(t.Context(), "s"); !errors.As(err, &crowded) || crowded.After != time.Duration(fewest[front])*time.Second {
		t.Errorf("next: %v", err)
	}
	cancel()
	all.Wait()
}

// testOneCut: only the first refusal of what was sent since the last pause cuts
// the rate.
func testOneCut(t *testing.T, rdb *redis.Client) {
	a, b := New(rdb, 0, 32), New(rdb, 0, 32)
	rush(t, 50, a, b)
	refuse(t, a, time.Second)
	cut := known(t, rdb)
	if cut.Climb.High == 0 || cut.Climb.Low >= firstRate*1.5 {
		t.Errorf("after the first refusal: %+v", cut.Climb)
	}
	// Those under way, in both processes.
	for range 5 {
		for _, l := range []*Limiter{a, b} {
			if _, first, err := l.Refused(t.Context(), "s", 500*time.Millisecond, time.Second, true); err != nil || first {
				t.Fatal(first, err)
			}
		}
	}
	if again := known(t, rdb); again.Climb != cut.Climb {
		t.Errorf("cut again: %+v", again.Climb)
	}
	if a.Stats().Pauses != 1 || b.Stats().Pauses != 0 {
		t.Error("pauses:", a.Stats().Pauses, b.Stats().Pauses)
	}
}

func testLearned(t *testing.T, rdb *redis.Client) {
	a := New(rdb, 0, 32)
	rush(t, 50, a)
	refuse(t, a, 50*time.Millisecond)
	want := known(t, rdb).Climb.Low
	fresh := New(rdb, 0, 32) // a worker that was just started
	if err := use(t.Context(), fresh, time.Second); err != nil {
		t.Fatal(err)
	}
	if rate := fresh.Stats().Rate; math.Abs(rate-want) > want*0.2 {
		t.Errorf("a new worker begins with %.1f/s, %.1f/s was learned", rate, want)
	}
	// A ceiling is above all that was learned.
	low := New(rdb, want/4, 32)
	if err := use(t.Context(), low, time.Second); err != nil {
		t.Fatal(err)
	}
	if rate := low.Stats().Rate; rate != want/4 {
		t.Errorf("%.1f/s with a ceiling of %.1f/s", rate, want/4)
	}
}

// testGrowth: the rate is not raised by requests that had no need of it.
func testGrowth(t *testing.T, rdb *redis.Client) {
	l := New(rdb, 0, 32)
	for range 30 {
		if err := use(t.Context(), l, 0); err != nil {
			t.Fatal(err)
		}
		testutil.Advance(t, 20*time.Millisecond)
	}
	if rate := l.Stats().Rate; rate > firstRate*1.02 {
		t.Errorf("30 requests, one at a time, let the rate grow to %.1f/s", rate)
	}
	rush(t, 100, l)
	grown := l.Stats().Rate
	if grown < firstRate*1.2 || grown > firstRate*2 {
		t.Errorf("the rate did not grow with its use: %.1f/s", grown)
	}
	l.Answered("s", 5*time.Millisecond)
	rush(t, 200, l)
	if rate := l.Stats().Rate; rate < grown*2.5 {
		t.Errorf("with quick answers it grew from %.1f to %.1f/s", grown, rate)
	}
}

// testCrowdedGraph: Graph refuses although the fleet sends less than it could.
func testCrowdedGraph(t *testing.T, rdb *redis.Client) {
	l := New(rdb, 0, 32)
	for range 30 {
		if err := use(t.Context(), l, 0); err != nil {
			t.Fatal(err)
		}
		testutil.Advance(t, 40*time.Millisecond)
	}
	refuse(t, l, time.Second)
	if c := known(t, rdb).Climb; c.High > 30 || c.Low < 5 {
		t.Errorf("refused at some 20/s, it goes on with %+v", c)
	}
}

func testUnreadable(t *testing.T, rdb *redis.Client) {
	l := New(rdb, 0, 32)
	rdb.HSet(t.Context(), key("s"), "climb", "{of a version to come", "version", 7)
	if err := use(t.Context(), l, 0); err != nil {
		t.Fatal(err)
	}
	refuse(t, l, time.Second)
	if c := known(t, rdb).Climb; c.High == 0 {
		t.Errorf("%+v", c)
	}
}

// TestRedisAway: there is no Redis, and this process keeps to Graph's wait all the same.
func TestRedisAway(t *testing.T) {
	redistest.Fake(t, func(t *testing.T, rdb *redis.Client) {
		options := rdb.Options()
		options.Dialer = func(context.Context, string, string) (net.Conn, error) {
			return nil, errors.New("connection refused")
		}
		away := redis.NewClient(options)
		t.Cleanup(func() { _ = away.Close() })
		l := New(away, 0, 32)
		if _, err := l.Begin(t.Context(), "s", 0); err == nil {
			t.Error("a slot without Redis")
		}
		if _, _, err := l.Refused(t.Context(), "s", 0, time.Minute, true); err == nil {
			t.Error("a refusal that nobody heard of")
		}
		var paused *PausedError
		if _, err := l.Begin(t.Context(), "s", 0); !errors.As(err, &paused) || paused.Left > time.Minute {
			t.Error(err)
		}
	})
}

// TestErrors makes sure that errors say how long to wait.
func TestErrors(t *testing.T) {
	for err, want := range map[error]string{
		&PausedError{Left: 1234567 * time.Microsecond}: "Graph asked to wait: 1.235s left",
		&CrowdedError{After: 2 * time.Second}:          "the rate is used up: to be tried again in 2s",
	} {
		if got := err.Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
