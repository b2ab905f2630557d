// Package command is what the commands of this module have in common: how they
// start and end, and that they are peers when they are started as such. It must not
// know what is measured.
package command

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

// Main runs a command until it is done or a signal ends it, or one of the peers
// that it starts this program again for.
func Main(run func(ctx context.Context, args []string) error) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	if peer.Asked() {
		run = func(ctx context.Context, _ []string) error { return peer.Main(ctx) }
	}
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
