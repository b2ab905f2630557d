package tasks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/trace"

	"rollcall/internal/graph"
	"rollcall/internal/ratelimit"
)

// WorkerConfig configures a Worker. Redis and Graph.Tokens are required.
type WorkerConfig struct {
	Redis       redis.UniversalClient
	Graph       graph.Config // Before and After are the worker's own
	Tenant      string       // of rows that name none
	App         string       // the application the tokens are for: part of what Graph throttles as one
	Concurrency int          // tasks at once; default 32
	Rate        float64      // requests a second and scope of the whole fleet; 0: no ceiling
	MaxAttempts int          // default 8
	// AcceptOnly takes Graph's word that it rings somebody for the end of it:
	// nobody looks whether they join, unless that word was lost.
	AcceptOnly bool
	// ConfirmTimeout is how long after an invitation somebody is awaited. It
	// should be longer than Graph rings, which is 60 s. Default 75 s.
	ConfirmTimeout time.Duration
	// SnapshotLife is how long a roster that was read is good enough. Default 5 s;
	// at most 30 s.
	SnapshotLife time.Duration
	// ShutdownTimeout is how long Run waits for requests under way when it is
	// told to end. It should be longer than Graph.Timeout. Default 40 s.
	ShutdownTimeout time.Duration
	// Replicas is how many replicas of Redis must have the intent to ring somebody
	// before it is done; until they do, nobody is rung. 0: the master's word is
	// enough, and a failover that loses the last writes can have somebody rung twice.
	Replicas int
	// SweepEvery is how often lost tasks are looked for. Default 15 s.
	SweepEvery time.Duration
	Version    string                // of the program, for those who look at the fleet
	Metrics    prometheus.Registerer // default: a registry nobody reads
	Tracer     trace.Tracer          // of tasks and requests; nil: none
	Log        *slog.Logger          // default: nothing is logged
}

// Defaults of WorkerConfig.
const (
	DefaultConcurrency     = 32
	DefaultMaxAttempts     = 8
	DefaultConfirmTimeout  = 75 * time.Second
	DefaultShutdownTimeout = 40 * time.Second
	defaultSweepEvery      = 15 * time.Second
)

// handBack is how long Redis has to take tasks back when the time to end is over.
// asynq itself does not bound it.
const handBack = 2 * time.Second

// Worker carries tasks out.
type Worker struct {
	cfg     WorkerConfig
	queue   *Queue
	limiter *ratelimit.Limiter
	graph   *graph.Client
	metrics *metrics
	looks   looks
	hands   hands
	backlog *backlog
	singles nameSet // calls that take one invitee a request only: Graph takes several in group calls alone
	log     *slog.Logger

	snapshots snapshots

	// quit ends when the worker shall stop taking up work, hard when it must
	// drop what it does. They outlive any single call, as the worker does.
	quit, hard context.Context
	running    atomic.Bool
	away       trouble // Redis did not take the last thing it was given
	stuck      trouble // the last outcome could not be written
	noIntent   trouble // nor the last intent
	untold     trouble // the last pause is not known to others
	noToken    noTokens
	lost       nameSet // batches that the ledger does not know
}

