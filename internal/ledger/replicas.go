package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// replicaPatience is how long replicas have to confirm what was written.
const replicaPatience = time.Second

// confirmed makes sure that Replicas have what was written so far on the key's
// server: they get a server's writes in order, so it is enough that they have one
// more. A failover to one of them then loses nothing of it.
func (l *Ledger) confirmed(ctx context.Context, keys ...string) error {
	if l.Replicas <= 0 {
		return nil
	}
	c, cluster := l.rdb.(*redis.ClusterClient)
	if !cluster {
		keys = keys[:1] // one server has them all
	}
	for _, key := range keys {
		var node redis.Cmdable = l.rdb
		if cluster {
			master, err := c.MasterForKey(ctx, key)
			if err != nil {
				return wrap(err)
			}
			node = master // WAIT names no key by which it could be sent there
		}
		var have *redis.Cmd
		_, err := node.Pipelined(ctx, func(p redis.Pipeliner) error {
			p.Set(ctx, key, 1, time.Minute)
			have = p.Do(ctx, "wait", l.Replicas, replicaPatience.Milliseconds())
			return nil
		})
		if err != nil {
			return wrap(err)
		}
		if n, _ := have.Int(); n < l.Replicas {
			return fmt.Errorf("ledger: %d of %d replicas of Redis have confirmed a write within %s", n, l.Replicas, replicaPatience)
		}
	}
	return nil
}
