package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
)

// Every key of the ledger is made here. Keys that one script touches share a
// hash tag, so that they live in one slot of a Redis Cluster.

const (
	keyBatches = "rollcall:batches" // sorted set: batch by time of creation
	keyOpen    = "rollcall:open"    // sorted set: batches not known to be finished
	keySeq     = "rollcall:seq"     // sequence numbers given out so far
	keyAlive   = "rollcall:alive"   // what Alive writes
)

func metaKey(batch string) string   { return "rollcall:{b:" + batch + "}:meta" }
func countsKey(batch string) string { return "rollcall:{b:" + batch + "}:counts" }

func rowsKey(batch string, bucket int64) string {
	return "rollcall:{b:" + batch + "}:rows:" + strconv.FormatInt(bucket, 10)
}

func sourceKey(batch string, bucket int64) string {
	return "rollcall:{b:" + batch + "}:source:" + strconv.FormatInt(bucket, 10)
}

func newestKey(call string) string  { return "rollcall:{c:" + call + "}:newest" }
func claimsKey(call string) string  { return "rollcall:{c:" + call + "}:claims" }
func ringingKey(call string) string { return "rollcall:{c:" + call + "}:ringing" }
func changedKey(call string) string { return "rollcall:{c:" + call + "}:changed" }

// What confirmed writes last, to the server that has a batch's keys or a call's.
func batchFence(batch string) string { return "rollcall:{b:" + batch + "}:fence" }
func callFence(call string) string   { return "rollcall:{c:" + call + "}:fence" }

// BucketRows is the number of rows that share a bucket: small enough for Redis
// to keep their hash as a compact list.
const BucketRows = 256

// bucketOf returns the bucket of a row (counted from 1) and its field there.
func bucketOf(row int64) (bucket int64, field string) {
	return (row - 1) / BucketRows, strconv.FormatInt((row-1)%BucketRows, 10)
}

// byBucket makes a script's keys and arguments for rows: each bucket is a key, and
// its arguments the number of its rows and what row gives for each. The rows of a
// task follow each other, so a bucket seldom comes twice.
func byBucket(batch string, n int, row func(i int) int64, keys []string, args []any, rowArgs func(args []any, i int, field string) []any) ([]string, []any) {
	last, count := int64(-1), 0
	for i := range n {
		bucket, field := bucketOf(row(i))
		if bucket != last {
			keys = append(keys, rowsKey(batch, bucket))
			last, count = bucket, len(args)
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
	binary.BigEndian.PutUint64(n[:], uint64(seq)) //nolint:gosec // numbers are not negative
	return append(b, n[1:]...)
}
