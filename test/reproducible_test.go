//go:build linux && endurance

package test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestReproducible builds twice, in two clones of the same commit, what the image has:
// the same to the byte, which says what it was built from.
func TestReproducible(t *testing.T) {
	if err := noteSources(); err != nil {
		t.Fatal(err)
	}
	t.Parallel()
	var built [2][]byte
	var revision string
	for i := range built {
		sources, out := t.TempDir(), t.TempDir()
		revision = commit(t, sources)
		buildImage(t, sources, out, "-buildvcs=true")
		var err error
		if built[i], err = os.ReadFile(out + "/usr/local/bin/rollcall"); err != nil {
			t.Fatal(err)
		}
		version := tool(t, sources, out+"/usr/local/bin/worker", "--version")
		if want := ", revision " + revision + " of 2026-11-25T10:00:00Z, go1."; !strings.Contains(version, want) || !strings.HasPrefix(version, "worker v0.0.0-") {
			t.Errorf("--version says %q, which has no %q", version, want)
		}
	}
	if !bytes.Equal(built[0], built[1]) {
		t.Error("two builds of one commit differ")
	}
	const most = 40 << 20
	if n := len(built[0]); n > most {
		t.Errorf("the commands have %d bytes; at most %d are wanted", n, most)
	}
}

// commit makes a repository with the sources of the commands, and returns its only
// commit, which is the same in any directory.
func commit(t *testing.T, dir string) string {
	t.Helper()
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"cmd", "internal"} {
		if err := os.CopyFS(filepath.Join(dir, name), os.DirFS(filepath.Join(root, name))); err != nil {
			t.Fatal(err)
		}
	}
	tool(t, dir, "git", "init", "-q")
	tool(t, dir, "git", "add", ".")
	tool(t, dir, "git", "-c", "commit.gpgsign=false", "commit", "-q", "--no-verify", "-m", "all")
	return strings.TrimSpace(tool(t, dir, "git", "rev-parse", "HEAD"))
}

// tool runs a program to its end and returns what it says.
func tool(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), longest)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(),
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_AUTHOR_DATE=2026-11-25T10:00:00Z",
		"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com", "GIT_COMMITTER_DATE=2026-11-25T10:00:00Z",
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}
