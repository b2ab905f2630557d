// Package stand starts the processes that a measurement is made with: Redis, the
// simulator of Graph and whatever takes part. All listen on 127.0.0.1, and none
// outlives the stand. It must not know what is measured, nor by what.
package stand
