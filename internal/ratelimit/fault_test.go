package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
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

// TestLateAnswer: Redis has executed a lease, and its answer is late (a slow fsync, a
// lost packet, a stall of the worker's machine). The slots must not move with it.
func TestLateAnswer(t *testing.T) {
	const rate = 200
	srv := redistest.StartServer(t)
	rdb := srv.Client(t)
	var until atomic.Int64
	rdb.AddHook(hook{after: func(redis.Cmder) {
		if d := time.Until(time.UnixMicro(until.Load())); d > 0 {
			time.Sleep(d)
		}
	}})
	go func() {
		for range 3 {
			time.Sleep(900 * time.Millisecond)
			until.Store(time.Now().Add(300 * time.Millisecond).UnixMicro())
		}
	}()
	at := rush(t, 800, New(rdb, rate, 32), New(rdb, rate, 32), New(rdb, rate, 32))
	if n := most(at); n > rate*110/100 { // without a fault it is below 105 %; callers wake late on a busy machine
		t.Errorf("%d requests in one second at a rate of %d", n, rate)
	}
}

// TestFarRedis: Redis is far away, and all of the rate is used all the same.
func TestFarRedis(t *testing.T) {
	for _, away := range []time.Duration{15, 25, 35, 60} {
		t.Run((away * time.Millisecond).String(), func(t *testing.T) {
			t.Parallel()
			rdb := redistest.Mini(t)
			rdb.AddHook(hook{after: func(redis.Cmder) { time.Sleep(away * time.Millisecond) }})
			l := New(rdb, 100, 32)
			ctx, stop := context.WithTimeout(t.Context(), 6*time.Second)
			defer stop()
			var all sync.WaitGroup
			for range 30 {
				all.Go(func() {
					for ctx.Err() == nil {
						_ = use(ctx, l, 5*time.Second)
					}
				})
			}
			all.Wait()
			sent := l.Stats().Slots
			if sent < 400 {
				t.Errorf("%d requests in 6 s at a rate of 100, with saturated callers", sent)
			}
		})
	}
}

// TestSlotsOverPause: a dozen slow workers hold no slots far ahead, which a pause would not
// take from them.
func TestSlotsOverPause(t *testing.T) {
	rdb := redistest.Any(t)
	const rate = 2
	var ls []*Limiter
	for range 12 {
		ls = append(ls, New(rdb, rate, 32))
	}
	go func() {
		time.Sleep(1500 * time.Millisecond)
		_, _, _ = New(rdb, 0, 32).Refused(t.Context(), "s", 0, 1200*time.Millisecond, true)
	}()
	at := rush(t, 16, ls...)
	if n := most(at); n > rate+1 {
		t.Errorf("%d requests in one second at a rate of %d", n, rate)
	}
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
		ctx, stop := context.WithTimeout(t.Context(), 3*time.Second)
		defer stop()
		if err := use(ctx, l, 0); err != nil {
			t.Errorf("a slot an hour away: %v", err)
		}
	})
}

// TestClockBackDuringPause: so it did, and a pause that was over seems to come.
func TestClockBackDuringPause(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb *redis.Client) {
		l := New(rdb, 100, 32)
		refuse(t, l, 10*time.Millisecond)
		_ = sleep(t.Context(), 100*time.Millisecond)
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
		other := redis.NewClient(rdb.Options())
		defer other.Close()
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
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		done := make(chan error, 2)
		for range 2 {
			go func() { done <- use(ctx, l, 2*time.Second) }()
		}
		_ = sleep(ctx, 20*time.Millisecond)
		if _, _, err := l.Refused(t.Context(), "s", 0, time.Hour, true); err == nil {
			t.Fatal("told")
		}
		_ = sleep(ctx, 3*time.Second)
		next, _ := other.HGet(t.Context(), key("s"), "next").Int64()
		ahead := time.Duration(next-time.Now().UnixMicro()) * time.Microsecond
		if ahead > 5*time.Second {
			t.Errorf("for other workers the next slot is %s away", ahead)
		}
		select {
		case err := <-done:
			if _, ok := errors.AsType[*PausedError](err); !ok {
				t.Error(err)
			}
		default:
			t.Error("the caller, who would wait for 2 s, waits for an hour")
		}
	})
}

