// Command limit measures how well four processes, of rollcall and of what people
// use otherwise, keep to a limit of Graph that they do not know and that moves.
// It must not know how any of them does it, only how to start them.
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

// Processes are tied to the thread that starts them: see the package stand. The
// main thread lasts as long as this process does.
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

// start is the measurement, or one of the peers that it starts this program
// again for.
func start(ctx context.Context) error {
	if peer.Asked() {
		return peer.Main(ctx)
	}
	return run(ctx, os.Args[1:])
}
