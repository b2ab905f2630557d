package ledger

import (
	"context"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// codec compresses the sources of buckets. Both halves are made when first needed and
// are safe for concurrent use.
type codec struct {
	encoder func() (*zstd.Encoder, error)
	decoder func() (*zstd.Decoder, error)
}

func newCodec() codec {
	return codec{
		encoder: sync.OnceValues(func() (*zstd.Encoder, error) {
			return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
		}),
		decoder: sync.OnceValues(func() (*zstd.Decoder, error) {
			return zstd.NewReader(nil, zstd.WithDecoderMaxMemory(1<<30), zstd.WithDecoderConcurrency(0))
		}),
	}
}

// Put stores the sources of whole buckets, of which sources[i] is number first+i,
// and notes that the rows of some calls exist, so that older changes to their
// participants are superseded. It must come before the rows' tasks are enqueued.
// Storing the same again changes nothing.
func (l *Ledger) Put(ctx context.Context, b Batch, first int64, sources [][]byte, calls []CallRows) error {
	enc, err := l.codec.encoder()
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
