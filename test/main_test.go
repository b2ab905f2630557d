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

// bin is the directory of the commands under test, built once.
var bin string

// root is the directory of the module.
var root string

func TestMain(m *testing.M) {
	testutil.SetParallel(8)
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
	if root, err = filepath.Abs(".."); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	defer cancel()
	// Version control is left alone: a tree that another user owns is no
	// reason to fail.
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", raceFlag, "-o", bin+string(filepath.Separator),
		"./cmd/...")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the commands: %v\n%s", err, out)
		return 1
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
