// Package worker is the command that carries tasks out until it is told to end.
package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"rollcall/cmd/internal/cli"
	"rollcall/cmd/internal/setup"
	"rollcall/internal/console"
	"rollcall/internal/ledger"
	"rollcall/internal/redisconn"
	"rollcall/internal/tasks"
	"rollcall/internal/traces"
)

// consoleToken names the file with the console's token.
const consoleToken = "ROLLCALL_CONSOLE_TOKEN_FILE"

// drainEvery is how often --drain looks for unfinished batches.
const drainEvery = 250 * time.Millisecond

// Run runs worker.
func Run(ctx context.Context, c *cli.Command) error {
	fs := cli.NewFlagSet("worker", usage)
	redisURL := setup.RedisFlag(fs.FlagSet)
	tenant := setup.TenantFlag(fs.FlagSet)
	flags := setup.NewWorkerFlags(fs)
	httpAddr := fs.String("http", "127.0.0.1:9464", "address of the HTTP server")
	drain := fs.Bool("drain", false, "exit when no unfinished batch is left")
	health := fs.Bool("healthcheck", false, "ask a running worker whether it is ready")
	if err := fs.Parse(c); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return cli.Usagef("worker takes no arguments, only flags")
	}
	if fs.Given("healthcheck") && *health {
		return healthcheck(ctx, c, *httpAddr)
	}
	if err := flags.Check(); err != nil {
		return err
	}
	if c.Env("GOGC") == "" {
		// All it keeps is a few MB, which would be collected ten times a second.
		debug.SetGCPercent(400)
	}
	log := flags.Logger(c)
	target, err := flags.Target(c, fs, log)
	if err != nil {
		return err
	}
	rdb, err := setup.Redis(ctx, c, fs, *redisURL)
	if err != nil {
		return err
	}
	// It is left to the end of the process to close it: where Redis did not let the
	// queue end in time, that still listens, and would not survive it.
	if err := checkPolicy(ctx, rdb, log); err != nil {
		return err
	}
	cfg, err := flags.Config(ctx, c, rdb, *tenant, log)
	if err != nil {
		return err
	}
	reg := setup.Registry(rdb)
	cfg.Metrics, cfg.Replicas = reg, setup.Replicas(*redisURL)
	var stopTraces func()
	cfg.Tracer, stopTraces = traces.Start(ctx, c.Env, "rollcall-worker", cli.Version(), log)
	defer stopTraces()
	w, err := tasks.NewWorker(cfg)
	if err != nil {
		return err
	}
	l := ledger.New(rdb)
	notices, err := setup.Notifier(ctx, l, target, log)
	if err != nil {
		return err
	}
	setup.CountNotices(reg, notices)
	listener, err := listen(ctx, *httpAddr, fs.Changed("http"), log)
	if err != nil {
		return err
	}
	web, err := console.New(console.Config{Queue: tasks.NewQueue(rdb), TokenFile: c.Env(consoleToken), Log: log})
	if err != nil {
		return err
	}
	if listener != nil && c.Env(consoleToken) != "" && !isLoopback(listener.Addr()) {
		log.Warn("the console's token crosses the network in clear, unless a proxy with TLS is in front of --http or nobody else is on that network")
	}
	pages := &pages{address: *httpAddr, ready: w.Ready, metrics: reg, console: web}
	if notices == nil {
		_, err := runWorker(ctx, w, *drain, listener, pages)
		return err
	}
	return notifying(ctx, notices, log, func() (drained bool, err error) { return runWorker(ctx, w, *drain, listener, pages) })
}

// listen opens the HTTP server's address. A second worker on a machine finds
// the default one taken, which is no reason not to work: only an address that
// was asked for must be free.
func listen(ctx context.Context, addr string, asked bool, log *slog.Logger) (net.Listener, error) {
	if addr == "" {
		return nil, nil
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", addr)
	switch {
	case err == nil:
		log.Info("serving /healthz, /readyz, /metrics and the console", "address", listener.Addr().String())
		return listener, nil
	case asked:
		return nil, fmt.Errorf("cannot serve HTTP: %w\nChoose another address with --http, or none with --http ''", err)
	}
	log.Warn("no HTTP server: its default address is taken, perhaps by another worker; choose one with --http", "error", err)
	return nil, nil
}

// checkPolicy refuses a Redis that would forget tasks and outcomes.
func checkPolicy(ctx context.Context, rdb redis.UniversalClient, log *slog.Logger) error {
	err := redisconn.CheckPolicy(ctx, rdb)
	if errors.Is(err, redisconn.ErrPolicyUnknown) {
		log.Warn(err.Error())
		return nil
	}
	return err
}

// runWorker runs the worker and its HTTP server until ctx ends or, with drain,
// nothing is left to do. It tells whether it came to that.
func runWorker(ctx context.Context, w *tasks.Worker, drain bool, listener net.Listener, p *pages) (drained bool, err error) {
	inner, stop := context.WithCancel(ctx)
	defer stop()
	g, gctx := errgroup.WithContext(inner)
	g.Go(func() error { defer stop(); return w.Run(gctx) })
	if listener != nil {
		g.Go(func() error { return setup.Serve(gctx, listener, p.handler(listener.Addr()), 30*time.Second) })
	}
	if drain {
		g.Go(func() error { defer stop(); drained = waitDrained(gctx, w); return nil })
	}
	err = g.Wait()
	if err == nil && drain && !drained {
		return false, ctx.Err() // ended by a signal before it was done
	}
	return drained, err
}

// waitDrained waits until no batch has pending rows, and tells whether it came
// to that.
func waitDrained(ctx context.Context, w *tasks.Worker) bool {
	for {
		// An error is Redis being away: the worker waits for it, and says so.
		if done, err := w.Drained(ctx); err == nil && done {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(drainEvery):
		}
	}
}
