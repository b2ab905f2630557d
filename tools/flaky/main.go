// Command flaky runs tests many times on a machine that is kept busy, and lists
// those that were not green every time. A test on that list is a bug: it depends on
// how fast the machine is, or on the order in which tests run.
//
//	go run -C tools ./flaky -runs 10 ./...
//	go run -C tools ./flaky -runs 5 -tags integration ./test/...
//
// Each run has the race detector, one processor (GOMAXPROCS=1), a new order of
// tests, and twice as many busy loops beside it as the machine has processors. What
// failed is printed with the seed of its order, and its output is kept in a file.
// The exit status is 1 if anything was not green.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()

	green, err := run(ctx, os.Args[1:], os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "flaky:", err)
		os.Exit(2)
	}
	if !green {
		os.Exit(1)
	}
}

type options struct {
	dir      string
	runs     int
	tags     string
	test     string
	race     bool
	busy     int
	timeout  time.Duration
	packages []string
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("flaky", flag.ContinueOnError)
	flags.StringVar(&o.dir, "dir", "..", "`directory` of the module under test")
	flags.IntVar(&o.runs, "runs", 10, "how often to run the tests")
	flags.StringVar(&o.tags, "tags", "", "build tags, which choose the layer: none, integration or endurance")
	flags.StringVar(&o.test, "run", "", "run only tests that match this `regexp`")
	flags.BoolVar(&o.race, "race", true, "use the race detector")
	flags.IntVar(&o.busy, "busy", 2*runtime.NumCPU(), "busy loops beside the tests")
	flags.DurationVar(&o.timeout, "timeout", 30*time.Minute, "bound on one run of one package")
	if err := flags.Parse(args); err != nil {
		return o, err
	}

	if o.packages = flags.Args(); len(o.packages) == 0 {
		o.packages = []string{"./..."}
	}
	if o.runs < 1 {
		return o, errors.New("-runs must be at least 1")
	}
	return o, nil
}

// run runs the tests and reports whether all were green every time.
func run(ctx context.Context, args []string, out io.Writer) (green bool, err error) {
	o, err := parse(args)
	if err != nil {
		return false, err
	}
	logs, err := os.MkdirTemp("", "flaky-")
	if err != nil {
		return false, err
	}
	// Before the first run, so that compiling counts for none.
	if err := goTest(ctx, o, []string{"-run", "^$"}, io.Discard); err != nil {
		return false, fmt.Errorf("the tests cannot be built: %w", err)
	}

	defer keepBusy(o.busy)()
	failures := map[string]int{}
	for i := range o.runs {
		begun := time.Now()
		failed, passed, err := runOnce(ctx, o, filepath.Join(logs, fmt.Sprintf("run-%d.json", i+1)))
		if err != nil {
			return false, err
		}
		fmt.Fprintf(out, "run %d of %d: %d tests green, %d red, %.0f s\n", i+1, o.runs, passed, len(failed), time.Since(begun).Seconds())
		for _, name := range failed {
			fmt.Fprintf(out, "  red: %s\n", name)
			failures[name]++
		}
	}

	if len(failures) == 0 {
		fmt.Fprintf(out, "green in all of %d runs\n", o.runs)
		return true, os.RemoveAll(logs)
	}
	fmt.Fprintf(out, "not green every time (output and seeds are in %s):\n", logs)
	for _, name := range sortedKeys(failures) {
		fmt.Fprintf(out, "%5d of %d  %s\n", failures[name], o.runs, name)
	}
	return false, nil
}

// event is what 'go test -json' prints of a test.
type event struct {
	Action, Package, Test string
}

// runOnce runs the tests once and keeps their output in a file. It returns the names
// of those that failed, and how many passed.
func runOnce(ctx context.Context, o options, log string) (failed []string, passed int, err error) {
	f, err := os.Create(log)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()

	// A status other than 0 says no more than the events do.
	var exit *exec.ExitError
	if err := goTest(ctx, o, []string{"-json", "-shuffle=on"}, f); err != nil && !errors.As(err, &exit) {
		return nil, 0, err
	}
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, 0, err
	}

	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue // a line of the build
		}
		switch {
		case e.Action == "pass" && e.Test != "":
			passed++
		case e.Action == "fail", e.Action == "build-fail":
			failed = append(failed, strings.TrimRight(e.Package+" "+e.Test, " "))
		}
	}
	if passed == 0 && len(failed) == 0 {
		failed = append(failed, "no test ran")
	}
	return withoutParents(failed), passed, lines.Err()
}

// withoutParents leaves out packages and tests that failed because a test below them
// did.
func withoutParents(failed []string) []string {
	var out []string
	for _, name := range failed {
		parent := slices.ContainsFunc(failed, func(other string) bool {
			return strings.HasPrefix(other, name+"/") || strings.HasPrefix(other, name+" ")
		})
		if !parent {
			out = append(out, name)
		}
	}
	return out
}

func goTest(ctx context.Context, o options, more []string, out io.Writer) error {
	args := []string{"test", "-count=1", "-timeout", o.timeout.String()}
	if o.race {
		args = append(args, "-race")
	}
	if o.tags != "" {
		args = append(args, "-tags", o.tags)
	}
	if o.test != "" && !slices.Contains(more, "-run") {
		args = append(args, "-run", o.test)
	}
	cmd := exec.CommandContext(ctx, "go", append(append(args, more...), o.packages...)...)
	cmd.Dir = o.dir
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	cmd.WaitDelay = time.Minute

	return cmd.Run()
}

// keepBusy starts n loops that do nothing, each on a processor of its own as far as
// there are any. The function it returns ends them.
func keepBusy(n int) (stop func()) {
	runtime.GOMAXPROCS(n + 1)
	ctx, cancel := context.WithCancel(context.Background())
	for range n {
		go func() {
			for ctx.Err() == nil {
			}
		}()
	}
	return cancel
}

func sortedKeys(m map[string]int) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)

	return keys
}
