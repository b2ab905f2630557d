// Package ledger is the record in Redis of batches, their rows and outcomes,
// and of who works on whom. It is the truth about every row: the queue only
// says when to look at one.
//
// It keeps three promises. An outcome is set exactly once, together with its
// counter. A row is worked on only while no newer change to its participant
// exists. Two rows about one participant are never worked on at once. All three
// are kept by Lua scripts on Redis' own clock.
//
// It must not know Graph, the queue, or what is in a row's source: callers hand
// it bytes and get them back.
package ledger

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// ErrNoBatch means that the ledger does not know the batch: its id is wrong, it
// has expired, or Redis lost it.
var ErrNoBatch = errors.New("no such batch: it has expired, or Redis lost its data; 'batch list' shows those that are there, and enqueueing the same file again is safe")

// DefaultClaimLife is how long a claim outlives the worker that stopped
// renewing it.
const DefaultClaimLife = 15 * time.Second

// Ledger works on one Redis. The zero value is not usable.
type Ledger struct {
	rdb redis.UniversalClient
	// ClaimLife is how long a claim holds without being renewed; it is renewed
	// three times in that time. DefaultClaimLife if zero.
	ClaimLife time.Duration
	// Linger is for how long after a claim ran out what was sent under it may
	// still be done: other changes to the participant wait as long.
	Linger time.Duration
	// Replicas is how many replicas of Redis must have an intent before Intend
	// says that it is written. 0: the master's word is enough.
	Replicas int

	codec codec

	mu      sync.Mutex
	commits map[commitKey]*commits // under way
}

// New returns the ledger kept in rdb.
func New(rdb redis.UniversalClient) *Ledger {
	return &Ledger{rdb: rdb, codec: newCodec(), commits: map[commitKey]*commits{}}
}

// Alive makes sure that Redis runs scripts that write. One that is full, cannot
// save or is a replica answers, but takes no writes.
func (l *Ledger) Alive(ctx context.Context) error {
	return wrap(aliveScript.Run(ctx, l.rdb, []string{keyAlive}).Err())
}

func wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("ledger: %w", err)
}

func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }
