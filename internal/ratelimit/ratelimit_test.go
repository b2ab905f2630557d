package ratelimit

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/redistest"
)

func TestLimiter(t *testing.T) {
	redistest.Suite(t, map[string]func(*testing.T, *redis.Client){
		"never above the ceiling": testCeiling,
		"idle time is no credit":  testNoCredit,
		"pause stops all":         testPause,
		"longer pause stays":      testLongerPause,
		"pause is capped":         testCapped,
		"guessed pause doubles":   testGuess,
		"scopes are apart":        testScopes,
		"cancelled wait":          testCancelledWait,
		"pause during the wait":   testPauseDuringWait,
		"no burst after a pause":  testNoBurst,
	})
}

// slots takes n slots of a scope and returns when on Redis' clock they are, in
// microseconds, without sleeping.
func slots(t *testing.T, rdb *redis.Client, rate float64, n int) []int64 {
	t.Helper()
	var all []int64
	for range n {
		if err := reserveScript.Run(t.Context(), rdb, []string{key("s")}, rate, 1000, 1).Err(); err != nil {
			t.Fatal(err)
		}
		next, err := rdb.HGet(t.Context(), key("s"), "next").Float64()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, int64(next-1e6/rate))
	}
	return all
}

func testCeiling(t *testing.T, rdb *redis.Client) {
	all := slots(t, rdb, 200, 1000)
	// No slot is nearer to the one before than the rate allows, so no second
	// holds more than 200 of them.
	for i := 1; i < len(all); i++ {
		if gap := all[i] - all[i-1]; gap < 4999 {
			t.Fatalf("slots %d and %d are %d µs apart", i-1, i, gap)
		}
	}
}

func testNoCredit(t *testing.T, rdb *redis.Client) {
	l := New(rdb, 20)
	// A slot that was free an hour ago is gone.
	rdb.HSet(t.Context(), key("s"), "next", time.Now().Add(-time.Hour).UnixMicro())
	var at []time.Time
	for range 4 {
		if err := l.Wait(t.Context(), "s", 0); err != nil {
			t.Fatal(err)
		}
		at = append(at, time.Now())
	}
	if took := at[3].Sub(at[0]); took < 140*time.Millisecond {
		t.Errorf("four slots at 20/s took %s", took)
	}
}

func testPause(t *testing.T, rdb *redis.Client) {
	a, b := New(rdb, 0), New(rdb, 100)
	left, began, err := a.Pause(t.Context(), "s", 10*time.Second, true)
	if err != nil || !began || left != 10*time.Second {
		t.Fatal(left, began, err)
	}
	for _, l := range []*Limiter{a, b} {
		var paused *PausedError
		if err := l.Wait(t.Context(), "s", time.Second); !errors.As(err, &paused) || paused.Left < 9*time.Second {
			t.Errorf("wait: %v", err)
		}
	}
	if n := rdb.HExists(t.Context(), key("s"), "next").Val(); n {
		t.Error("a slot was given out in a pause that nobody waited for")
	}
	// A short one is waited out.
	if _, _, err := a.Pause(t.Context(), "short", 200*time.Millisecond, true); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := b.Wait(t.Context(), "short", time.Second); err != nil || time.Since(start) < 190*time.Millisecond {
		t.Errorf("waited %s: %v", time.Since(start), err)
	}
}

func testLongerPause(t *testing.T, rdb *redis.Client) {
	l := New(rdb, 0)
	if _, _, err := l.Pause(t.Context(), "s", 20*time.Second, true); err != nil {
		t.Fatal(err)
	}
	left, began, err := l.Pause(t.Context(), "s", time.Second, true)
	if err != nil || began || left < 19*time.Second {
		t.Error(left, began, err)
	}
}

func testCapped(t *testing.T, rdb *redis.Client) {
	l := New(rdb, 0)
	if left, _, err := l.Pause(t.Context(), "s", 1000*time.Hour, true); err != nil || left != MaxPause {
		t.Error(left, err)
	}
	// 0 has been seen: it must not mean that a throttled fleet does not wait.
	for scope, d := range map[string]time.Duration{"t": -time.Hour, "u": 0} {
		if left, began, err := l.Pause(t.Context(), scope, d, true); err != nil || left != time.Second || !began {
			t.Error(left, began, err)
		}
	}
}

