package main

import (
	"context"
	"os"
	"path/filepath"
	"strconv"

	"rollcall/bench/internal/stand"
	"rollcall/bench/internal/work"
)

// enqueue enqueues the file as a user would.
func enqueue(ctx context.Context, st *stand.Stand, _ []work.Row, file string) error {
	if err := os.WriteFile(tokenFile(st), []byte("bench\n"), 0o600); err != nil {
		return err
	}
	return st.Run(ctx, []string{"ROLLCALL_REDIS=" + st.RedisURL()}, st.Command("enqueue"), file)
}

func tokenFile(st *stand.Stand) string { return filepath.Join(st.Dir, "token") }

func startWorker(ctx context.Context, st *stand.Stand, sc *scenario) (*stand.Process, error) {
	env := []string{"ROLLCALL_REDIS=" + st.RedisURL(), "ROLLCALL_TOKEN_FILE=" + tokenFile(st)}
	args := []string{"--graph-url", st.Sim.URL, "--http", "", "--log-level", "warn"}
	if sc.ceiling > 0 {
		args = append(args, "--rate", strconv.FormatFloat(sc.ceiling, 'f', -1, 64))
	}
	return st.Start(ctx, env, st.Command("worker"), args...)
}
