package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/redistest"
	"rollcall/internal/testutil"
)

// hook changes how commands reach Redis, or its answers this process.
type hook struct {
	before func(ctx context.Context, cmd redis.Cmder) error
	after  func(cmd redis.Cmder)
}

func (h hook) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (h hook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if h.before != nil {
			if err := h.before(ctx, cmd); err != nil {
				cmd.SetErr(err)
				return err
			}
		}
		err := next(ctx, cmd)
		if h.after != nil {
			h.after(cmd)
		}
		return err
	}
}

func (h hook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func isScript(cmd redis.Cmder, s *redis.Script) bool {
	return len(cmd.Args()) > 1 && fmt.Sprint(cmd.Args()[1]) == s.Hash()
}

// farAway puts Redis, which knows the scripts, at a distance.
func farAway(t *testing.T, rdb *redis.Client, away time.Duration) {
	t.Helper()

	s := &store{rdb: rdb, key: []string{key("other")}}
	_, err1 := s.lease(t.Context(), 1, 0, 0)
	_, err2 := s.paused(t.Context())
	_, _, err3 := s.refused(t.Context(), 0, time.Second, 0)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	rdb.AddHook(hook{after: func(redis.Cmder) { testutil.Advance(t, away) }})
}

// TestLateAnswer: Redis has executed a lease, and its answer is late (a slow fsync, a
// lost packet, a stall of the worker's machine). The slots must not move with it.
func TestLateAnswer(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb *redis.Client) {
		const rate = 200
		begin := time.Now()
		rdb.AddHook(hook{after: func(redis.Cmder) {
			testutil.Advance(t, time.Millisecond)
			// Of 1.2 s the last 0.3 s are a stall, three times.
			if at := time.Since(begin); at < 3600*time.Millisecond {
				if into := at % (1200 * time.Millisecond); into > 900*time.Millisecond {
					testutil.Advance(t, 1200*time.Millisecond-into)
				}
			}
		}})
		at := rush(t, 4*rate, New(rdb, rate, 32), New(rdb, rate, 32), New(rdb, rate, 32))
		// A slot is used while it lives, at the latest.
		if n := most(at); n > rate+int(rate*life.Seconds()) {
			t.Errorf("%d requests in one second at a rate of %d", n, rate)
		}
	})
}

// TestFarRedis: Redis is far away, and nearly all of the rate is used all the same.
func TestFarRedis(t *testing.T) {
	for _, ms := range []time.Duration{15, 25, 35, 60} {
		away := ms * time.Millisecond
		t.Run(away.String(), func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, rdb *redis.Client) {
				const rate = 100
				farAway(t, rdb, away)
				begin := time.Now()
				at := rush(t, 6*rate, New(rdb, rate, 32), New(rdb, rate, 32))
				if took := at[len(at)-1].Sub(begin); took > 7*time.Second {
					t.Errorf("six seconds' worth of slots took %s", took)
				}
				// A slot is used while it lives, and while Redis is asked for a pause.
				if n, late := most(at), life+2*away; n > rate+int(rate*late.Seconds()) {
					t.Errorf("%d requests in one second at a rate of %d", n, rate)
				}
			})
		})
	}
}

// TestSlotsOverPause: a dozen slow workers hold no slots far ahead, which a pause would not
// take from them.
func TestSlotsOverPause(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb *redis.Client) {
		const rate = 2
		var ls []*Limiter
		for range 12 {
			ls = append(ls, New(rdb, rate, 32))
		}
		go func() {
			testutil.Advance(t, 1500*time.Millisecond)
			refuse(t, New(rdb, 0, 32), 1200*time.Millisecond)
		}()
		at := rush(t, 16, ls...)
		if n := most(at); n > rate {
			t.Errorf("%d requests in one second at a rate of %d", n, rate)
		}
	})
}

// TestClockBack: Redis' clock went back by an hour, or a replica's is behind.
func TestClockBack(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb *redis.Client) {
		l := New(rdb, 100, 32)
		if err := use(t.Context(), l, 0); err != nil {
			t.Fatal(err)
		}
		// As Redis sees its own times then.
		rdb.HIncrBy(t.Context(), key("s"), "next", 3600e6)
		begin := time.Now()
		if err := use(t.Context(), l, 0); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took > 11*time.Millisecond {
			t.Errorf("at 100/s the next slot is %s away", took)
		}
	})
}

