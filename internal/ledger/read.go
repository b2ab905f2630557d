package ledger

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// Bucket is what is stored of up to BucketRows rows that follow each other.
type Bucket struct {
	First  int64  // number of the first row, from 1
	Source []byte // as given to Put; nil if it was never stored
	Rows   []Row
}

// bucketsAhead is how many buckets one round trip fetches.
const bucketsAhead = 32

// Buckets hands over the batch's buckets in order, in constant memory.
func (l *Ledger) Buckets(ctx context.Context, b Batch, each func(Bucket) error) error {
	return l.BucketsWith(ctx, b, 1, nil, each)
}

// BucketsWith hands over the buckets from that of the row from on, with the sources
// of those in which a row has an outcome that want takes; nil takes all. If it takes
// failed ones only, buckets without any are left out.
func (l *Ledger) BucketsWith(ctx context.Context, b Batch, from int64, want func(Outcome) bool, each func(Bucket) error) error {
	has := func(int64) bool { return true }
	if want != nil && onlyFailed(want) {
		bits, err := l.rdb.Get(ctx, failedKey(b.ID)).Bytes()
		if err != nil && !errors.Is(err, redis.Nil) {
			return wrap(err)
		}
		has = func(bucket int64) bool {
			const size = BucketRows / 8
			for i := bucket * size; i < min((bucket+1)*size, int64(len(bits))); i++ {
				if bits[i] != 0 {
					return true
				}
			}
			return false
		}
	}
	n := (b.Rows + BucketRows - 1) / BucketRows
	some := make([]int64, 0, bucketsAhead)
	for at := max(from-1, 0) / BucketRows; at < n; at++ {
		if has(at) {
			some = append(some, at)
		}
		if len(some) == bucketsAhead || at == n-1 {
			if err := l.someBuckets(ctx, b, some, want, each); err != nil {
				return err
			}
			some = some[:0]
		}
	}
	return nil
}

// onlyFailed tells whether want takes failed outcomes alone.
func onlyFailed(want func(Outcome) bool) bool {
	for o := range numOutcomes {
		if want(o) && o.Group() != GroupFailed {
			return false
		}
	}
	return true
}

func (l *Ledger) someBuckets(ctx context.Context, b Batch, numbers []int64, want func(Outcome) bool, each func(Bucket) error) error {
	if len(numbers) == 0 {
		return nil
	}
	sources := make([]*redis.StringCmd, len(numbers))
	const hashes = BucketRows / hashRows // of a bucket
	rows := make([]*redis.MapStringStringCmd, len(numbers)*hashes)
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, n := range numbers {
			if want == nil {
				sources[i] = p.Get(ctx, sourceKey(b.ID, n))
			}
			for h := range int64(hashes) {
				rows[i*hashes+int(h)] = p.HGetAll(ctx, rowsKey(b.ID, n*hashes+h))
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return wrap(err)
	}
	buckets := make([]Bucket, len(numbers))
	for i, n := range numbers {
		if buckets[i], err = readBucket(b, n*BucketRows+1, rows[i*hashes:(i+1)*hashes]); err != nil {
			return err
		}
	}
	if want != nil {
		if sources, err = l.sourcesWith(ctx, b, numbers, buckets, want); err != nil {
			return err
		}
	}
	dec, err := l.codec.decoder()
	if err != nil {
		return wrap(err)
	}
	for i, bucket := range buckets {
		if sources[i] != nil {
			if packed, err := sources[i].Bytes(); err == nil {
				if bucket.Source, err = dec.DecodeAll(packed, nil); err != nil {
					return fmt.Errorf("ledger: source of batch %s: %w", b.ID, err)
				}
			}
		}
		if err := each(bucket); err != nil {
			return err
		}
	}
	return nil
}

func readBucket(b Batch, first int64, hashes []*redis.MapStringStringCmd) (bucket Bucket, err error) {
	bucket = Bucket{First: first, Rows: make([]Row, min(BucketRows, b.Rows-first+1))}
	for j := range bucket.Rows {
		_, field := hashOf(first + int64(j))
		if bucket.Rows[j], err = decodeRow(hashes[j/hashRows].Val()[field], b.CreatedAt); err != nil {
			return bucket, err
		}
	}
	return bucket, nil
}

// sourcesWith fetches the sources of those buckets that have a row which want takes.
func (l *Ledger) sourcesWith(ctx context.Context, b Batch, numbers []int64, buckets []Bucket, want func(Outcome) bool) ([]*redis.StringCmd, error) {
	sources := make([]*redis.StringCmd, len(numbers))
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, n := range numbers {
			for _, r := range buckets[i].Rows {
				if want(r.Outcome) {
					sources[i] = p.Get(ctx, sourceKey(b.ID, n))
					break
				}
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, wrap(err)
	}
	return sources, nil
}