// NewWorker returns a worker that does nothing until Run.
func NewWorker(cfg WorkerConfig) (*Worker, error) {
	cfg.Concurrency = orDefault(cfg.Concurrency, DefaultConcurrency)
	cfg.MaxAttempts = orDefault(cfg.MaxAttempts, DefaultMaxAttempts)
	cfg.ConfirmTimeout = orDefault(cfg.ConfirmTimeout, DefaultConfirmTimeout)
	cfg.SnapshotLife = min(orDefault(cfg.SnapshotLife, defaultSnapshotLife), maxSnapshotLife)
	cfg.ShutdownTimeout = orDefault(cfg.ShutdownTimeout, DefaultShutdownTimeout)
	cfg.SweepEvery = orDefault(cfg.SweepEvery, defaultSweepEvery)
	if cfg.Metrics == nil {
		cfg.Metrics = prometheus.NewRegistry()
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	w := &Worker{
		cfg: cfg, log: cfg.Log, limiter: ratelimit.New(cfg.Redis, cfg.Rate, cfg.Concurrency/2), looks: newLooks(cfg.ConfirmTimeout), backlog: newBacklog(),
		quit: context.Background(), hard: context.Background(),
	}
	w.hands.most = int64(cfg.Concurrency)
	w.snapshots.life, w.snapshots.read = cfg.SnapshotLife, w.readRoster
	w.queue = NewQueue(cfg.Redis)
	var err error
	if w.metrics, err = newMetrics(cfg.Metrics, w); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	cfg.Graph.Before, cfg.Graph.After = w.before, w.after
	cfg.Graph.Concurrency = cfg.Concurrency
	if w.graph, err = graph.New(cfg.Graph); err != nil {
		return nil, err
	}
	w.queue.Ledger.Replicas, w.queue.Ledger.Linger = cfg.Replicas, w.graph.Timeout()
	return w, nil
}

func orDefault[T int | time.Duration](v, d T) T {
	if v <= 0 {
		return d
	}
	return v
}

// scope is what Graph throttles as one. The case of a tenant does not matter.
func (w *Worker) scope(tenant string) string { return w.cfg.App + "/" + strings.ToLower(tenant) }

// Ready tells whether Redis answers and takes writes, outcomes too, and tasks are taken.
func (w *Worker) Ready() bool {
	return w.running.Load() && w.redisUp() && w.quit.Err() == nil
}

func (w *Worker) redisUp() bool { return !w.away.on.Load() && !w.stuck.on.Load() }

// Run takes tasks until ctx ends, then finishes or hands back what is under way.
func (w *Worker) Run(ctx context.Context) error {
	hard, drop := context.WithCancel(context.WithoutCancel(ctx))
	defer drop()
	w.quit, w.hard = ctx, hard
	w.running.Store(true)
	srv := asynq.NewServerFromRedisClient(steady{w.cfg.Redis}, asynq.Config{
		Concurrency: w.cfg.Concurrency,
		Queues:      asynqQueues(),
		// These two are the latency of an idle worker and of a row that comes back.
		TaskCheckInterval:        50 * time.Millisecond,
		DelayedTaskCheckInterval: 500 * time.Millisecond,
		// Above what one request can take: asynq hands a task back at this
		// time, whether or not it is still being worked on.
		ShutdownTimeout: w.cfg.ShutdownTimeout,
		RetryDelayFunc:  retryDelay,
		IsFailure:       func(error) bool { return false },
		Logger:          queueLog{w.log},
		LogLevel:        asynq.WarnLevel,
	})
	if err := srv.Start(w); err != nil {
		return fmt.Errorf("start taking tasks: %w", err)
	}
	var helpers sync.WaitGroup
	helpers.Go(func() { w.watchRedis(ctx) })
	helpers.Go(func() { w.sweep(ctx) })
	helpers.Go(func() { w.recoverTasks(ctx) })
	calledBack := make(chan struct{})
	go func() { defer close(calledBack); w.callBack(ctx) }()
	told, over := make(chan struct{}), make(chan struct{})
	go func() { defer close(told); w.tellFleet(ctx, over) }()
	<-ctx.Done()
	// Before Stop, which waits for an answer of Redis.
	defer time.AfterFunc(w.cfg.ShutdownTimeout, func() { drop(); w.graph.Abort() }).Stop()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		srv.Stop()
		srv.Shutdown()
	}()
	select {
	case <-ended:
	case <-time.After(w.cfg.ShutdownTimeout + handBack):
		w.log.Warn("Redis does not take back what was under way: the tasks come back as those of a dead worker do")
	}
	helpers.Wait()
	close(over)
	<-told
	select {
	case <-calledBack:
	case <-time.After(handBack): // Redis does not answer
	}
	w.graph.CloseIdleConnections()
	return nil
}

func asynqQueues() map[string]int {
	out := map[string]int{}
	for name, share := range queues {
		out[queueName(name)] = share
	}
	out[lookQueue] = lookShare
	return out
}

// retryDelay turns a handler's wish into asynq's delay. asynq cuts times to
// whole seconds, so a second is added to what must not be early.
func retryDelay(_ int, err error, _ *asynq.Task) time.Duration {
	if back, ok := errors.AsType[*comeBack](err); ok {
		return back.after + time.Second
	}
	if errors.Is(err, asynq.ErrLeaseExpired) {
		return time.Second // its worker is gone: it has waited long enough
	}
	return panicWait
}

// panicWait is until a task is run again whose handler panicked.
const panicWait = 10 * time.Second

// watchRedis notes whether Redis answers and takes writes.
func (w *Worker) watchRedis(ctx context.Context) {
	for every(ctx, time.Second) {
		pctx, cancel := context.WithTimeout(ctx, 3*time.Second)
		err := w.queue.Ledger.Alive(pctx)
		cancel()
		if ctx.Err() != nil {
			return
		}
		w.redisTrouble(err)
	}
}

// every waits for d and tells whether ctx still lives.
func every(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// jitter spreads d by a tenth.
func jitter(d time.Duration) time.Duration { return d - d/10 + rand.N(d/5+1) }

// Drained tells whether no batch has pending rows.
func (w *Worker) Drained(ctx context.Context) (bool, error) {
	open, err := w.queue.Ledger.Open(ctx)
	return len(open) == 0, err
}
