package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"rollcall/cmd/internal/cli"
	"rollcall/cmd/internal/setup"
	"rollcall/internal/tasks"
)

// runLocal runs Redis, a worker and the batch in this process.
func (s *settings) runLocal(ctx context.Context, c *cli.Command, r tasks.Request) (err error) {
	mini := miniredis.NewMiniRedis()
	mini.ClockTTL(true) // keys expire by the clock, as in the real one
	if err := mini.Start(); err != nil {
		return fmt.Errorf("start the embedded Redis: %w", err)
	}
	defer mini.Close()
	rdb := redis.NewClient(&redis.Options{Addr: mini.Addr()})
	defer func() { err = errors.Join(err, rdb.Close()) }()

	log := s.worker.Logger(c)
	var cfg tasks.WorkerConfig
	if *s.simulate {
		sim, err := setup.StartSimulator(ctx, r.Input, r.Options)
		if err != nil {
			return err
		}
		defer func() { _ = sim.Close() }() // its last requests have been answered
		cfg = s.worker.Simulated(rdb, sim, log)
	} else if cfg, err = s.worker.Config(ctx, c, rdb, *s.tenantID, log); err != nil {
		return err
	}
	w, err := tasks.NewWorker(cfg)
	if err != nil {
		return err
	}
	c.Printf("notice: --local keeps everything in this process: progress does not survive it; if it ends early, run the file again, which is safe\n")

	wctx, stop := context.WithCancel(ctx)
	defer stop()
	g, gctx := errgroup.WithContext(wctx) // a worker that cannot run ends the wait
	g.Go(func() error { return w.Run(gctx) })
	err = s.enqueue(gctx, c, tasks.NewQueue(rdb), r, true)
	stop()
	return cmp.Or(g.Wait(), err)
}