// TestClockBackDuringPause: so it did, and a pause that was over seems to come.
func TestClockBackDuringPause(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb *redis.Client) {
		l := New(rdb, 100, 32)
		refuse(t, l, 10*time.Millisecond)
		testutil.Advance(t, 100*time.Millisecond)
		for _, f := range []string{"since", "until", "next", "start"} {
			rdb.HIncrBy(t.Context(), key("s"), f, 3600e6)
		}
		if err := use(t.Context(), New(rdb, 100, 32), 0); err != nil {
			t.Errorf("a pause that was over is back: %v", err)
		}
	})
}

// TestRefusalUnheard: Graph asks for an hour, and Redis cannot be told, but answers otherwise.
// This process waits, and takes no slots from the others.
func TestRefusalUnheard(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb *redis.Client) {
		rdb.AddHook(hook{before: func(_ context.Context, cmd redis.Cmder) error {
			if isScript(cmd, refuseScript) {
				return errors.New("connection lost")
			}
			return nil
		}})
		l := New(rdb, 4, 32)
		if err := use(t.Context(), l, 0); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 2)
		for range 2 {
			go func() { done <- use(t.Context(), l, 2*time.Second) }()
		}
		synctest.Wait()
		if _, _, err := l.Refused(t.Context(), "s", 0, time.Hour, true); err == nil {
			t.Fatal("told")
		}
		next := func() string { return rdb.HGet(t.Context(), key("s"), "next").Val() }
		before := next()

		// The callers, who would wait for 2 s, do not wait for an hour.
		testutil.Advance(t, time.Second)
		for range 2 {
			select {
			case err := <-done:
				if _, ok := errors.AsType[*PausedError](err); !ok {
					t.Error(err)
				}
			default:
				t.Error("a caller waits")
			}
		}
		if after := next(); after != before {
			t.Errorf("the next slot for other workers moved from %s to %s", before, after)
		}
	})
}

// TestFirstSlot: the first slot after a pause is used by the process that knows of it,
// however far Redis is.
func TestFirstSlot(t *testing.T) {
	for _, ms := range []time.Duration{0, 1, 20} {
		away := ms * time.Millisecond
		t.Run(away.String(), func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, rdb *redis.Client) {
				farAway(t, rdb, away)
				l := New(rdb, 0.5, 32)
				left, _, err := l.Refused(t.Context(), "s", 0, 300*time.Millisecond, true)
				if err != nil {
					t.Fatal(err)
				}
				heard := time.Now()
				if err := use(t.Context(), l, time.Second); err != nil {
					t.Errorf("the first slot was lost: %v", err)
				}
				if took := time.Since(heard); took < left-away || took > left+2*away {
					t.Errorf("with %s of the pause left a caller waited for %s", left, took)
				}
			})
		})
	}
}

// TestRefusedWhileSleeping: this process is refused between the question for a
// pause and the slot's time, and does not use the slot.
func TestRefusedWhileSleeping(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb *redis.Client) {
		l := New(rdb, 4, 32)
		asked := make(chan struct{}, 1)
		rdb.AddHook(hook{after: func(cmd redis.Cmder) {
			if isScript(cmd, pausedScript) {
				asked <- struct{}{}
			}
		}})
		if err := use(t.Context(), l, 0); err != nil {
			t.Fatal(err)
		}
		select {
		case <-asked:
		default: // the lease said that there is no pause
		}
		s, err := l.Next(t.Context(), "s")
		if err != nil {
			t.Fatal(err)
		}
		n := l.line("s")
		n.mu.Lock()
		n.rtt, n.clear = time.Second, time.Time{}
		n.mu.Unlock()
		s.at = time.Now().Add(500 * time.Millisecond)
		done := make(chan error, 1)
		go func() { done <- s.Wait(t.Context()) }()
		<-asked
		refuse(t, l, time.Minute)
		if _, ok := errors.AsType[*PausedError](<-done); !ok {
			t.Error("the slot was used in a pause")
		}
	})
}

