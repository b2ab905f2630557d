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
	Source []byte // as given to Put; nil if it was never stored
	Rows   []Row
}

// The codecs are shared: both are safe for concurrent EncodeAll and DecodeAll.
var (
	encoder = sync.OnceValues(func() (*zstd.Encoder, error) {
		return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	})
	decoderZ = sync.OnceValues(func() (*zstd.Decoder, error) {
		return zstd.NewReader(nil, zstd.WithDecoderMaxMemory(1<<30), zstd.WithDecoderConcurrency(0))
	})
)

// Put stores the sources of whole buckets, of which sources[i] is number first+i,
// and notes that the rows of some calls exist, so that older changes to their
// participants are superseded. It must come before the rows' tasks are enqueued.
// Storing the same again changes nothing.
func (l *Ledger) Put(ctx context.Context, b Batch, first int64, sources [][]byte, calls []CallRows) error {
	enc, err := encoder()
	if err != nil {
		return wrap(err)
	}
	pipe := l.rdb.Pipeline()
	for i, s := range sources {
		pipe.Set(ctx, sourceKey(b.ID, first+int64(i)), enc.EncodeAll(s, nil), b.keyLife())
	}
	_, err = runAll(ctx, l.rdb, pipe, observeScript, notes(b, calls))
	return err
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
	const hashes = BucketRows / hashRows // of a bucket
	rows := make([]*redis.MapStringStringCmd, (to-from)*hashes)
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i := range to - from {
			sources[i] = p.Get(ctx, sourceKey(b.ID, from+i))
			for h := range hashes {
				rows[i*hashes+int64(h)] = p.HGetAll(ctx, rowsKey(b.ID, (from+i)*hashes+int64(h)))
			}
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
			_, field := hashOf(first + int64(j))
			if bucket.Rows[j], err = decodeRow(rows[i*hashes+int64(j)/hashRows].Val()[field], b.CreatedAt); err != nil {
				return err
			}
		}
		if err := each(bucket); err != nil {
			return err
		}
	}
	return nil
}
