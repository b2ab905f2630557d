// Package cli is the frame the commands share: flags that fall back to
// the environment, usage text, exit status, signals, and what goes to standard
// output and what to standard error. It must not know Redis, Graph or rows.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/pflag"
)

// Exit statuses, the same for every command.
const (
	StatusDone        = 0   // everything done, or skipped for a recorded reason
	StatusCannotRun   = 1   // Redis, network or I/O
	StatusUsage       = 2   // flags or arguments
	StatusInvalidRows = 3   // invalid input or too many deletes, nothing enqueued
	StatusRowsFailed  = 4   // the batch finished and some rows failed
	StatusInterrupted = 130 // SIGINT or SIGTERM before the work was done
)

// Command is what a program sees of the world: tests give it another one.
type Command struct {
	Args           []string
	Env            func(string) string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// Printf writes text for people to standard error.
func (c *Command) Printf(format string, args ...any) {
	_, _ = fmt.Fprintf(c.Stderr, format, args...)
}

// JSON writes v as one indented object to standard output.
func (c *Command) JSON(v any) error {
	enc := json.NewEncoder(c.Stdout)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write standard output: %w", err)
	}
	return nil
}

// exitError carries an exit status. A nil err prints nothing: the command has
// already said what there was to say.
type exitError struct {
	status int
	err    error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.status)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// Exit returns an error that ends the program with status and prints nothing.
func Exit(status int) error {
	if status == StatusDone {
		return nil
	}
	return &exitError{status: status}
}

// Usagef returns an error that ends the program with StatusUsage.
func Usagef(format string, args ...any) error {
	return &exitError{status: StatusUsage, err: fmt.Errorf(format, args...)}
}

// errHelp ends the program after --help or --version, with StatusDone.
var errHelp = errors.New("help was printed")

// Main runs a command as the process: os.Args, environment, standard streams,
// SIGINT and SIGTERM as the end of ctx. It does not return.
func Main(run func(ctx context.Context, c *Command) error) {
	// net/http writes there what a server sends beyond the end of an answer, which
	// may name people or repeat the token.
	log.SetOutput(io.Discard)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	c := &Command{Args: os.Args[1:], Env: os.Getenv, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	go func() {
		<-ctx.Done()
		stop() // a second signal ends the process at once
	}()
	status := Run(ctx, c, run)
	stop()
	os.Exit(status)
}

// Run runs a command and turns its error into a message on standard error and
// an exit status.
func Run(ctx context.Context, c *Command, run func(ctx context.Context, c *Command) error) int {
	err := run(ctx, c)
	var exit *exitError
	switch {
	case err == nil, errors.Is(err, errHelp):
		return StatusDone
	case errors.As(err, &exit):
		if exit.err != nil {
			c.Printf("error: %v\n", exit.err)
		}
		return exit.status
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		c.Printf("interrupted\n")
		return StatusInterrupted
	}
	c.Printf("error: %v\n", err)
	return StatusCannotRun
}

// FlagSet is a pflag.FlagSet in which every flag can also be set by
// environment (--max-attempts is ROLLCALL_MAX_ATTEMPTS; a flag beats it) and
// whose usage text is written by hand.
type FlagSet struct {
	*pflag.FlagSet
	usage string
	given map[string]bool
}

// NewFlagSet returns an empty flag set. usage is printed by --help as it is.
func NewFlagSet(name, usage string) *FlagSet {
	fs := pflag.NewFlagSet(name, pflag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	fs.BoolP("help", "h", false, "print this text")
	fs.Bool("version", false, "print the version")
	return &FlagSet{FlagSet: fs, usage: usage, given: map[string]bool{}}
}

// Given tells whether the flag was written on the command line. What is set by
// environment may be meant for other commands, so it contradicts nothing.
func (fs *FlagSet) Given(name string) bool { return fs.given[name] }

// Parse reads c.Args and then, for flags not given, the environment. After
// --help or --version it returns an error that ends the program with status 0;
// a wrong flag or value ends it with StatusUsage.
func (fs *FlagSet) Parse(c *Command) error {
	err := fs.FlagSet.Parse(c.Args)
	help, _ := fs.GetBool("help")
	version, _ := fs.GetBool("version")
	switch {
	case help || errors.Is(err, pflag.ErrHelp):
		return printed(io.WriteString(c.Stdout, fs.usage))
	case err != nil:
		return Usagef("%w\nTry '%s --help'.", err, fs.Name())
	case version:
		return printed(fmt.Fprintf(c.Stdout, "%s %s\n", fs.Name(), describe(buildInfo())))
	}
	fs.Visit(func(f *pflag.Flag) { fs.given[f.Name] = true })
	fs.VisitAll(func(f *pflag.Flag) {
		if f.Changed || err != nil || f.Name == "help" || f.Name == "version" {
			return
		}
		name := EnvName(f.Name)
		if v := c.Env(name); v != "" {
			if e := fs.Set(f.Name, v); e != nil {
				err = Usagef("environment variable %s: %w", name, e)
			}
		}
	})
	return err
}

func printed(_ int, err error) error {
	if err != nil {
		return fmt.Errorf("write standard output: %w", err)
	}
	return errHelp
}

// EnvName is the environment variable that stands for a flag.
func EnvName(flag string) string {
	return "ROLLCALL_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// Choice declares a flag that takes one of the given words.
func (fs *FlagSet) Choice(name, value, usage string, allowed ...string) *string {
	c := &choice{value: value, allowed: allowed}
	fs.Var(c, name, usage)
	return &c.value
}

type choice struct {
	value   string
	allowed []string
}

func (c *choice) String() string { return c.value }
func (c *choice) Type() string   { return strings.Join(c.allowed, "|") }

func (c *choice) Set(s string) error {
	for _, a := range c.allowed {
		if strings.EqualFold(a, s) {
			c.value = a
			return nil
		}
	}
	return fmt.Errorf("must be one of %s", strings.Join(c.allowed, ", "))
}
