//go:build integration

package test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"rollcall/internal/redistest"
	"rollcall/internal/testutil"
)

// exampleLines are the commands that a help text ends with.
func exampleLines(t *testing.T, name string) []string {
	t.Helper()
	r := must(t, 0, root, nil, name, "--help")
	_, examples, ok := strings.Cut(r.stdout, "\nExamples:\n")
	if !ok {
		t.Fatalf("%s --help has no examples", name)
	}
	var lines []string
	whole := ""
	for line := range strings.Lines(examples) {
		if !strings.HasPrefix(line, "  ") {
			t.Errorf("%s --help does not end with its examples: %q", name, line)
		}
		line = strings.TrimSpace(line)
		if more, ok := strings.CutSuffix(line, `\`); ok {
			whole += more
			continue
		}
		if whole += line; whole != "" && !strings.HasPrefix(whole, "#") {
			lines = append(lines, whole)
		}
		whole = ""
	}
	if len(lines) == 0 {
		t.Fatalf("%s --help shows no example", name)
	}
	return lines
}

// TestExamples runs what the help texts show, as it is printed, beside a copy of
// the examples. Only ports are others: something else may have those.
func TestExamples(t *testing.T) {
	if err := noteSources(); err != nil {
		t.Fatal(err)
	}
	t.Parallel()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "examples"), os.DirFS(filepath.Join(root, "examples"))); err != nil {
		t.Fatal(err)
	}
	server := redistest.StartServer(t)
	sim := startSim(t, dir, "--roster", "examples/roster.csv")
	env := []string{"ROLLCALL_REDIS=" + server.URL(), "ROLLCALL_HTTP=127.0.0.1:0", "ROLLCALL_LISTEN=127.0.0.1:0"}
	shell := func(t *testing.T, line string) *exec.Cmd {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		t.Cleanup(cancel)
		cmd := command(ctx, dir, env, "sh", "-c", line)
		cmd.Path = "/bin/sh"
		return cmd
	}

	for _, line := range exampleLines(t, "graphsim") {
		t.Run(line, func(t *testing.T) {
			line = strings.ReplaceAll(line, "127.0.0.1:8089", "127.0.0.1:0")
			// It serves until it is told to end.
			cmd := shell(t, "exec "+line)
			var out testutil.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			testutil.Eventually(t, "it listens", func() bool { return listening.MatchString(out.String()) })
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("%v\n%s", err, out.String())
			}
		})
	}
	// The worker and batch have something to do and to show.
	must(t, 0, dir, env, "enqueue", "examples/roster.csv")
	for _, name := range []string{"enqueue", "worker", "batch"} {
		for _, line := range exampleLines(t, name) {
			t.Run(line, func(t *testing.T) {
				line = strings.ReplaceAll(line, "http://127.0.0.1:8089", sim.url)
				if out, err := shell(t, line).CombinedOutput(); err != nil {
					t.Errorf("%v\n%s", err, out)
				}
			})
		}
	}
	var st batchStatus
	must(t, 0, dir, env, "batch", "status", "--output", "json").json(t, &st)
	st.whole(t, st.Rows)
}
