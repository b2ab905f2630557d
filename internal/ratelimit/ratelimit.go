// Package ratelimit keeps one rate and one pause for all workers of a scope (an
// application in a tenant: what Graph throttles as one), and finds the rate that
// Graph allows. Slots are given out by Redis on Redis' clock, in leases for a
// tenth of a second at most; callers sleep until theirs, and ask once more for a
// pause before they send. The arithmetic of the search is in Go and pure; the
// scripts keep its result. It must not know Graph's requests, batches or rows.
package ratelimit

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// MaxPause caps what Graph can ask for.
	MaxPause = time.Hour
	// maxGuess caps the pause that is guessed where Graph names none.
	maxGuess = time.Minute
)

// Limiter hands out slots, each for one request. The zero value is not usable.
type Limiter struct {
	rdb     redis.UniversalClient
	ceiling float64 // 0: none
	most    int

	mu    sync.Mutex
	lines map[string]*line
}

// New returns a limiter whose fleet sends at most rate requests a second and
// scope; with 0, at most what Graph is found to allow. In this process at most
// so many callers of a scope wait for slots at a time.
func New(rdb redis.UniversalClient, rate float64, most int) *Limiter {
	return &Limiter{rdb: rdb, ceiling: rate, most: most, lines: map[string]*line{}}
}

// PausedError says that a scope is paused for longer than the caller would wait.
type PausedError struct {
	Left time.Duration
}

func (e *PausedError) Error() string {
	return fmt.Sprintf("Graph asked to wait: %s left", e.Left.Round(time.Millisecond))
}

// CrowdedError says that more callers than the scope's rate can serve soon wait
// in this process already.
type CrowdedError struct {
	After time.Duration // when it may be worth asking again
}

func (e *CrowdedError) Error() string {
	return fmt.Sprintf("the rate is used up: to be tried again in %s", e.After.Round(time.Millisecond))
}

// Begin waits for a slot for work that has not begun, and returns it shortly
// before its time, so that the request can be prepared. It returns a
// *PausedError at once if a pause has more than longest left, and a
// *CrowdedError if too many wait already.
func (l *Limiter) Begin(ctx context.Context, scope string, longest time.Duration) (*Slot, error) {
	return l.line(scope).take(ctx, back, longest)
}

// Next waits for a slot for work that has begun, which goes before what has not.
// It waits for no pause; its errors are those of [Limiter.Begin].
func (l *Limiter) Next(ctx context.Context, scope string) (*Slot, error) {
	return l.line(scope).take(ctx, front, 0)
}

// Free tells whether one more caller would get a slot within a moment, and so is
// in nobody's way.
func (l *Limiter) Free(scope string) bool {
	n := l.line(scope)
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.callers() <= int(brief[back]*n.rate) && !time.Now().Before(n.until)
}

// Waiting is how many wait for a slot in this process.
func (l *Limiter) Waiting(scope string) int {
	n := l.line(scope)
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.callers()
}

func (l *Limiter) line(scope string) *line {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.lines[scope]
	if n == nil {
		n = newLine(&store{rdb: l.rdb, key: []string{key(scope)}}, l.ceiling, l.most)
		l.lines[scope] = n
	}
	return n
}

// Refused stops the scope in every worker, because Graph refused a request that
// was sent some time ago. known tells whether Graph named the time to wait;
// without it, or with a time of 0, the pause is 1 s, and doubles each time that
// Graph refuses again soon. A longer pause that already runs stays. The first
// refusal of a request sent after the last pause also cuts the rate. It returns
// how long the scope is now paused, and whether this was such a first one. With
// an error Redis did not take it: until it does, or ctx ends, it is told again, and
// only this process waits.
func (l *Limiter) Refused(ctx context.Context, scope string, ago, wait time.Duration, known bool) (left time.Duration, first bool, err error) {
	if wait = min(wait, MaxPause); !known || wait <= 0 {
		wait = -1
	}
	return l.line(scope).refused(ctx, max(ago, 0), wait)
}

// Answered says how long an answer took that was no refusal: where answers come
// soon, the limit is looked for faster.
func (l *Limiter) Answered(scope string, took time.Duration) { l.line(scope).answered(took) }

// Rate is the scope's present rate in requests a second, as far as this process
// knows; 0 before its first request.
func (l *Limiter) Rate(scope string) float64 {
	n := l.line(scope)
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.rate
}

// Stats are what a limiter has seen in this process.
type Stats struct {
	Rate   float64       // the slowest scope's present rate in requests a second; 0 before the first request
	Slots  uint64        // slots that were used
	Waited time.Duration // what their callers waited for them, in all
	Pauses uint64        // pauses that this process began
	Paused bool          // whether a scope is paused, as far as this process knows
}

// Stats adds up all scopes.
func (l *Limiter) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all Stats
	for _, n := range l.lines {
		n.mu.Lock()
		if n.rate > 0 && (all.Rate == 0 || n.rate < all.Rate) {
			all.Rate = n.rate
		}
		all.Paused = all.Paused || time.Now().Before(n.until)
		all.Slots += n.stats.Slots
		all.Waited += n.stats.Waited
		all.Pauses += n.stats.Pauses
		n.mu.Unlock()
	}
	return all
}