// TestStaleRate: a worker that was idle takes no slot by a rate of long ago.
func TestStaleRate(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb *redis.Client) {
		// As after the refusal of a run that was over at once.
		rdb.HSet(t.Context(), key("s"), "climb", `{"climb":{"low":0.2,"high":100,"seconds":4}}`, "version", 1)
		idle, busy := newStore(rdb), newStore(rdb)
		if _, err := idle.lease(t.Context(), 1, 0, 0); err != nil { // 5 s
			t.Fatal(err)
		}
		rdb.HSet(t.Context(), key("s"), "next", time.Now().UnixMicro())
		for range 3 {
			if _, err := busy.lease(t.Context(), 1, 0, 0); err != nil {
				t.Fatal(err)
			}
		}
		rdb.HSet(t.Context(), key("s"), "busy", "4", "next", time.Now().UnixMicro())
		if _, err := busy.lease(t.Context(), 1, 0, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := busy.lease(t.Context(), 1, 0, 0); err != nil {
			t.Fatal(err)
		}
		next, _ := rdb.HGet(t.Context(), key("s"), "next").Int64()
		if _, err := idle.lease(t.Context(), 1, 0, 0); err != nil {
			t.Fatal(err)
		}
		after, _ := rdb.HGet(t.Context(), key("s"), "next").Int64()
		if d := time.Duration(after-next) * time.Microsecond; d > 100*time.Millisecond {
			t.Errorf("at 100/s a worker took a slot of %s", d)
		}
	})
}

// TestVersionAgain: Redis is flushed, and what an idle worker has in mind counts no more.
func TestVersionAgain(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb *redis.Client) {
		idle := New(rdb, 0, 32)
		rush(t, 100, idle)
		refuse(t, idle, 10*time.Millisecond)
		_ = use(t.Context(), idle, time.Second)
		rdb.Del(t.Context(), key("s"))
		other := New(rdb, 0, 32)
		_ = use(t.Context(), other, time.Second)
		refuse(t, other, 10*time.Millisecond)
		rdb.HSet(t.Context(), key("s"), "climb", `{"climb":{"low":5,"high":5,"seconds":60}}`)
		testutil.Advance(t, 50*time.Millisecond)
		if err := use(t.Context(), idle, time.Second); err != nil {
			t.Fatal(err)
		}
		if r := idle.Stats().Rate; r > 6 {
			t.Errorf("it sends %.0f/s, 5/s is known", r)
		}
	})
}

// TestLowCeiling: a ceiling below the slowest rate is one.
func TestLowCeiling(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb *redis.Client) {
		l := New(rdb, 0.01, 32)
		if err := use(t.Context(), l, 0); err != nil {
			t.Fatal(err)
		}
		if r := l.Rate("s"); r != 0.01 {
			t.Errorf("%v/s with a ceiling of 0.01/s", r)
		}
		begin := time.Now()
		if err := use(t.Context(), l, 0); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took < 100*time.Second || took > 101*time.Second {
			t.Errorf("the next slot was %s away", took)
		}
	})
}

// TestForeignData: what another version wrote stops nobody.
func TestForeignData(t *testing.T) {
	for name, f := range map[string][]any{
		"busy":    {"busy", "v2:1.5"},
		"weights": {"climb", `{"climb":{"low":50,"high":60,"seconds":9},"last":{"Climb":{"low":50,"high":60,"seconds":9},"From":0,"To":5,"Rest":1},"weights":[1000,0,0,0,0]}`, "version", "3"},
		"version": {"version", "v2"},
		"half":    {"climb", `{"climb":{"low":-3,"high":"x"}}`, "version", "3"},
	} {
		t.Run(name, func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, rdb *redis.Client) {
				rdb.HSet(t.Context(), key("s"), f...)
				l := New(rdb, 0, 32)
				if err := use(t.Context(), l, 0); err != nil {
					t.Fatal(err)
				}
				rush(t, 20, l)
				if _, _, err := l.Refused(t.Context(), "s", 0, time.Second, true); err != nil {
					t.Fatal(err)
				}
				if c := known(t, rdb).Climb; !(c.Low > 0 && c.High >= c.Low) {
					t.Errorf("%+v", c)
				}
			})
		})
	}
}

