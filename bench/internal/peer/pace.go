package peer

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"
	"golang.org/x/time/rate"
)

// reads marks the class of reads.
const reads = "/reads"

// pace holds requests back.
type pace interface {
	wait(ctx context.Context, class string) error
}

// classOf is the class that something was told of: reads count as everything
// else does where they are not limited apart.
func classOf[T any](told map[string]T, class string) string {
	if _, ok := told[class]; ok {
		return class
	}
	return strings.TrimSuffix(class, reads)
}

// free is no pace.
type free struct{}

func (free) wait(context.Context, string) error { return nil }

// share is each process's equal part of the rate.
type share map[string]*rate.Limiter

func newShare(told map[string]float64, fleet int) share {
	s := share{}
	for class, r := range told {
		s[class] = rate.NewLimiter(rate.Limit(r/float64(fleet)), 1)
	}
	return s
}

func (s share) wait(ctx context.Context, class string) error {
	return s[classOf(s, class)].Wait(ctx)
}

// shared is one rate that all processes take from.
type shared struct {
	limiter *redis_rate.Limiter
	classes map[string]*line
}

// line is what one process asks for, one at a time: if each of its tasks asked
// by itself, most of what Redis did would be to say no.
type line struct {
	mu    sync.Mutex
	limit redis_rate.Limit
}

func newShared(rdb *redis.Client, told map[string]float64) *shared {
	s := &shared{redis_rate.NewLimiter(rdb), map[string]*line{}}
	for class, r := range told {
		s.classes[class] = &line{limit: redis_rate.PerSecond(int(r))}
	}
	return s
}

func (s *shared) wait(ctx context.Context, class string) error {
	class = classOf(s.classes, class)
	l := s.classes[class]
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		got, err := s.limiter.Allow(ctx, "graph:"+class, l.limit)
		if err != nil || got.Allowed > 0 {
			return err
		}
		if err := sleep(ctx, got.RetryAfter); err != nil {
			return err
		}
	}
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
