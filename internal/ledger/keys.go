package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
	"time"
)

// Every key of the ledger is made here. Keys that one script touches share a
// hash tag, so that they live in one slot of a Redis Cluster.

const (
	keyBatches  = "rollcall:batches"  // sorted set: batch by time of creation
	keyOpen     = "rollcall:open"     // sorted set: batches not known to be finished
	keyFinished = "rollcall:finished" // sorted set: batch by when it was found finished
	keySeq      = "rollcall:seq"      // sequence numbers given out so far
	keyAlive    = "rollcall:alive"    // what Alive writes
)

func metaKey(batch string) string   { return "rollcall:{b:" + batch + "}:meta" }
func countsKey(batch string) string { return "rollcall:{b:" + batch + "}:counts" }

// What is kept for those who look on: settle.lua says what is in them.
func timesKey(batch string) string   { return "rollcall:{b:" + batch + "}:times" }
func reasonsKey(batch string) string { return "rollcall:{b:" + batch + "}:reasons" }
func failedKey(batch string) string  { return "rollcall:{b:" + batch + "}:failed" }

// settleKeys are the keys that settle and reopen begin with.
func settleKeys(batch string) []string {
	return []string{metaKey(batch), countsKey(batch), timesKey(batch), reasonsKey(batch), failedKey(batch)}
}

func rowsKey(batch string, hash int64) string {
	return "rollcall:{b:" + batch + "}:rows:" + strconv.FormatInt(hash, 10)
}

func sourceKey(batch string, bucket int64) string {
	return "rollcall:{b:" + batch + "}:source:" + strconv.FormatInt(bucket, 10)
}

// noticeKey is the notice to a receiver that the batch finished at that time, and
// receiverKey since when it gets any. A receiver is told by a digest of its URL.
func noticeKey(batch, receiver string, finished time.Time) string {
	return "rollcall:{b:" + batch + "}:notice:" + receiver + ":" + strconv.FormatInt(finished.UnixMilli(), 10)
}

func receiverKey(receiver string) string { return "rollcall:notify:" + receiver }

func newestKey(call string) string  { return "rollcall:{c:" + call + "}:newest" }
func claimsKey(call string) string  { return "rollcall:{c:" + call + "}:claims" }
func ringingKey(call string) string { return "rollcall:{c:" + call + "}:ringing" }
func changedKey(call string) string { return "rollcall:{c:" + call + "}:changed" }

// What confirmed writes last, to the server that has a batch's keys or a call's.
func batchFence(batch string) string { return "rollcall:{b:" + batch + "}:fence" }
func callFence(call string) string   { return "rollcall:{c:" + call + "}:fence" }

// BucketRows is the number of rows whose sources share a bucket: many, as they are
// compressed together.
const BucketRows = 256

// hashRows is the number of rows whose records share a hash: few, as Redis keeps
// it as a list that it searches from its beginning.
const hashRows = 64

// hashOf returns the hash of a row (counted from 1) and its field there.
func hashOf(row int64) (hash int64, field string) {
	return (row - 1) / hashRows, strconv.FormatInt((row-1)%hashRows, 10)
}

// byHash makes a script's keys and arguments for rows: each hash is a key, and its
// arguments the number of its rows and what rowArgs adds for each. The rows of a
// task follow each other, so a hash seldom comes twice.
func byHash(batch string, n int, row func(i int) int64, keys []string, args []any, rowArgs func(args []any, i int, field string) []any) ([]string, []any) {
	last, count := int64(-1), 0
	for i := range n {
		hash, field := hashOf(row(i))
		if hash != last {
			keys = append(keys, rowsKey(batch, hash))
			last, count = hash, len(args)
			args = append(args, 0)
		}
		args[count] = args[count].(int) + 1 //nolint:forcetypeassert // written above
		args = rowArgs(args, i, field)
	}
	return keys, args
}

// participantField shortens a participant key to 12 bytes: less memory, and no
// personal data in the keys of calls. 96 bits do not collide within a call.
func participantField(key string) string {
	sum := sha256.Sum256([]byte(key))
	return string(sum[:12])
}

// appendEntry writes an entry of newest.lua.
func appendEntry(b []byte, key string, seq int64) []byte {
	sum := sha256.Sum256([]byte(key))
	b = append(b, sum[:9]...)
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(seq))
	return append(b, n[1:]...)
}
