package ledger

import (
	"crypto/sha256"
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

func latestKey(call string) string  { return "rollcall:{c:" + call + "}:latest" }
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

// participantField shortens a participant key to 12 bytes: less memory, and no
// personal data in the keys of calls. 96 bits do not collide within a call.
func participantField(key string) string {
	sum := sha256.Sum256([]byte(key))
	return string(sum[:12])
}
