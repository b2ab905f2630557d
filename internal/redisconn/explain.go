package redisconn

import (
	"fmt"

	"github.com/redis/go-redis/v9"
)

// refusals are the errors of a Redis that answers and does not do what it is asked,
// with what to do about them.
var refusals = []struct{ prefix, hint string }{
	{"OOM", "Redis is full: give it more memory (maxmemory), or let batches expire sooner (--keep)"},
	{"MISCONF", "Redis cannot save what it is given: look at its log and its disk"},
	{"READONLY", "This Redis is a replica: name its master, or have Sentinel find it (redis-sentinel://)"},
	{"LOADING", "Redis is starting: give it a moment"},
	{"CLUSTERDOWN", "The cluster is not whole: see what 'redis-cli cluster info' tells"},
	{"MOVED", "This is a node of a cluster: write redis-cluster:// instead of redis://"},
	{"NOAUTH", "Redis wants a password: write redis://user:password@host into ROLLCALL_REDIS, or have ROLLCALL_REDIS_PASSWORD_FILE name its file"},
	{"WRONGPASS", "Redis does not know this user with this password: mend ROLLCALL_REDIS, or the file that ROLLCALL_REDIS_PASSWORD_FILE names"},
	{"NOPERM", "The user may not do that in Redis: give it the rule of SECURITY.md"},
}

// Explain adds what to do to an error with which Redis refused something.
func Explain(err error) error {
	for _, r := range refusals {
		if redis.HasErrorPrefix(err, r.prefix) {
			return fmt.Errorf("%w\n%s, then run it again", err, r.hint)
		}
	}
	return err
}
