package peer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"rollcall/bench/internal/work"
)

// listKey is the list of rows to do.
const listKey = "rows"

// maxRetries is how often a request is sent again after a 429, as the retry
// handlers of the SDKs have it.
const maxRetries = 3

func pushRows(ctx context.Context, rdb *redis.Client, rows []work.Row) error {
	for part := range slices.Chunk(rows, 1000) {
		list := make([]any, len(part))
		for i, r := range part {
			body, err := json.Marshal(r)
			if err != nil {
				return err
			}
			list[i] = body
		}
		if err := rdb.RPush(ctx, listKey, list...).Err(); err != nil {
			return err
		}
	}
	return nil
}

// serveList carries out the rows of the list, some at a time.
func serveList(ctx context.Context, rdb *redis.Client, g *graph) error {
	w, ctx := errgroup.WithContext(ctx)
	for range concurrency {
		w.Go(func() error { return takeRows(ctx, rdb, g.retrying) })
	}
	return w.Wait()
}

func takeRows(ctx context.Context, rdb *redis.Client, send sender) error {
	for ctx.Err() == nil {
		body, err := rdb.LPop(ctx, listKey).Bytes()
		if errors.Is(err, redis.Nil) {
			_ = sleep(ctx, 100*time.Millisecond)
			continue
		}
		if err != nil {
			return err
		}
		var r work.Row
		if err := json.Unmarshal(body, &r); err != nil {
			return err
		}
		err = carryOut(ctx, send, r)
		if err == nil {
			continue
		}
		if _, ok := errors.AsType[*throttled](err); !ok {
			fmt.Fprintln(os.Stderr, err)
		}
		if err := rdb.RPush(ctx, listKey, body).Err(); err != nil {
			return err
		}
	}
	return nil
}

// retrying sends a request, and again after the wait that is asked for. All
// other requests go on meanwhile.
func (g *graph) retrying(ctx context.Context, q request) (answer, error) {
	for retries := 0; ; retries++ {
		got, err := g.send(ctx, q)
		e, ok := errors.AsType[*throttled](err)
		if !ok || retries == maxRetries {
			return got, err
		}
		if err := sleep(ctx, e.after); err != nil {
			return answer{}, err
		}
	}
}
