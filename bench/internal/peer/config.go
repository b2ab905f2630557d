package peer

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/redis/go-redis/v9"
)

// The kinds of peers.
const (
	// XTimeRate is asynq with a share of the rate for each process, kept with
	// golang.org/x/time/rate.
	XTimeRate = "asynq+x/time/rate"
	// RedisRate is asynq with a rate shared in Redis by redis_rate.
	RedisRate = "asynq+redis_rate"
	// Plain is asynq without a limiter.
	Plain = "asynq"
	// SDKStyle has no limiter: each request waits on its own when it is told to.
	SDKStyle = "sdk-style"
)

// Config is what a peer is told.
type Config struct {
	Kind  string `json:"kind"`
	Redis string `json:"redis"` // host:port
	Graph string `json:"graph"`
	Fleet int    `json:"fleet"` // processes that share the rate
	// Told is the rate of each class: a tenant's name, with "/reads" behind it
	// for its reads if they are limited apart.
	Told map[string]float64 `json:"told"`
}

// concurrency is how many tasks a process carries out at once: as many as a
// worker of rollcall.
const concurrency = 32

// env names the environment variable that makes the program a peer.
const env = "ROLLCALL_BENCH_PEER"

// Env is the environment of a process that is to be a peer.
func (c Config) Env() ([]string, error) {
	body, err := json.Marshal(c)
	return []string{env + "=" + string(body)}, err
}

// Asked tells whether this process is to be a peer.
func Asked() bool { return os.Getenv(env) != "" }

// Main is a peer, until ctx ends.
func Main(ctx context.Context) error {
	var c Config
	if err := json.Unmarshal([]byte(os.Getenv(env)), &c); err != nil {
		return fmt.Errorf("%s: %w", env, err)
	}
	rdb := redis.NewClient(&redis.Options{Addr: c.Redis, PoolSize: 2 * concurrency})
	defer rdb.Close()
	g := newGraph(c.Graph)
	switch c.Kind {
	case Plain:
		return serveTasks(ctx, rdb, g, free{})
	case XTimeRate:
		return serveTasks(ctx, rdb, g, newShare(c.Told, c.Fleet))
	case RedisRate:
		return serveTasks(ctx, rdb, g, newShared(rdb, c.Told))
	case SDKStyle:
		return serveList(ctx, rdb, g)
	}
	return fmt.Errorf("no peer is called %q", c.Kind)
}
