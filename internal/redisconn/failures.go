package redisconn

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"
)

// OnFailure has f called for every command of rdb that fails for good, after all
// tries: it got no answer in time, or Redis refused it. Not counted are answers that
// say that there is nothing, the question for the text of a script, and commands that
// the caller gave up. f must be quick, and safe for concurrent use.
func OnFailure(rdb redis.UniversalClient, f func()) { rdb.AddHook(failures{f}) }

type failures struct{ tell func() }

func (h failures) note(cmd redis.Cmder, err error) {
	if err == nil || errors.Is(err, redis.Nil) || errors.Is(err, context.Canceled) || redis.HasErrorPrefix(err, "NOSCRIPT") {
		return
	}
	switch cmd.Name() {
	case "hello", "auth", "client", "select", "readonly":
		// The client's own, of a new connection. Some may fail; where one must not, the
		// command fails for which the connection is.
		return
	}
	h.tell()
}

// DialHook implements redis.Hook: a connection that cannot be had fails its command.
func (failures) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook implements redis.Hook.
func (h failures) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		h.note(cmd, err)
		return err
	}
}

// ProcessPipelineHook implements redis.Hook.
func (h failures) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		if err != nil {
			for _, c := range cmds {
				h.note(c, c.Err())
			}
		}
		return err
	}
}
