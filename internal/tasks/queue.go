package tasks

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"rollcall/internal/graph"
	"rollcall/internal/ledger"
)

// Queue puts batches into the ledger and their tasks into the queue.
type Queue struct {
	Ledger    *ledger.Ledger
	rdb       redis.UniversalClient
	client    *asynq.Client
	inspector *asynq.Inspector
}

// NewQueue returns the queue kept in rdb. It needs no closing besides rdb's own.
func NewQueue(rdb redis.UniversalClient) *Queue {
	q := &Queue{Ledger: ledger.New(rdb), rdb: rdb, inspector: asynq.NewInspectorFromRedisClient(rdb)}
	// Also commands claim (batch cancel), and must know what workers leave behind.
	q.Ledger.Linger = graph.DefaultTimeout
	q.client = asynq.NewClientFromRedisClient(rdb)
	return q
}

// each calls f for every pack, some at a time.
func each(ctx context.Context, packs []*pack, some int, f func(ctx context.Context, k *pack) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(some)
	for _, k := range packs {
		g.Go(func() error { return f(ctx, k) })
	}
	return g.Wait()
}

// send enqueues a pack's task. One that is in the queue already stays as it is.
func (q *Queue) send(ctx context.Context, b ledger.Batch, k *pack) (existing bool, err error) {
	_, err = q.client.EnqueueContext(ctx, newTask(b, k))
	switch {
	case ctx.Err() == nil && errors.Is(err, asynq.ErrTaskIDConflict):
		// The task is there, perhaps by this very call, whose first reply was lost.
		return true, nil
	case err != nil:
		return false, enqueueError(ctx, err)
	}
	return false, nil
}

// enqueueError is why tasks were not enqueued. Of a context that has ended asynq's
// error would not say so.
func enqueueError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("enqueue: %w", err)
}

// lookLater puts a task into the queue of those that are being rung for, to be
// run after some time. It may be there already.
func (q *Queue) lookLater(ctx context.Context, t *asynq.Task, id string, after time.Duration) error {
	// asynq cuts times to whole seconds.
	at := time.Now().Add(after + time.Second).Truncate(time.Second)
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_, err := q.client.EnqueueContext(ctx, asynq.NewTask(t.Type(), t.Payload(), options(lookID(id), lookQueue)...), asynq.ProcessAt(at))
	if errors.Is(err, asynq.ErrTaskIDConflict) {
		return nil
	}
	return err
}
