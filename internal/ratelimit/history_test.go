package ratelimit

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/testutil"
)

// testHistory: what two workers of a scope do is one history, and its state can be
// read by somebody who works in none.
func testHistory(t *testing.T, rdb *redis.Client) {
	ctx := t.Context()
	if states, err := States(ctx, rdb); err != nil || len(states) != 0 {
		t.Fatal(states, err)
	}
	first, second := New(rdb, 200, 16), New(rdb, 200, 16)
	for range 5 {
		if err := use(ctx, first, time.Second); err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range []*Limiter{first, second, first} { // the second has done nothing, the first nothing more
		if err := l.Note(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := use(ctx, second, time.Second); err != nil {
		t.Fatal(err)
	}
	refuse(t, second, 20*time.Second)
	if err := second.Note(ctx); err != nil {
		t.Fatal(err)
	}
	states, err := States(ctx, rdb)
	if err != nil || len(states) != 1 {
		t.Fatal(states, err)
	}
	if s := states[0]; s.Scope != "s" || s.Ceiling != 200 || s.Rate <= 0 || s.Rate > 200 || s.Limit <= 0 || s.Age >= time.Millisecond ||
		s.Pause < 20*time.Second || s.Pause > 20*time.Second+jitter {
		t.Errorf("%+v", s)
	}
	samples, err := History(ctx, rdb, "s")
	if err != nil || len(samples) != 1 { // the test began with a span
		t.Fatal(samples, err)
	}
	begun := samples[0]
	if begun.Sent != 6 || begun.Pauses != 1 || !begun.Paused || time.Since(begun.At) >= HistorySpan {
		t.Errorf("%+v", begun)
	}

	// Another span, and what nobody of this version wrote.
	testutil.Advance(t, 30*time.Second)
	if err := use(ctx, first, 0); err != nil {
		t.Fatal(err)
	}
	if err := first.Note(ctx); err != nil {
		t.Fatal(err)
	}
	rdb.HSet(ctx, historyKey("s"), "x", "not a span")
	samples, err = History(ctx, rdb, "s")
	if err != nil || len(samples) != 2 || samples[0] != begun || samples[1].Sent != 1 || samples[1].Paused ||
		samples[1].At.Sub(begun.At) != 30*time.Second {
		t.Errorf("%+v, %v", samples, err)
	}

	// An hour later nothing is told of the first span, and soon not even of the scope.
	testutil.Advance(t, HistorySpan*historySpans-30*time.Second)
	for range 2 {
		if err := use(ctx, second, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := second.Note(ctx); err != nil {
		t.Fatal(err)
	}
	samples, err = History(ctx, rdb, "s")
	if err != nil || len(samples) != 2 || samples[0].Sent != 1 || samples[1].Sent != 2 {
		t.Errorf("%+v, %v", samples, err)
	}
	testutil.Advance(t, HistorySpan*historySpans+time.Second)
	if states, err := States(ctx, rdb); err != nil || len(states) != 0 {
		t.Error(states, err)
	}
}
