package enqueue

import (
	"cmp"
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"rollcall/cmd/internal/cli"
	"rollcall/internal/tasks"
)

// runLocal runs Redis, a worker and the batch in this process.
func (s *settings) runLocal(ctx context.Context, c *cli.Command, r tasks.Request) (err error) {
	e, err := embedRedis()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.close()) }()
	cfg, done, err := s.graphConfig(ctx, c, e.rdb, r)
	if err != nil {
		return err
	}
	defer done()
	if err := s.guard(ctx, c, r, func(p *tasks.Plan) error { return s.lookWith(ctx, c, cfg, p) }); err != nil {
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
	err = s.enqueue(gctx, c, tasks.NewQueue(e.rdb), r, true)
	stop()
	return cmp.Or(g.Wait(), err)
}
