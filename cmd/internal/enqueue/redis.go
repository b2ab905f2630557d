package enqueue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"rollcall/cmd/internal/cli"
	"rollcall/cmd/internal/setup"
	"rollcall/internal/ledger"
	"rollcall/internal/ratelimit"
	"rollcall/internal/redisconn"
	"rollcall/internal/tasks"
)

// embedded is a Redis in this process.
type embedded struct {
	rdb  *redis.Client
	mini *miniredis.Miniredis
}

func embedRedis() (*embedded, error) {
	mini := miniredis.NewMiniRedis()
	mini.ClockTTL(true) // keys expire by the clock, as in the real one
	if err := mini.Start(); err != nil {
		return nil, fmt.Errorf("start the embedded Redis: %w", err)
	}
	return &embedded{rdb: redis.NewClient(&redis.Options{Addr: mini.Addr()}), mini: mini}, nil
}

func (e *embedded) close() error {
	err := e.rdb.Close()
	e.mini.Close()
	return err
}

// graphConfig is the configuration of whoever asks Graph from this process: the
// simulated one with --simulate. done ends that.
func (s *settings) graphConfig(ctx context.Context, c *cli.Command, rdb redis.UniversalClient, r tasks.Request) (cfg tasks.WorkerConfig, done func(), err error) {
	log := s.worker.Logger(c)
	if !*s.simulate {
		if cfg, err = s.worker.Config(ctx, c, rdb, *s.tenantID, log); err != nil && !*s.local {
			err = fmt.Errorf("the rosters cannot be read, as --live and a share as --max-deletes want: %w", err)
		}
		return cfg, func() {}, err
	}
	sim, err := setup.StartSimulator(ctx, r.Input, r.Options)
	if err != nil {
		return cfg, nil, err
	}
	// Its last requests have been answered when it is closed.
	return s.worker.Simulated(rdb, sim, log), func() { _ = sim.Close() }, nil
}

// look reads the rosters of the plan's calls, by the limit of the fleet where rdb
// is its Redis and takes writes; nil is no Redis.
func (s *settings) look(ctx context.Context, c *cli.Command, rdb redis.UniversalClient, p *tasks.Plan, r tasks.Request) (err error) {
	if rdb == nil || !takesWrites(ctx, rdb) {
		e, err := embedRedis()
		if err != nil {
			return err
		}
		defer func() { _ = e.close() }() // nobody needs what was in it
		rdb = e.rdb
	}
	cfg, done, err := s.graphConfig(ctx, c, rdb, r)
	if err != nil {
		return err
	}
	defer done()
	return s.lookWith(ctx, c, cfg, p)
}

// takesWrites tells whether slots can be had from Redis: not from a replica, say.
func takesWrites(ctx context.Context, rdb redis.UniversalClient) bool {
	ctx, cancel := context.WithTimeout(ctx, aroundTime)
	defer cancel()
	return tasks.NewQueue(rdb).Ledger.Alive(ctx) == nil
}

// lookWith is look with a configuration that is there.
func (s *settings) lookWith(ctx context.Context, c *cli.Command, cfg tasks.WorkerConfig, p *tasks.Plan) error {
	next := time.Now().Add(lookEvery)
	return p.Look(ctx, cfg, tasks.LookOptions{
		DeletesOnly: !*s.live,
		Progress: func(done, all int) {
			if now := time.Now(); now.After(next) && done < all {
				next = now.Add(lookEvery)
				c.Printf("%d of %d rosters read\n", done, all)
			}
		},
	})
}

// lookEvery is the time between two lines about how far a look is.
const lookEvery = 5 * time.Second

// around is what Redis tells a plan, if there is one that answers.
type around struct {
	rdb   redis.UniversalClient // nil without it
	batch *ledger.Status        // the batch, if it is there already
	fleet []ratelimit.State
}

// aroundTime is how long a plan waits for Redis, in all.
const aroundTime = 2 * time.Second

// lookAround asks Redis about the batch and the fleet. A plan needs neither: that
// Redis does not answer is worth a notice only where somebody has named it.
func (s *settings) lookAround(ctx context.Context, c *cli.Command, r tasks.Request) (a around) {
	if *s.local {
		return a
	}
	ctx, cancel := context.WithTimeout(ctx, aroundTime)
	defer cancel()
	err := a.ask(ctx, *s.redis, r)
	if err == nil {
		return a
	}
	a.close()
	if s.fs.Changed("redis") && !errors.Is(ctx.Err(), context.Canceled) {
		if ctx.Err() != nil {
			err = fmt.Errorf("no answer within %s", aroundTime)
		}
		what, _, _ := strings.Cut(err.Error(), "\n")
		c.Printf("notice: planned without Redis, which knows the workers' limit and whether the batch is there: %s\n", what)
	}
	return around{}
}

func (a *around) ask(ctx context.Context, url string, r tasks.Request) error {
	rdb, err := redisconn.Try(ctx, url)
	if err != nil {
		return err
	}
	a.rdb = rdb
	if !r.Again { // its id is new each time
		st, err := tasks.NewQueue(rdb).Ledger.Status(ctx, r.BatchID())
		if err != nil && !errors.Is(err, ledger.ErrNoBatch) {
			return err
		}
		if err == nil {
			a.batch = &st
		}
	}
	a.fleet, err = ratelimit.States(ctx, rdb)
	return err
}

func (a *around) close() {
	if a.rdb != nil {
		_ = a.rdb.Close() // it was only asked
	}
}

// guardWith refuses a request that would remove more than --max-deletes, unless its
// batch is in Redis already: then nothing would be enqueued.
func (s *settings) guardWith(ctx context.Context, c *cli.Command, rdb redis.UniversalClient, r tasks.Request) error {
	if !s.guarded() {
		return nil
	}
	if !r.Again {
		st, err := tasks.NewQueue(rdb).Ledger.Status(ctx, r.BatchID())
		switch {
		case errors.Is(err, ledger.ErrNoBatch):
		case err != nil:
			return err
		case st.Sealed:
			return nil
		}
	}
	return s.guard(ctx, c, r, func(p *tasks.Plan) error { return s.look(ctx, c, rdb, p, r) })
}
