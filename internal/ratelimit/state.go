package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// State is how a scope's fleet stands.
type State struct {
	Scope   string        // application/tenant
	Rate    float64       // requests a second that the fleet sends at most at present
	Limit   float64       // requests a second that Graph was found to take; 0 if it is not known
	Ceiling float64       // requests a second that the workers were told not to exceed; 0 if none
	Pause   time.Duration // for how long Graph's wait goes on
	Seen    time.Time     // when a worker last noted anything, on Redis' clock
	Age     time.Duration // since then
}

// States reads the scopes that were worked in during the last hour, the latest first.
func States(ctx context.Context, rdb redis.UniversalClient) ([]State, error) {
	now, err := rdb.Time(ctx).Result()
	if err != nil {
		return nil, fmt.Errorf("ratelimit: %w", err)
	}
	oldest := strconv.FormatInt(now.Add(-HistorySpan*historySpans).UnixMilli(), 10)
	scopes, err := rdb.ZRevRangeByScoreWithScores(ctx, keyScopes, &redis.ZRangeBy{Min: oldest, Max: "+inf", Count: mostScopes}).Result()
	if err != nil {
		return nil, fmt.Errorf("ratelimit: %w", err)
	}
	told, limits := make([]*redis.SliceCmd, len(scopes)), make([]*redis.SliceCmd, len(scopes))
	_, err = rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, s := range scopes {
			scope, _ := s.Member.(string)
			told[i] = p.HMGet(ctx, historyKey(scope), "rate", "ceiling")
			limits[i] = p.HMGet(ctx, key(scope), "since", "until", "climb")
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("ratelimit: %w", err)
	}
	states := make([]State, len(scopes))
	for i, s := range scopes {
		scope, _ := s.Member.(string)
		f, l := fields{all: told[i].Val()}, fields{all: limits[i].Val()}
		st := State{Scope: scope, Rate: f.orZero(0), Ceiling: f.orZero(1), Seen: time.UnixMilli(int64(s.Score))}
		st.Age = max(now.Sub(st.Seen), 0)
		// A rate that has left the limit behind shows that it is another by now.
		if st.Limit = parse(l.text(2), st.Ceiling).Climb.High; st.Rate > risen*st.Limit {
			st.Limit = 0
		}
		if us := float64(now.UnixMicro()); l.orZero(0) <= us+1e6 {
			st.Pause = time.Duration(max(l.orZero(1)-us, 0)) * time.Microsecond
		}
		states[i] = st
	}
	return states, nil
}

// risen is from how many times the limit on it is held for gone.
const risen = 1.5

// mostScopes is how many scopes are told of.
const mostScopes = 100

// orZero reads a number that may not be there.
func (f *fields) orZero(i int) float64 {
	x, err := strconv.ParseFloat(f.text(i), 64)
	if err != nil {
		return 0
	}
	return x
}
