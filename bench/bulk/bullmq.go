package main

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"rollcall/bench/internal/stand"
	"rollcall/bench/internal/work"
)

//go:embed bullmq.mjs
var bullmqProgram string

// The versions that are measured; ioredis is how BullMQ connects by default.
const (
	bullmqVersion  = "6.7.0"
	ioredisVersion = "6.0.0"
)

// bullmq enqueues with BullMQ, which npm has to have, or to be able to get.
func bullmq(ctx context.Context, st *stand.Stand, rows []work.Row, _ string) (time.Duration, error) {
	dir := filepath.Join(os.TempDir(), "rollcall-bench-bullmq-"+bullmqVersion)
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "bullmq")); err != nil {
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return 0, err
		}
		cmd := exec.CommandContext(ctx, "npm", "install", "--no-package-lock", "--no-save", "--prefix", dir, "bullmq@"+bullmqVersion, "ioredis@"+ioredisVersion)
		if out, err := cmd.CombinedOutput(); err != nil {
			return 0, fmt.Errorf("get BullMQ: %w\n%s", err, out)
		}
	}
	program, data := filepath.Join(dir, "bench.mjs"), filepath.Join(st.Dir, "rows.jsonl")
	if err := os.WriteFile(program, []byte(bullmqProgram), 0o600); err != nil {
		return 0, err
	}
	if err := writeJSON(data, rows); err != nil {
		return 0, err
	}
	_, port, err := net.SplitHostPort(st.Redis)
	if err != nil {
		return 0, err
	}
	out, err := exec.CommandContext(ctx, "node", program, data, port).Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return 0, fmt.Errorf("BullMQ: %w\n%s", err, exit.Stderr)
	} else if err != nil {
		return 0, err
	}
	seconds, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
	return time.Duration(seconds * float64(time.Second)), err
}

func writeJSON(path string, rows []work.Row) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	enc := json.NewEncoder(w)
	for _, r := range rows {
		if err := enc.Encode(r); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return errors.Join(w.Flush(), f.Close())
}
