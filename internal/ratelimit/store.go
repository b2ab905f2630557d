package ratelimit

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

//go:embed scripts/lease.lua
var leaseLua string

//go:embed scripts/paused.lua
var pausedLua string

//go:embed scripts/refuse.lua
var refuseLua string

//go:embed scripts/adopt.lua
var adoptLua string

var (
	leaseScript  = redis.NewScript(leaseLua)
	pausedScript = redis.NewScript(pausedLua)
	refuseScript = redis.NewScript(refuseLua)
	adoptScript  = redis.NewScript(adoptLua)
)

const (
	// horizon is how far ahead slots are given out. What a worker that dies has
	// leased is lost to the fleet, and at most this much.
	horizon = 100 * time.Millisecond
	// jitter is by how much a pause is made longer, at most, so that several
	// fleets do not start again as one.
	jitter = 30 * time.Millisecond
	// patience is how long Redis may take to answer.
	patience = 5 * time.Second
)

func key(scope string) string { return "rollcall:{s:" + scope + "}:limit" }

// store is what Redis keeps of a scope, with a copy of what changes seldom. Only
// one goroutine at a time may lease.
type store struct {
	rdb     redis.UniversalClient
	key     []string
	version string
	search  search
	busy    float64
	rtt     time.Duration // what a lease takes at least
}

// lease is some slots in a row, or a time to wait for them.
type lease struct {
	count int
	first time.Time     // of the first slot, or when to ask again
	step  time.Duration // from slot to slot
	pause time.Duration // how long the scope is paused
}

// lease takes up to n slots at the present rate. answer is how many seconds
// Graph's answers take.
func (s *store) lease(ctx context.Context, n int, ceiling, answer float64) (lease, error) {
	for {
		rate := s.rate(ceiling)
		// Rounded up: a ceiling is one.
		step := int64(math.Ceil(1e6 / rate))
		if ceiling > 0 && rate >= ceiling {
			// Half a percent apart from exact: callers that wake a few ms late then
			// do not make one request too many of a second that begins early.
			step = int64(math.Ceil(1.005e6 / rate))
		}
		asked := time.Now()
		got, err := s.ask(ctx, n, step, s.search.Climb.hurry(answer))
		if err != nil {
			return lease{}, err
		}
		// Times are reckoned from the quickest answer of late: the slots of an
		// answer that was held up are late by as much, and not moved.
		took := time.Since(asked)
		if s.rtt == 0 || took < s.rtt {
			s.rtt = took
		}
		s.rtt += min(took-s.rtt, s.rtt) / 32
		known := got.version == s.version && got.climb == ""
		s.busy = got.busy
		if known {
			return lease{got.count, asked.Add(s.rtt + got.first), time.Duration(step) * time.Microsecond, got.pause}, nil
		}
		s.version, s.search = got.version, parse(got.climb, ceiling)
	}
}

// rate is the present rate, by what was last heard.
func (s *store) rate(ceiling float64) float64 {
	return s.search.Climb.rate(s.busy, orEndless(ceiling))
}

func orEndless(ceiling float64) float64 {
	if ceiling <= 0 {
		return math.Inf(1)
	}
	return ceiling
}

// paused asks how long the scope is paused.
func (s *store) paused(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	us, err := pausedScript.Run(ctx, s.rdb, s.key).Int64()
	if err != nil {
		return 0, fmt.Errorf("ratelimit: %w", err)
	}
	return time.Duration(us) * time.Microsecond, nil
}

type answer struct {
	count        int
	first, pause time.Duration
	version      string
	busy         float64
	climb        string
}

func (s *store) ask(ctx context.Context, n int, step int64, hurry float64) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	got, err := leaseScript.Run(ctx, s.rdb, s.key, s.version, s.busy, step, n, horizon.Microseconds(), hurry).Slice()
	f := fields{got, err}
	a := answer{
		count: int(f.int(0)), first: f.micros(1), pause: f.micros(2),
		version: f.text(3), busy: f.float(4), climb: f.text(5),
	}
	return a, f.failed()
}

// refused tells Redis of a refusal, and how the search goes on if it is the
// first of its run.
func (s *store) refused(ctx context.Context, ago, wait time.Duration, ceiling float64) (left time.Duration, first bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	us := int64(-1)
	if wait >= 0 {
		us = wait.Microseconds()
	}
	got, err := refuseScript.Run(ctx, s.rdb, s.key, ago.Microseconds(), us, maxGuess.Microseconds(), rand.N(jitter).Microseconds(), int64(atOnce*1e6)).Slice()
	f := fields{got, err}
	left, first = f.micros(0), f.int(1) == 1
	if !first || f.err != nil {
		return left, first, f.failed()
	}
	version := f.text(2)
	next := parse(f.text(3), ceiling).next(refusal{
		From: f.float(5), To: f.float(4),
		Seconds: f.micros(6).Seconds(), Sent: float64(f.int(7)), Idle: f.micros(8).Seconds(),
		Rest: f.micros(9).Seconds(), Pause: f.micros(10).Seconds(),
	}, orEndless(ceiling))
	text, err := json.Marshal(next)
	if err == nil && f.err == nil {
		err = adoptScript.Run(ctx, s.rdb, s.key, version, text).Err()
	}
	if err != nil {
		f.err = err
	}
	return left, first, f.failed()
}

// fields reads a script's answer.
type fields struct {
	all []any
	err error
}

func (f *fields) at(i int) any {
	if f.err == nil && i >= len(f.all) {
		f.err = fmt.Errorf("a script's answer has %d fields", len(f.all))
	}
	if f.err != nil {
		return nil
	}
	return f.all[i]
}

func (f *fields) int(i int) int64 {
	n, _ := f.at(i).(int64)
	return n
}

func (f *fields) micros(i int) time.Duration { return time.Duration(f.int(i)) * time.Microsecond }

func (f *fields) text(i int) string {
	s, _ := f.at(i).(string)
	return s
}

func (f *fields) float(i int) float64 {
	x, err := strconv.ParseFloat(f.text(i), 64)
	if f.err == nil && err != nil {
		f.err = err
	}
	return x
}

func (f *fields) failed() error {
	if f.err != nil {
		return fmt.Errorf("ratelimit: %w", f.err)
	}
	return nil
}
