package ledger

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
	"github.com/redis/go-redis/v9"
)

// Bucket is what is stored of up to BucketRows rows that follow each other.
type Bucket struct {
	First  int64  // number of the first row, from 1
	Source []byte // as given to PutSource; nil if it was never stored
	Rows   []Row
}

// The codecs are shared: both are safe for concurrent EncodeAll and DecodeAll.
var (
	encoder = sync.OnceValues(func() (*zstd.Encoder, error) {
		return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1))
	})
	decoderZ = sync.OnceValues(func() (*zstd.Decoder, error) {
		return zstd.NewReader(nil, zstd.WithDecoderMaxMemory(1<<30), zstd.WithDecoderConcurrency(0))
	})
)

// PutSource stores the sources of whole buckets; bucket i of sources is number
// first+i. Storing the same again changes nothing.
func (l *Ledger) PutSource(ctx context.Context, b Batch, first int64, sources [][]byte) error {
	enc, err := encoder()
	if err != nil {
		return wrap(err)
	}
	_, err = l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, s := range sources {
			p.Set(ctx, sourceKey(b.ID, first+int64(i)), enc.EncodeAll(s, nil), b.keyLife())
		}
		return nil
	})
	return wrap(err)
}

// bucketsAhead is how many buckets one round trip of Buckets fetches.
const bucketsAhead = 32

// Buckets hands over the batch's buckets in order, in constant memory.
func (l *Ledger) Buckets(ctx context.Context, b Batch, each func(Bucket) error) error {
	n := (b.Rows + BucketRows - 1) / BucketRows
	for at := int64(0); at < n; at += bucketsAhead {
		if err := l.someBuckets(ctx, b, at, min(at+bucketsAhead, n), each); err != nil {
			return err
		}
	}
	return nil
}

func (l *Ledger) someBuckets(ctx context.Context, b Batch, from, to int64, each func(Bucket) error) error {
	sources := make([]*redis.StringCmd, to-from)
	rows := make([]*redis.MapStringStringCmd, to-from)
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i := range to - from {
			sources[i] = p.Get(ctx, sourceKey(b.ID, from+i))
			rows[i] = p.HGetAll(ctx, rowsKey(b.ID, from+i))
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return wrap(err)
	}
	dec, err := decoderZ()
	if err != nil {
		return wrap(err)
	}
	for i := range to - from {
		first := (from+i)*BucketRows + 1
		bucket := Bucket{First: first, Rows: make([]Row, min(BucketRows, b.Rows-first+1))}
		if packed, err := sources[i].Bytes(); err == nil {
			if bucket.Source, err = dec.DecodeAll(packed, nil); err != nil {
				return fmt.Errorf("ledger: source of batch %s: %w", b.ID, err)
			}
		}
		for j := range bucket.Rows {
			_, field := bucketOf(first + int64(j))
			if bucket.Rows[j], err = decodeRow(rows[i].Val()[field], b.CreatedAt); err != nil {
				return err
			}
		}
		if err := each(bucket); err != nil {
			return err
		}
	}
	return nil
}
