// Package ratelimit keeps one rate and one pause for all workers of a scope (an
// application in a tenant: what Graph throttles as one). Slots are given out by
// Redis on Redis' clock; callers sleep until theirs. It must not know Graph's
// requests, batches or rows.
package ratelimit

import (
	"context"
	_ "embed"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/redis/go-redis/v9"
)

//go:embed scripts/reserve.lua
var reserveLua string

//go:embed scripts/pause.lua
var pauseLua string

var (
	reserveScript = redis.NewScript(reserveLua)
	pauseScript   = redis.NewScript(pauseLua)
)

const (
	// MaxPause caps what Graph can ask for.
	MaxPause = time.Hour
	// maxGuess caps the pause that is guessed where Graph names none.
	maxGuess = time.Minute
	// staleAfter is how long a caller sleeps before it asks once more whether
	// the scope has been paused in the meantime.
	staleAfter = 20 * time.Millisecond
	// restartSpread is over how long the callers that waited for a pause start
	// again, so that its end is no burst.
	restartSpread = 250 * time.Millisecond
)

// Limiter hands out slots. The zero value is not usable.
type Limiter struct {
	rdb  redis.UniversalClient
	rate float64
}

// New returns a limiter whose fleet sends at most rate requests a second and
// scope; 0 means that only pauses limit it.
func New(rdb redis.UniversalClient, rate float64) *Limiter {
	return &Limiter{rdb: rdb, rate: rate}
}

// PausedError says that a scope is paused for longer than the caller would wait.
type PausedError struct {
	Left time.Duration
}

func (e *PausedError) Error() string {
	return fmt.Sprintf("Graph asked to wait: %s left", e.Left.Round(time.Millisecond))
}

func key(scope string) string { return "rollcall:{s:" + scope + "}:limit" }

// Wait returns when the caller may send one request of the scope. It waits for
// a slot as long as it takes, but returns a *PausedError at once if a pause has
// more than longest left.
func (l *Limiter) Wait(ctx context.Context, scope string, longest time.Duration) error {
	for {
		wait, pause, err := l.reserve(ctx, scope, longest, true)
		if err != nil || wait <= 0 {
			return err
		}
		if pause > 0 && l.rate == 0 { // with a rate, slots are spread by themselves
			wait += rand.N(restartSpread)
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
		if wait < staleAfter {
			return nil
		}
		// A pause that began meanwhile has taken the slot away: all that were
		// given out before it would otherwise be used together at its end.
		if left, _, err := l.reserve(ctx, scope, longest, false); err != nil || left <= 0 {
			return err
		}
	}
}

// Check returns a *PausedError while the scope is paused. It is for a caller who
// has waited for a slot and did something else since.
func (l *Limiter) Check(ctx context.Context, scope string) error {
	_, _, err := l.reserve(ctx, scope, 0, false)
	return err
}

func (l *Limiter) reserve(ctx context.Context, scope string, longest time.Duration, slot bool) (wait, pause time.Duration, err error) {
	take := 0
	if slot {
		take = 1
	}
	got, err := reserveScript.Run(ctx, l.rdb, []string{key(scope)}, l.rate, longest.Milliseconds(), take).Int64Slice()
	if err != nil {
		return 0, 0, fmt.Errorf("ratelimit: %w", err)
	}
	pause = time.Duration(got[1]) * time.Millisecond
	if got[0] < 0 {
		return 0, pause, &PausedError{Left: pause}
	}
	return time.Duration(got[0]) * time.Microsecond, pause, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Pause stops the scope in every worker. known tells whether Graph named the
// time; without it, or with a time of 0, the pause is 1 s and doubles with each
// further one. A longer pause that already runs stays. It returns how long the
// scope is now paused, and whether this call made it so.
func (l *Limiter) Pause(ctx context.Context, scope string, d time.Duration, known bool) (left time.Duration, began bool, err error) {
	ms := min(max(d, 0), MaxPause).Milliseconds()
	if !known || ms == 0 {
		ms = -1
	}
	got, err := pauseScript.Run(ctx, l.rdb, []string{key(scope)}, ms, maxGuess.Milliseconds()).Int64Slice()
	if err != nil {
		return 0, false, fmt.Errorf("ratelimit: %w", err)
	}
	return time.Duration(got[0]) * time.Millisecond, got[1] == 1, nil
}
