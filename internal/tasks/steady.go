package tasks

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"
)

// steady runs scripts even when the context they come with has ended. asynq
// v0.26.0 retries the writes of finished tasks with a context that is already
// cancelled, so after a moment without Redis they would never be written, and
// every one of those tasks would run again two minutes later.
//
// It also rests after an error: asynq asks for the next task again at once, and a
// Redis that is full, or a replica, refuses as quickly as it is asked.
type steady struct {
	redis.UniversalClient
}

// scriptLimit bounds a script whose context sets no usable deadline.
const scriptLimit = 10 * time.Second

func (s steady) EvalSha(ctx context.Context, sha1 string, keys []string, args ...any) *redis.Cmd {
	ctx, cancel := detach(ctx)
	defer cancel()
	return rested(ctx, s.UniversalClient.EvalSha(ctx, sha1, keys, args...))
}

func (s steady) Eval(ctx context.Context, script string, keys []string, args ...any) *redis.Cmd {
	ctx, cancel := detach(ctx)
	defer cancel()
	return rested(ctx, s.UniversalClient.Eval(ctx, script, keys, args...))
}

// rest is what a refused script takes at least.
const rest = 200 * time.Millisecond

func rested(ctx context.Context, cmd *redis.Cmd) *redis.Cmd {
	// Without the script is how its text is asked for.
	if err := cmd.Err(); err != nil && !errors.Is(err, redis.Nil) && !redis.HasErrorPrefix(err, "NOSCRIPT") {
		every(ctx, rest)
	}
	return cmd
}

func detach(ctx context.Context) (context.Context, context.CancelFunc) {
	limit := scriptLimit
	if deadline, ok := ctx.Deadline(); ok {
		if left := time.Until(deadline); left > 0 {
			limit = min(limit, left)
		}
	}
	return context.WithTimeout(context.WithoutCancel(ctx), limit)
}

// queueLog takes asynq's log lines. They repeat with every poll while Redis is
// away, which the worker says once by itself: they are for debugging.
type queueLog struct {
	log *slog.Logger
}

func (l queueLog) line(args []any) { l.log.Debug("queue", "message", args) }

func (l queueLog) Debug(args ...any) { l.line(args) }
func (l queueLog) Info(args ...any)  { l.line(args) }
func (l queueLog) Warn(args ...any)  { l.line(args) }
func (l queueLog) Error(args ...any) { l.line(args) }
func (l queueLog) Fatal(args ...any) { l.line(args) }
