// Command mutate checks the tests: it plants small faults in the heart of the product,
// one after another, and runs the tests that should notice each. A fault that no test
// notices has shown what is not tested.
//
//	cd tools && go run ./mutate
//
// It works on a copy of the tree and never touches the checkout. It exits with 1 if a
// fault survived, and with 2 if the check could not be made: a fault's anchor is gone, a
// fault does not compile, or the tests fail without any fault.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	exitSurvived = 1
	exitError    = 2
)

func main() {
	list := flag.Bool("list", false, "list the faults and do nothing")
	only := flag.String("only", "", "plant only the fault of this `name`, or of several with commas between")
	keep := flag.Bool("keep", false, "keep the copy of the tree, with the last fault in it")
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(exitError)
	}

	chosen, err := choose(faults, *only)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(exitError)
	}
	if *list {
		listFaults(os.Stdout, chosen)
		return
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	survived, err := check(ctx, os.Stdout, chosen, *keep)
	stop()
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(exitError)
	case survived > 0:
		os.Exit(exitSurvived)
	}
}

// choose returns the faults of some names, or all for no name.
func choose(all []fault, names string) (chosen []fault, err error) {
	if names == "" {
		return all, nil
	}
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(all, func(f fault) bool { return f.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no fault %q: -list shows all", name)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

func listFaults(out io.Writer, faults []fault) {
	t := newTable(faults)
	for _, f := range faults {
		_, _ = fmt.Fprintf(out, "%-*s  %-*s  %s\n", t.name, f.Name, t.file, f.File, f.Promise)
	}
}

// check plants each fault in a copy of the tree and prints which test noticed it. It
// returns how many survived.
func check(ctx context.Context, out io.Writer, faults []fault, keep bool) (survived int, err error) {
	began := time.Now()
	c, err := newCopy(ctx)
	if err != nil {
		return 0, err
	}
	defer func() {
		if keep {
			_, _ = fmt.Fprintln(out, "kept", c.tree)
			return
		}
		err = errors.Join(err, c.remove())
	}()
	if err := c.anchored(faults); err != nil {
		return 0, err
	}

	if err := c.control(ctx, faults); err != nil {
		return 0, err
	}
	_, _ = fmt.Fprintf(out, "without a fault all tests pass (%.0f s)\n\n", time.Since(began).Seconds())

	t := newTable(faults)
	t.head(out)
	var broken []error
	for _, f := range faults {
		from := time.Now()
		r, err := c.try(ctx, f)
		if ctx.Err() != nil {
			return survived, context.Cause(ctx)
		}
		if err != nil {
			broken = append(broken, err)
			r = result{text: "ERROR: " + err.Error()}
		} else if !r.noticed {
			survived++
		}
		t.row(out, f, time.Since(from), r)
	}
	_, _ = fmt.Fprintf(out, "\n%d faults, %d survived, %d could not be tried (%.0f s)\n", len(faults), survived, len(broken), time.Since(began).Seconds())

	if len(broken) > 0 {
		return survived, fmt.Errorf("%d of the faults could not be tried", len(broken))
	}
	return survived, nil
}

// table has the widths of the columns.
type table struct{ name, file, promise int }

func newTable(faults []fault) table {
	t := table{name: len("fault"), file: len("file"), promise: len("what it breaks")}
	for _, f := range faults {
		t.name = max(t.name, len(f.Name))
		t.file = max(t.file, len(f.File))
		t.promise = max(t.promise, len(f.Promise))
	}
	return t
}

func (t table) head(out io.Writer) {
	_, _ = fmt.Fprintf(out, "%-*s  %-*s  %-*s  seconds  noticed by\n", t.name, "fault", t.file, "file", t.promise, "what it breaks")
}

func (t table) row(out io.Writer, f fault, took time.Duration, r result) {
	_, _ = fmt.Fprintf(out, "%-*s  %-*s  %-*s  %7.1f  %s\n", t.name, f.Name, t.file, f.File, t.promise, f.Promise, took.Seconds(), r.text)
}