func testGuess(t *testing.T, rdb *redis.Client) {
	l := New(rdb, 0)
	var got []time.Duration
	for range 9 {
		left, began, err := l.Pause(t.Context(), "s", 0, false)
		if err != nil || !began {
			t.Fatal(left, began, err)
		}
		got = append(got, left)
		// Those under way when it began are no further strike.
		if _, began, err := l.Pause(t.Context(), "s", 0, false); err != nil || began {
			t.Fatal("a request under way prolonged the pause", err)
		}
		// As if the pause were just over.
		rdb.HSet(t.Context(), key("s"), "pause", time.Now().Add(-time.Millisecond).UnixMilli())
	}
	want := []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60}
	for i := range want {
		want[i] *= time.Second
	}
	if !slices.Equal(got, want) {
		t.Errorf("pauses %v, want %v", got, want)
	}
	// A pause long past is forgiven.
	rdb.HSet(t.Context(), key("s"), "pause", time.Now().Add(-2*time.Minute).UnixMilli())
	if left, _, err := l.Pause(t.Context(), "s", 0, false); err != nil || left != time.Second {
		t.Error(left, err)
	}
}

func testScopes(t *testing.T, rdb *redis.Client) {
	l := New(rdb, 0)
	if _, _, err := l.Pause(t.Context(), "app/one", time.Hour, true); err != nil {
		t.Fatal(err)
	}
	if err := l.Wait(t.Context(), "app/two", 0); err != nil {
		t.Errorf("one tenant's pause holds another: %v", err)
	}
}

func testCancelledWait(t *testing.T, rdb *redis.Client) {
	l := New(rdb, 0.01)
	if err := l.Wait(t.Context(), "s", 0); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := l.Wait(ctx, "s", 0); !errors.Is(err, context.Canceled) {
			t.Errorf("wait: %v", err)
		}
	})
	cancel()
	wg.Wait()
}

func testPauseDuringWait(t *testing.T, rdb *redis.Client) {
	l := New(rdb, 2)
	if err := l.Wait(t.Context(), "s", 0); err != nil {
		t.Fatal(err)
	}
	// The second caller has its slot when 'next' has moved on to the third.
	first := rdb.HGet(t.Context(), key("s"), "next").Val()
	done := make(chan error, 1)
	go func() { done <- l.Wait(t.Context(), "s", 0) }()
	redistest.Eventually(t, 5*time.Second, "the caller has a slot", func() bool {
		return rdb.HGet(t.Context(), key("s"), "next").Val() != first
	})
	if _, _, err := New(rdb, 0).Pause(t.Context(), "s", time.Minute, true); err != nil {
		t.Fatal(err)
	}
	var paused *PausedError
	if err := <-done; !errors.As(err, &paused) {
		t.Errorf("a caller that slept into a pause was let through: %v", err)
	}
}

// testNoBurst: callers that hold slots when a pause begins do not use them all
// at its end.
func testNoBurst(t *testing.T, rdb *redis.Client) {
	const rate, callers = 20, 30
	l := New(rdb, rate)
	sent := make(chan time.Time, callers)
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			if err := l.Wait(t.Context(), "s", 2*time.Second); err != nil {
				t.Error(err)
			}
			sent <- time.Now()
		})
	}
	<-sent // the first: the others have their slots, or soon will
	if _, _, err := New(rdb, 0).Pause(t.Context(), "s", 700*time.Millisecond, true); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	close(sent)
	at := []time.Time{}
	for s := range sent {
		at = append(at, s)
	}
	slices.SortFunc(at, time.Time.Compare)
	for i, first := range at {
		n := 0
		for _, s := range at[i:] {
			if s.Sub(first) < time.Second {
				n++
			}
		}
		if n > rate+4 { // sleepers wake a little late on a busy machine
			t.Fatalf("%d requests in one second at a rate of %d", n, rate)
		}
	}
}
