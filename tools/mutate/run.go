package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	// testLimit is how long the tests of one look may take. It bounds faults that
	// make tests wait for ever.
	testLimit = 120 * time.Second
	// buildLimit is how long compiling and ending may take besides.
	buildLimit = 5 * time.Minute
)

// look is one run of tests.
type look struct {
	pkg string
	run string // names of tests, with a "|" between; empty: all tests
}

// parseLook reads "./internal/pkg TestName/subtest".
func parseLook(text string) look {
	pkg, run, _ := strings.Cut(text, " ")
	return look{pkg: pkg, run: run}
}

// looks returns the tests that should notice a fault, those first that are the
// quickest to do so.
func (f fault) looks() []look {
	var all []look
	if f.Test != "" {
		all = append(all, parseLook(f.Test))
	}
	own := path.Dir(f.File)
	if path.Base(own) == "scripts" {
		own = path.Dir(own)
	}
	for _, pkg := range []string{"./" + own, "./internal/tasks"} {
		if l := (look{pkg: pkg}); !slices.Contains(all, l) {
			all = append(all, l)
		}
	}
	return all
}

// result is what became of a fault.
type result struct {
	noticed bool
	text    string
}

// control runs the tests that are looked at first without any fault.
func (c *workCopy) control(ctx context.Context, faults []fault) error {
	tests := map[string][]string{}
	for _, f := range faults {
		l := f.looks()[0]
		if l.run != "" && !slices.Contains(tests[l.pkg], l.run) {
			tests[l.pkg] = append(tests[l.pkg], l.run)
		}
	}
	for pkg, names := range tests {
		if err := c.passes(ctx, look{pkg: pkg, run: strings.Join(names, "|")}); err != nil {
			return err
		}
	}
	return nil
}

// passes makes sure that tests pass without a fault. It asks once.
func (c *workCopy) passes(ctx context.Context, l look) error {
	if c.green[l] {
		return nil
	}
	out, err := c.test(ctx, l)
	if err != nil {
		return fmt.Errorf("without any fault, tests of %s fail: %w\n%s", l.pkg, err, tail(out))
	}
	c.green[l] = true
	return nil
}

// try plants a fault and finds the test that notices it.
func (c *workCopy) try(ctx context.Context, f fault) (result, error) {
	for n, l := range f.looks() {
		if l.run == "" { // the control run has not seen all tests
			if err := errors.Join(c.lift(), c.passes(ctx, l)); err != nil {
				return result{}, err
			}
		}
		if err := c.plant(f); err != nil {
			return result{}, err
		}
		out, err := c.test(ctx, l)
		var failed *exec.ExitError
		switch {
		case err == nil:
			continue
		case !errors.As(err, &failed):
			return result{}, err
		case notCompiled(out):
			return result{}, fmt.Errorf("fault %s does not compile:\n%s", f.Name, tail(out))
		}
		r := result{noticed: true, text: noticedBy(out)}
		if n > 0 && f.Test != "" {
			r.text += " (not by " + f.Test + ")"
		}
		return r, nil
	}
	return result{text: "SURVIVED"}, nil
}

// test runs tests in the copy. Whatever they have started ends with them.
func (c *workCopy) test(ctx context.Context, l look) ([]byte, error) {
	args := []string{"test", "-count=1", "-vet=off", "-ldflags=-w", "-failfast", "-timeout", testLimit.String()}
	if l.run != "" {
		args = append(args, "-run", pattern(l.run))
	}
	ctx, cancel := context.WithTimeout(ctx, testLimit+buildLimit)
	defer cancel()

	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", append(args, l.pkg)...)
	cmd.Dir = c.tree
	cmd.Env = append(os.Environ(), "TMPDIR="+c.temp)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	killGroup := func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Cancel = killGroup
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	err := cmd.Wait()
	_ = killGroup() // a server of a test that panicked lives on
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // it was that server that had the output open
	}
	return out.Bytes(), err
}

// pattern returns the -run pattern that matches tests by their whole names.
func pattern(run string) string {
	var tests []string
	for test := range strings.SplitSeq(run, "|") {
		var names []string
		for name := range strings.SplitSeq(test, "/") {
			names = append(names, "^"+regexp.QuoteMeta(name)+"$")
		}
		tests = append(tests, strings.Join(names, "/"))
	}
	return strings.Join(tests, "|")
}

func notCompiled(out []byte) bool {
	return bytes.Contains(out, []byte("[build failed]")) || bytes.Contains(out, []byte("[setup failed]"))
}

// noticedBy returns the test that failed first and, if it did not say so itself, how.
func noticedBy(out []byte) string {
	name, how := "", ""
	waiting := false // a list of tests that were running follows
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		fields := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "--- FAIL: ") && len(fields) > 2:
			if name == "" || strings.HasPrefix(fields[2], name+"/") {
				name = fields[2]
			}
		case strings.HasPrefix(line, "panic: test timed out"):
			how = " (timeout)"
		case strings.HasPrefix(line, "panic: deadlock"), strings.HasPrefix(line, "fatal error: all goroutines"):
			how = " (deadlock)"
		case strings.HasPrefix(line, "panic: "), strings.HasPrefix(line, "fatal error: "):
			if how == "" {
				how = " (panic)"
			}
		case line == "running tests:":
			waiting = true
		case waiting && len(fields) > 0 && strings.HasPrefix(fields[0], "Test"):
			if name == "" {
				name = fields[0]
			}
			waiting = false
		}
	}
	if name == "" {
		name = "a test"
	}
	return name + how
}

// tail returns the last lines of an output.
func tail(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}
