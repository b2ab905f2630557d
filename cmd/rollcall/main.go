// Command rollcall is the four commands in one file, a quarter of the size of four:
// whichever it is called as (by a link of that name), or whichever its first
// argument names.
package main

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"rollcall/cmd/internal/batch"
	"rollcall/cmd/internal/cli"
	"rollcall/cmd/internal/enqueue"
	"rollcall/cmd/internal/graphsim"
	"rollcall/cmd/internal/worker"
)

const usage = `rollcall applies roster changes to live Microsoft Teams calls in bulk. It is four
commands in one file:

  rollcall enqueue      turns roster files into a batch of tasks
  rollcall worker       carries tasks out through Microsoft Graph
  rollcall batch        shows batches, retries and cancels them
  rollcall graphsim     serves a simulated Microsoft Graph

Usage: rollcall COMMAND [flags] [arguments]

  --help, --version

Called by a link that is named as a command, it is that command:
ln -s rollcall worker.

Examples:
  rollcall enqueue --local --simulate examples/roster.csv
  rollcall worker --help
`

var commands = map[string]func(context.Context, *cli.Command) error{
	"enqueue": enqueue.Run, "worker": worker.Run, "batch": batch.Run, "graphsim": graphsim.Run,
}

func main() {
	name := strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe")
	if run, ok := commands[name]; ok {
		cli.Main(run)
	}
	cli.Main(dispatch)
}

// dispatch runs the command that the first argument names.
func dispatch(ctx context.Context, c *cli.Command) error {
	if len(c.Args) > 0 {
		if run, ok := commands[c.Args[0]]; ok {
			c.Args = c.Args[1:]
			return run(ctx, c)
		}
	}
	fs := cli.NewFlagSet("rollcall", usage)
	fs.SetInterspersed(false) // flags after an unknown word are that word's
	if err := fs.Parse(c); err != nil {
		return err
	}
	names := strings.Join(slices.Sorted(maps.Keys(commands)), ", ")
	if fs.NArg() == 0 {
		return cli.Usagef("say which command: %s\nTry 'rollcall --help'.", names)
	}
	return cli.Usagef("no command %q: there are %s\nTry 'rollcall --help'.", fs.Arg(0), names)
}
