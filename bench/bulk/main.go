// Command bulk measures what a batch costs before Graph's limit matters: enqueueing
// it, keeping it, carrying it out against a Graph that answers at once, and looking
// at it; beside rollcall what people use otherwise, with the same rows and the same
// Redis. It must not know how any of them does it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"rollcall/bench/internal/peer"
)

// Processes are tied to the thread that starts them: see the package stand.
func init() { runtime.LockOSThread() }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	err := start(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// start is the measurements, or one of the peers that it starts this program again
// for.
func start(ctx context.Context) error {
	if peer.Asked() {
		return peer.Main(ctx)
	}
	return run(ctx, os.Args[1:])
}
