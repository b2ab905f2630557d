package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"

	"rollcall/bench/internal/stand"
)

// bench is one run of the command.
type bench struct {
	bin    string // rollcall's commands
	dir    string // for files
	rows   int
	repeat int
	most   int // rows of the greatest growth step
}

// parts are the measurements, in their order.
var parts = []struct {
	name string
	run  func(*bench, context.Context) error
}{
	{"enqueue", (*bench).enqueue},
	{"distance", (*bench).distance},
	{"growth", (*bench).growth},
	{"memory", (*bench).memory},
	{"worker", (*bench).worker},
	{"limit", (*bench).limit},
	{"first", (*bench).first},
	{"views", (*bench).views},
	{"console", (*bench).console},
}

// run makes the measurements, one after another: two at once would share the
// processors.
func run(ctx context.Context, args []string) (err error) {
	b := new(bench)
	var names []string
	for _, p := range parts {
		names = append(names, p.name)
	}
	fs := flag.NewFlagSet("bulk", flag.ExitOnError)
	only := fs.String("only", "", "parts, with commas between: "+strings.Join(names, ", ")+" (default: all)")
	fs.IntVar(&b.rows, "rows", 1_000_000, "rows of a batch to enqueue and to look at")
	fs.IntVar(&b.most, "most", 10_000_000, "rows of the largest batch of the part growth")
	fs.IntVar(&b.repeat, "repeat", 3, "how often each is measured; medians are told")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if b.rows < 1000 || b.repeat < 1 {
		return errors.New("--rows must be at least 1000, and --repeat at least 1")
	}
	chosen := names
	if *only != "" {
		chosen = strings.Split(*only, ",")
	}
	for _, name := range chosen {
		if !slices.Contains(names, name) {
			return fmt.Errorf("--only: no part is called %q", name)
		}
	}
	if b.dir, err = os.MkdirTemp("", "rollcall-bulk-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	b.bin = b.dir + "/bin"
	root, err := stand.ModuleRoot()
	if err != nil {
		return err
	}
	if err := stand.Build(ctx, root, b.bin); err != nil {
		return err
	}
	var failed error
	for _, p := range parts {
		if !slices.Contains(chosen, p.name) {
			continue
		}
		if err := p.run(b, ctx); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", p.name, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return failed
}
