package ratelimit

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
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
	if s := states[0]; s.Scope != "s" || s.Ceiling != 200 || s.Rate <= 0 || s.Rate > 200 || s.Limit <= 0 || s.Age > time.Minute ||
		s.Pause < 10*time.Second || s.Pause > 21*time.Second {
		t.Errorf("%+v", s)
	}
	samples, err := History(ctx, rdb, "s")
	if err != nil || len(samples) == 0 {
		t.Fatal(samples, err)
	}
	var all Sample
	for _, s := range samples {
		all.Sent += s.Sent
		all.Pauses += s.Pauses
		all.Paused = all.Paused || s.Paused
	}
	if all.Sent != 6 || all.Pauses != 1 || !all.Paused {
		t.Errorf("%+v", samples)
	}
	if age := time.Since(samples[0].At); age < 0 || age > time.Minute {
		t.Errorf("a sample of %s ago", age)
	}
}
