package tasks

import (
	"math/rand/v2"
	"time"
)

const (
	backoffFirst = time.Second
	backoffMost  = 5 * time.Minute
)

// backoff is how long to wait after the given number of attempts: anything from
// one second to a limit that doubles with each ("full jitter"), so that rows
// that failed together do not come back together.
func backoff(attempts int) time.Duration {
	limit := backoffMost
	if attempts < 16 {
		limit = min(backoffFirst<<attempts, backoffMost)
	}
	return backoffFirst + rand.N(limit-backoffFirst+1)
}
