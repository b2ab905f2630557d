package ratelimit

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

//go:embed scripts/note.lua
var noteLua string

var noteScript = redis.NewScript(noteLua)

const (
	// HistorySpan is the time that one Sample is about.
	HistorySpan = 5 * time.Second
	// historySpans is how many are kept: an hour.
	historySpans = 720

	keyScopes = "rollcall:scopes" // sorted set: scope by when it was last noted, in ms
)

func historyKey(scope string) string { return "rollcall:{s:" + scope + "}:history" }

// noted is what a line has told of itself.
type noted struct {
	slots, pauses uint64
}

// Note adds what this process did since the last Note to the history of each scope
// that it works in. It is to be called every few seconds, by one at a time.
func (l *Limiter) Note(ctx context.Context) error {
	l.mu.Lock()
	scopes := make(map[string]*line, len(l.lines))
	for scope, n := range l.lines {
		scopes[scope] = n
	}
	l.mu.Unlock()
	var failed error
	for scope, n := range scopes {
		n.mu.Lock()
		was, is := n.told, noted{n.stats.Slots, n.stats.Pauses}
		rate, busy := n.rate, n.callers() > 0 || time.Now().Before(n.until)
		n.mu.Unlock()
		if is == was && !busy || rate == 0 {
			continue
		}
		ms, err := noteScript.Run(ctx, l.rdb, []string{historyKey(scope), key(scope)},
			is.slots-was.slots, is.pauses-was.pauses, strconv.FormatFloat(rate, 'g', 6, 64), l.ceiling,
			HistorySpan.Microseconds(), historySpans).Int64()
		if err == nil {
			n.told = is
			_, err = l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
				p.ZAdd(ctx, keyScopes, redis.Z{Score: float64(ms), Member: scope})
				p.ZRemRangeByScore(ctx, keyScopes, "-inf", strconv.FormatInt(ms-(HistorySpan*historySpans).Milliseconds(), 10))
				p.PExpire(ctx, keyScopes, HistorySpan*historySpans)
				return nil
			})
		}
		if err != nil {
			failed = fmt.Errorf("ratelimit: %w", err)
		}
	}
	return failed
}

// Sample is what a scope's fleet did in a HistorySpan.
type Sample struct {
	At     time.Time // when it began, on Redis' clock
	Sent   int64     // requests
	Pauses int64     // that began in it
	Rate   float64   // requests a second that were allowed at its end
	Paused bool      // whether any of it was seen to be part of a pause
}

// History reads a scope's samples of the last hour, oldest first. Spans in which
// nothing was done have none.
func History(ctx context.Context, rdb redis.UniversalClient, scope string) ([]Sample, error) {
	all, err := rdb.HGetAll(ctx, historyKey(scope)).Result()
	if err != nil {
		return nil, fmt.Errorf("ratelimit: %w", err)
	}
	var samples []Sample
	for _, text := range all {
		var span int64
		var paused int
		var s Sample
		if n, err := fmt.Sscanf(text, "%d %d %d %g %d", &span, &s.Sent, &s.Pauses, &s.Rate, &paused); n < 5 || err != nil {
			continue // not a span
		}
		s.At, s.Paused = time.UnixMicro(span*HistorySpan.Microseconds()), paused == 1
		samples = append(samples, s)
	}
	slices.SortFunc(samples, func(a, b Sample) int { return a.At.Compare(b.At) })
	// Of a ring that was left alone for a while some are from an hour before.
	if len(samples) > 0 {
		oldest := samples[len(samples)-1].At.Add(-HistorySpan * historySpans)
		samples = slices.DeleteFunc(samples, func(s Sample) bool { return !s.At.After(oldest) })
	}
	return samples, nil
}
