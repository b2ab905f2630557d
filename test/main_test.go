//go:build integration || endurance

package test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"rollcall/internal/testutil"
)

// bin is the directory of the commands under test, built once a run.
var bin string

func TestMain(m *testing.M) {
	testutil.SetParallel(12)
	os.Exit(build(m))
}

// build builds the commands, runs the tests and removes the commands.
func build(m *testing.M) int {
	dir, err := os.MkdirTemp("", "rollcall-bin-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	bin = dir

	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	defer cancel()
	// As in the image, one program is linked, and the commands are names of it. Version
	// control is left alone: a tree that another user owns is no reason to fail.
	args := slices.Concat([]string{"build"}, buildFlags, []string{"-o", bin + string(filepath.Separator), "./cmd/rollcall"})
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), cgoSetting)
	if out, err := cmd.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the commands: %v\n%s", err, out)
		return 1
	}
	for _, name := range []string{"enqueue", "worker", "batch", "graphsim"} {
		if err := os.Symlink("rollcall", filepath.Join(bin, name)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return m.Run()
}

// noteSources looks at what the commands are built from, so that 'go test' knows
// that its results depend on them: it caches those of unchanged tests. It counts
// only what happens while tests run.
var noteSources = sync.OnceValue(func() error {
	return filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && slices.Contains([]string{".go", ".lua", ".html", ".css", ".js"}, filepath.Ext(path)) {
			_, err = os.Stat(path)
		}
		return err
	})
})
