package peer

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"rollcall/bench/internal/work"
)

// Prepare puts the rows where peers of a kind take them from.
func Prepare(ctx context.Context, kind, addr string, rows []work.Row) error {
	rdb := redis.NewClient(&redis.Options{Addr: addr, PoolSize: senders})
	defer rdb.Close()
	switch kind {
	case XTimeRate, RedisRate, Plain:
		return EnqueueTasks(ctx, rdb, rows, senders)
	case SDKStyle:
		return pushRows(ctx, rdb, rows)
	}
	return fmt.Errorf("no peer is called %q", kind)
}
