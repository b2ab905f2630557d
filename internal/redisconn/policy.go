package redisconn

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// ErrPolicyUnknown means that Redis would not tell its eviction policy, as some
// managed services do not.
var ErrPolicyUnknown = errors.New("the eviction policy of Redis could not be read; make sure that maxmemory-policy is noeviction")

// CheckPolicy makes sure that no server behind rdb evicts keys: an evicted key
// is a lost task or a lost outcome. It returns an error that wraps
// ErrPolicyUnknown where that cannot be found out.
func CheckPolicy(ctx context.Context, rdb redis.UniversalClient) error {
	if cluster, ok := rdb.(*redis.ClusterClient); ok {
		return cluster.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
			return checkOne(ctx, c)
		})
	}
	return checkOne(ctx, rdb)
}

func checkOne(ctx context.Context, rdb redis.Cmdable) error {
	policy := ""
	// INFO is allowed where CONFIG is not; both say the same.
	if info, err := rdb.Info(ctx, "memory").Result(); err == nil {
		for line := range strings.Lines(info) {
			if v, ok := strings.CutPrefix(strings.TrimSpace(line), "maxmemory_policy:"); ok {
				policy = v
			}
		}
	}
	if policy == "" {
		got, err := rdb.ConfigGet(ctx, "maxmemory-policy").Result()
		if err != nil {
			return fmt.Errorf("%w (%s)", ErrPolicyUnknown, err.Error())
		}
		policy = got["maxmemory-policy"]
	}
	switch policy {
	case "noeviction":
		return nil
	case "":
		return ErrPolicyUnknown
	}
	return fmt.Errorf("Redis evicts keys (maxmemory-policy is %s), so rows could vanish: set 'maxmemory-policy noeviction' in redis.conf, or 'redis-cli config set maxmemory-policy noeviction', and start again", policy)
}