// TestFirstSlot: the first slot after a pause is used by the process that knows of it.
func TestFirstSlot(t *testing.T) {
	counted := 0
	for tries := 0; counted < 5; tries++ {
		if tries == 30 {
			t.Skipf("this machine lets programs wait for too long: %d pauses of %d count", counted, tries)
		}
		rdb := redistest.Any(t)
		l := New(rdb, 0.5, 32)
		refuse(t, l, 300*time.Millisecond)
		late := lateness(t)
		err := use(t.Context(), l, time.Second)
		if late() > 20*time.Millisecond {
			continue
		}
		counted++
		if err != nil {
			t.Errorf("the first slot was lost: %v", err)
		}
	}
}

// lateness watches by how much programs wake too late on this machine.
func lateness(t *testing.T) (most func() time.Duration) {
	ctx, stop := context.WithCancel(t.Context())
	got := make(chan time.Duration, 1)
	go func() {
		const nap = time.Millisecond
		var worst time.Duration
		for ctx.Err() == nil {
			begin := time.Now()
			_ = sleep(context.WithoutCancel(ctx), nap)
			worst = max(worst, time.Since(begin)-nap)
		}
		got <- worst
	}()
	return func() time.Duration {
		stop()
		return <-got
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
		_ = sleep(t.Context(), 50*time.Millisecond)
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
	l := New(redistest.Mini(t), 0.01, 32)
	if err := use(t.Context(), l, 0); err != nil {
		t.Fatal(err)
	}
	if r := l.Stats().Rate; r > 0.0105 {
		t.Errorf("%v/s with a ceiling of 0.01/s", r)
	}
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
		rdb := redistest.Mini(t)
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
		achieved := float64(got.count) / float64(b-a) * 1e6
		if achieved > rate*1.05 {
			t.Errorf("%.0f/s at a ceiling of %.0f/s", achieved, rate)
		}
	}
}

// TestRefusedWithoutRedis: Graph refuses while Redis is away. When it is back the
// others know of the pause, as long as it lasts.
func TestRefusedWithoutRedis(t *testing.T) {
	t.Parallel()
	server := redistest.StartServer(t)
	hears, other := New(server.Client(t), 0, 32), New(server.Client(t), 0, 32)
	for _, l := range []*Limiter{hears, other} {
		if err := use(t.Context(), l, 0); err != nil {
			t.Fatal(err)
		}
	}
	server.Kill()
	const wait = 10 * time.Second
	at := time.Now()
	if _, _, err := hears.Refused(t.Context(), "s", 0, wait, true); err == nil {
		t.Fatal("Redis was told: the test tests nothing")
	}
	server.Start()
	rdb := server.Client(t)
	testutil.Eventually(t, "Redis knows of the pause", func() bool {
		until, _ := rdb.HGet(t.Context(), key("s"), "until").Int64()
		return until > at.Add(wait-time.Second).UnixMicro()
	})
	var paused *PausedError
	if err := use(t.Context(), other, 0); !errors.As(err, &paused) || paused.Left > wait-time.Since(at)+time.Second {
		t.Errorf("another process: %v, %s after the refusal", err, time.Since(at))
	}
}

// TestToldOnce: a pause that a far Redis did not take at first is told once more,
// and is not made longer by that.
func TestToldOnce(t *testing.T) {
	t.Parallel()
	rdb := redistest.Any(t)
	var asked atomic.Int64
	rdb.AddHook(hook{
		before: func(_ context.Context, cmd redis.Cmder) error {
			if isScript(cmd, refuseScript) && asked.Add(1) == 1 {
				return errors.New("away")
			}
			return nil
		},
		after: func(redis.Cmder) { time.Sleep(80 * time.Millisecond) },
	})
	l := New(rdb, 100, 32)
	if err := use(t.Context(), l, 0); err != nil {
		t.Fatal(err)
	}
	if _, _, err := l.Refused(t.Context(), "s", 0, time.Second, true); err == nil {
		t.Fatal("Redis took it: the test tests nothing")
	}
	testutil.Eventually(t, "the pause is over", func() bool {
		left, err := pausedScript.Run(t.Context(), rdb, []string{key("s")}).Int64()
		return err == nil && left == 0 && asked.Load() > 1
	})
	if n := asked.Load(); n != 2 {
		t.Errorf("Redis was told %d times", n)
	}
}
