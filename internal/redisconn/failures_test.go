package redisconn_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/redisconn"
	"rollcall/internal/redistest"
)

// TestOnFailure: what fails is told, command by command; what is only not there, or
// not wanted any more, is not.
func TestOnFailure(t *testing.T) {
	server := redistest.StartServer(t)
	rdb := server.Client(t)
	var told atomic.Int64
	redisconn.OnFailure(rdb, func() { told.Add(1) })
	ctx := t.Context()
	expect := func(what string, want int64) {
		t.Helper()
		if n := told.Swap(0); n != want {
			t.Errorf("%s: %d were told, want %d", what, n, want)
		}
	}
	rdb.Get(ctx, "nothing")
	rdb.EvalSha(ctx, "0000000000000000000000000000000000000000", nil)
	redis.NewScript("return 1").Run(ctx, rdb, nil)
	given, giveUp := context.WithCancel(ctx)
	giveUp()
	rdb.Get(given, "k")
	_, _ = rdb.Pipelined(ctx, func(p redis.Pipeliner) error { p.Get(ctx, "nothing"); p.Set(ctx, "k", 1, 0); return nil })
	expect("what goes well", 0)

	_, _ = rdb.Pipelined(ctx, func(p redis.Pipeliner) error { p.Get(ctx, "nothing"); p.LLen(ctx, "k"); p.Get(ctx, "k"); return nil })
	expect("one of a pipeline", 1)
	rdb.ConfigSet(ctx, "maxmemory", "1")
	rdb.Set(ctx, "k", 2, 0)
	rdb.ConfigSet(ctx, "maxmemory", "0")
	expect("OOM", 1)
	server.Kill()
	rdb.Get(ctx, "k")
	expect("no Redis", 1)
}
