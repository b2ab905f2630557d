package peer

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"rollcall/bench/internal/work"
)

const taskType = "change"

// senders is how many tasks are put into the queue at once.
const senders = 64

// EnqueueTasks makes a task of each row, with so many senders at once.
func EnqueueTasks(ctx context.Context, rdb *redis.Client, rows []work.Row, senders int) error {
	client := asynq.NewClientFromRedisClient(rdb)
	g, ctx := errgroup.WithContext(ctx)
	for worker := range senders {
		g.Go(func() error {
			for i := worker; i < len(rows); i += senders {
				body, err := json.Marshal(rows[i])
				if err != nil {
					return err
				}
				if _, err := client.EnqueueContext(ctx, asynq.NewTask(taskType, body), asynq.MaxRetry(math.MaxInt32)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// serveTasks carries tasks out with a pace in front. A task whose request is
// throttled is for asynq to run again when it may: that is no failure.
func serveTasks(ctx context.Context, rdb *redis.Client, g *graph, p pace) error {
	send := func(ctx context.Context, q request) (answer, error) {
		if err := p.wait(ctx, q.class); err != nil {
			return answer{}, err
		}
		return g.send(ctx, q)
	}
	server := asynq.NewServerFromRedisClient(rdb, asynq.Config{
		Concurrency: concurrency,
		LogLevel:    asynq.ErrorLevel,
		// By default asynq looks every 5 s for tasks to run again.
		DelayedTaskCheckInterval: time.Second,
		IsFailure: func(err error) bool {
			_, ok := errors.AsType[*throttled](err)
			return !ok
		},
		RetryDelayFunc: func(n int, err error, t *asynq.Task) time.Duration {
			if e, ok := errors.AsType[*throttled](err); ok {
				return e.after
			}
			return asynq.DefaultRetryDelayFunc(n, err, t)
		},
	})
	err := server.Start(asynq.HandlerFunc(func(ctx context.Context, t *asynq.Task) error {
		var r work.Row
		if err := json.Unmarshal(t.Payload(), &r); err != nil {
			return err
		}
		return carryOut(ctx, send, r)
	}))
	if err != nil {
		return err
	}
	<-ctx.Done()
	server.Shutdown()
	return nil
}
