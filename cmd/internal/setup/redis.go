// Package setup turns flags and environment into the parts the commands are
// made of: a Redis connection, a worker, a simulator. It must not know what the
// commands do with them.
package setup

import (
	"context"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/pflag"

	"rollcall/cmd/internal/cli"
	"rollcall/internal/redisconn"
)

const defaultRedis = "redis://127.0.0.1:6379/0"

// RedisFlag declares --redis.
func RedisFlag(fs *pflag.FlagSet) *string {
	return fs.String("redis", defaultRedis, "URL of Redis")
}

// Redis connects to the Redis that --redis names. A URL that cannot be read is a
// mistake in usage.
func Redis(ctx context.Context, c *cli.Command, fs *cli.FlagSet, url string) (redis.UniversalClient, error) {
	o, err := redisconn.Parse(url)
	if err != nil {
		return nil, cli.Usagef("--redis: %w", err)
	}
	if o.HasPassword && fs.Given("redis") {
		c.Printf("notice: a password on the command line can be read by other users of this machine: set ROLLCALL_REDIS instead\n")
	}
	if url, err = addPasswords(c.Env, url); err != nil {
		return nil, err
	}
	return redisconn.Open(ctx, url)
}

// Replicas is what the URL says of replicas that must confirm writes; see
// tasks.WorkerConfig. The URL is one that Redis has accepted.
func Replicas(url string) int {
	o, err := redisconn.Parse(url)
	if err != nil {
		return 0
	}
	return o.Replicas
}
