package tasks

import (
	"context"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/ledger"
)

// bulk enqueues many tasks in one round trip, which asynq v0.26.0 cannot do: its
// client makes the command of each task, and bulk, in place of a connection, puts
// that into a pipeline. Other commands go through.
type bulk struct {
	redis.UniversalClient
	client *asynq.Client
	pipe   redis.Pipeliner
	script *redis.Script // the one that asynq enqueues with
	cmds   []*redis.Cmd
}

func newBulk(rdb redis.UniversalClient) *bulk {
	b := &bulk{UniversalClient: rdb, pipe: rdb.Pipeline()}
	b.client = asynq.NewClientFromRedisClient(b)
	return b
}

// askForText is what a server says that does not know a script: asynq then gives
// its text.
type askForText struct{}

func (askForText) Error() string { return "NOSCRIPT the text is wanted" }
func (askForText) RedisError()   {}

// EvalSha asks for the script's text.
func (b *bulk) EvalSha(context.Context, string, []string, ...any) *redis.Cmd {
	return redis.NewCmdResult(nil, askForText{})
}

// Eval takes the command up and says that it went well: what comes of it is known
// later. The text goes with the first, so that the server knows it for the others.
func (b *bulk) Eval(ctx context.Context, text string, keys []string, args ...any) *redis.Cmd {
	var cmd *redis.Cmd
	if b.script == nil {
		b.script = redis.NewScript(text)
		cmd = b.script.Eval(ctx, b.pipe, keys, args...)
	} else {
		cmd = b.script.EvalSha(ctx, b.pipe, keys, args...)
	}
	b.cmds = append(b.cmds, cmd)
	return redis.NewCmdResult(int64(1), nil)
}

// sendAll enqueues the packs' tasks. Those that are in the queue already stay as
// they are: the script says so with a 0, which is no error here.
func (q *Queue) sendAll(ctx context.Context, b ledger.Batch, packs []*pack) error {
	if len(packs) == 0 {
		return nil
	}
	bulk := newBulk(q.rdb)
	for _, k := range packs {
		if _, err := bulk.client.EnqueueContext(ctx, newTask(b, k)); err != nil {
			return enqueueError(ctx, err)
		}
	}
	_, _ = bulk.pipe.Exec(ctx) // the errors are read from each command
	for i, cmd := range bulk.cmds {
		err := cmd.Err()
		if redis.HasErrorPrefix(err, "NOSCRIPT") { // the queue has moved to another server meanwhile
			_, err = q.send(ctx, b, packs[i])
		}
		if err != nil {
			return enqueueError(ctx, err)
		}
	}
	return nil
}