// TestFastCeiling: steps are whole microseconds, and a ceiling is one all the same.
func TestFastCeiling(t *testing.T) {
	for _, rate := range []float64{10000, 40000, 60000, 95000} {
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, rdb *redis.Client) {
				s := newStore(rdb)
				if _, err := s.lease(t.Context(), 1, rate, 0); err != nil {
					t.Fatal(err)
				}
				a, _ := rdb.HGet(t.Context(), key("s"), "next").Int64()
				got, err := s.lease(t.Context(), 500, rate, 0)
				if err != nil {
					t.Fatal(err)
				}
				b, _ := rdb.HGet(t.Context(), key("s"), "next").Int64()
				if achieved := float64(got.count) / float64(b-a) * 1e6; got.count != 500 || achieved > rate {
					t.Errorf("%d slots, %.0f/s at a ceiling of %.0f/s", got.count, achieved, rate)
				}
			})
		})
	}
}

// TestRefusedWithoutRedis: Graph refuses while Redis is away. When it is back the
// others know of the pause, as long as it lasts.
func TestRefusedWithoutRedis(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb *redis.Client) {
		var away atomic.Bool
		rdb.AddHook(hook{before: func(context.Context, redis.Cmder) error {
			if away.Load() {
				return errors.New("connection refused")
			}
			return nil
		}})
		hears, other := New(rdb, 0, 32), New(rdb, 0, 32)
		for _, l := range []*Limiter{hears, other} {
			if err := use(t.Context(), l, 0); err != nil {
				t.Fatal(err)
			}
		}
		away.Store(true)
		const wait = 10 * time.Second
		over := time.Now().Add(wait)
		if _, _, err := hears.Refused(t.Context(), "s", 0, wait, true); err == nil {
			t.Fatal("Redis was told: the test tests nothing")
		}

		testutil.Advance(t, 3*time.Second)
		away.Store(false)
		testutil.Advance(t, tellEvery)
		synctest.Wait()
		var paused *PausedError
		err := use(t.Context(), other, 0)
		if least := time.Until(over); !errors.As(err, &paused) || paused.Left < least || paused.Left > least+jitter {
			t.Errorf("another process: %v, of the pause are left %s", err, least)
		}
	})
}

// TestAwayDuringWait: Redis goes away while a caller waits for its slot, and so nobody
// can say whether there is a pause.
func TestAwayDuringWait(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb *redis.Client) {
		var away atomic.Bool
		lost := errors.New("connection lost")
		rdb.AddHook(hook{before: func(context.Context, redis.Cmder) error {
			if away.Load() {
				return lost
			}
			return nil
		}})
		l := New(rdb, 2, 32)
		if err := use(t.Context(), l, 0); err != nil {
			t.Fatal(err)
		}
		s, err := l.Next(t.Context(), "s")
		if err != nil {
			t.Fatal(err)
		}
		away.Store(true)
		if err := s.Wait(t.Context()); !errors.Is(err, lost) {
			t.Errorf("wait: %v", err)
		}
		if used := l.Stats().Slots; used != 1 {
			t.Errorf("%d slots were used", used)
		}
	})
}

// TestToldOnce: a pause that a far Redis did not take at first is told once more,
// and is not made longer by that.
func TestToldOnce(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb *redis.Client) {
		var asked atomic.Int64
		const away = 80 * time.Millisecond
		farAway(t, rdb, away)
		rdb.AddHook(hook{before: func(_ context.Context, cmd redis.Cmder) error {
			if isScript(cmd, refuseScript) && asked.Add(1) == 1 {
				return errors.New("away")
			}
			return nil
		}})
		l := New(rdb, 100, 32)
		if err := use(t.Context(), l, 0); err != nil {
			t.Fatal(err)
		}
		if _, _, err := l.Refused(t.Context(), "s", 0, time.Second, true); err == nil {
			t.Fatal("Redis took it: the test tests nothing")
		}

		testutil.Advance(t, time.Second+jitter+away)
		if left, err := newStore(rdb).paused(t.Context()); left != 0 || err != nil {
			t.Errorf("%s of the pause are left: %v", left, err)
		}
		if n := asked.Load(); n != 2 {
			t.Errorf("Redis was told %d times", n)
		}
	})
}
