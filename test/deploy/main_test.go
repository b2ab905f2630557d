package deploy

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// root is the directory of the repository, bin that of the commands, built once.
var root, bin string

func TestMain(m *testing.M) { os.Exit(build(m)) }

func build(m *testing.M) int {
	dir, err := os.MkdirTemp("", "rollcall-bin-")
	if err == nil {
		defer os.RemoveAll(dir)
		root, err = filepath.Abs(filepath.Join("..", ".."))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	bin = dir
	cmd := exec.CommandContext(context.Background(), "go", "build", "-buildvcs=false", "-o", bin+string(filepath.Separator), "./cmd/rollcall")
	cmd.Dir = root
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
