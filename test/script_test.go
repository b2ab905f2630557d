//go:build integration

package test

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"rollcall/internal/testutil"
)

// TestScripts runs testdata/script: what the commands print and how they end,
// one behaviour a file. Besides testscript's own commands there are those of
// scriptCommands.
func TestScripts(t *testing.T) {
	if err := noteSources(); err != nil {
		t.Fatal(err)
	}
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", bin+string(os.PathListSeparator)+env.Getenv("PATH"))
			env.Setenv("ROOT", root)
			env.Setenv("BIN", bin)
			// No script may collide with another, or with a worker of this machine.
			env.Setenv("ROLLCALL_HTTP", "127.0.0.1:0")
			env.Setenv("ROLLCALL_REDIS", "redis://127.0.0.1:1/0") // nobody listens there
			env.Setenv("ADDR", testutil.FreeAddr(env.T().(testing.TB)))
			env.Values[worldKey{}] = &world{t: env.T().(testing.TB)}
			return nil
		},
		Cmds: scriptCommands,
	})
}
