// Package enqueue is the command that turns roster files into a batch of queued
// tasks.
package enqueue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"rollcall/cmd/internal/cli"
	"rollcall/cmd/internal/setup"
	"rollcall/cmd/internal/view"
	"rollcall/internal/ledger"
	"rollcall/internal/notify"
	"rollcall/internal/redisconn"
	"rollcall/internal/report"
	"rollcall/internal/roster"
	"rollcall/internal/tasks"
)

// settings are the flags of enqueue.
type settings struct {
	fs       *cli.FlagSet
	redis    *string
	action   *string
	callID   *string
	tenantID *string
	queue    *string
	expire   *time.Duration
	keep     *time.Duration
	key      *string
	again    *bool
	dryRun   *bool
	live     *bool
	yes      *bool
	skip     *bool
	rejects  *string
	wait     *bool
	report   *string
	output   *string
	local    *bool
	simulate *bool
	worker   *setup.WorkerFlags
	target   *notify.Target // of --notify-url, if the batch is waited for

	maxDeletes tasks.DeleteLimit
}

func newSettings() *settings {
	fs := cli.NewFlagSet("enqueue", usage)
	s := &settings{
		fs:       fs,
		redis:    setup.RedisFlag(fs.FlagSet),
		action:   fs.String("action", "", "invite or delete"),
		callID:   fs.String("call-id", "", "call of files without the column"),
		tenantID: setup.TenantFlag(fs.FlagSet),
		queue:    fs.Choice("queue", "default", "queue of the batch", tasks.Queues()...),
		expire:   fs.Duration("expire", 24*time.Hour, "time until the rows' deadline"),
		keep:     fs.Duration("keep", 7*24*time.Hour, "time the batch can be read after that"),
		key:      fs.String("key", "", "part of the batch's identity"),
		again:    fs.Bool("again", false, "make another batch of the same file"),
		dryRun:   fs.Bool("dry-run", false, "check, and print the plan"),
		live:     fs.Bool("live", false, "plan by the rosters, too"),
		yes:      fs.Bool("yes", false, "let through what --max-deletes would refuse"),
		skip:     fs.Bool("skip-invalid", false, "leave rows with errors out"),
		rejects:  fs.String("rejects", "", "file for the rows left out"),
		wait:     fs.Bool("wait", false, "stay until the batch is finished"),
		report:   fs.String("report", "", "file for what became of each row"),
		output:   fs.Choice("output", "text", "text or json", "text", "json"),
		local:    fs.Bool("local", false, "do it all in this process"),
		simulate: fs.Bool("simulate", false, "against a simulated Graph"),
		worker:   setup.NewWorkerFlags(fs),
	}
	fs.Var(&s.maxDeletes, "max-deletes", "refuse files that would remove more")
	return s
}

// parse reads the flags and returns how to read the files.
func (s *settings) parse(c *cli.Command) (roster.Options, error) {
	var o roster.Options
	if err := s.fs.Parse(c); err != nil {
		return o, err
	}
	switch {
	case s.fs.NArg() == 0:
		return o, cli.Usagef("name a roster file, or '-' for standard input\nTry 'enqueue --help'.")
	case *s.live && !*s.dryRun:
		return o, cli.Usagef("--live goes with --dry-run: it says what would happen")
	case *s.simulate && !*s.local:
		return o, cli.Usagef("--simulate goes with --local")
	case s.fs.Given("report") && !*s.wait && !*s.local:
		return o, cli.Usagef("--report goes with --wait: before the batch is finished there is nothing to report")
	case s.fs.Given("notify-url") && !*s.wait && !*s.local:
		return o, cli.Usagef("--notify-url is for who sees the batch finish: give it to the workers, or add --wait")
	case s.fs.Given("rejects") && !*s.skip:
		return o, cli.Usagef("--rejects goes with --skip-invalid")
	case *s.again && *s.key != "" && s.fs.Given("again") == s.fs.Given("key"):
		return o, cli.Usagef("--again and --key contradict each other: one always makes a new batch, the other at most one")
	case *s.expire < time.Second || *s.keep < time.Second:
		return o, cli.Usagef("--expire and --keep must be at least 1s")
	case *s.expire > maxLife || *s.keep > maxLife:
		return o, cli.Usagef("--expire and --keep must be at most %s", maxLife)
	}
	if s.fs.Given("again") {
		*s.key = "" // it came from the environment
	}
	o = roster.Options{CallID: *s.callID, TenantID: *s.tenantID, SkipInvalid: *s.skip}
	if *s.action != "" {
		var err error
		if o.Action, err = roster.ParseAction(*s.action); err != nil {
			return o, cli.Usagef("--action: %w", err)
		}
	}
	if err := o.Validate(); err != nil {
		return o, cli.Usagef("%w", err)
	}
	return o, s.worker.Check()
}

// maxLife bounds --expire and --keep.
const maxLife = 366 * 24 * time.Hour

// Run runs enqueue.
func Run(ctx context.Context, c *cli.Command) (err error) {
	s := newSettings()
	o, err := s.parse(c)
	if err != nil {
		return err
	}
	if (*s.wait || *s.local) && !*s.dryRun {
		if s.target, err = s.worker.Target(c, s.fs, s.worker.Logger(c)); err != nil {
			return err
		}
	}
	in, err := roster.Open(s.fs.Args(), c.Stdin)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	sum, err := s.check(ctx, c, in, o)
	if err != nil {
		return err
	}
	r := tasks.Request{
		Input: in, Summary: sum, Options: o, Key: *s.key, Again: *s.again && *s.key == "",
		Queue: *s.queue, Expire: *s.expire, Keep: *s.keep,
	}
	switch {
	case *s.dryRun:
		return s.plan(ctx, c, r)
	case *s.local:
		return s.runLocal(ctx, c, r)
	}
	s.tellUnused(c)
	rdb, err := setup.Redis(ctx, c, s.fs, *s.redis)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(redisconn.Explain(err), rdb.Close()) }()
	if err := s.guardWith(ctx, c, rdb, r); err != nil {
		return err
	}
	return s.enqueue(ctx, c, tasks.NewQueue(rdb), r, *s.wait)
}

// tellUnused says which flags do nothing here: they would seem to have worked.
func (s *settings) tellUnused(c *cli.Command) {
	if s.maxDeletes.NeedsRosters() { // then rosters are read here
		return
	}
	for _, name := range s.worker.Names() {
		if s.fs.Given(name) {
			c.Printf("notice: --%s does nothing here: it goes with --local or --dry-run; give it to the workers\n", name)
		}
	}
}

// invalidOutput is the JSON of input that cannot be used.
type invalidOutput struct {
	Error string `json:"error"`
	*roster.InvalidError
}

// check is the first pass over the files. It reports what is wrong, and writes
// the rejects.
func (s *settings) check(ctx context.Context, c *cli.Command, in *roster.Input, o roster.Options) (*roster.Summary, error) {
	sum, err := in.Check(ctx, o)
	invalid, isInvalid := errors.AsType[*roster.InvalidError](err)
	if err != nil && !isInvalid {
		return nil, err
	}
	if sum != nil {
		for _, n := range sum.Notices {
			c.Printf("notice: %s\n", n)
		}
	}
	if sum != nil && *s.skip && *s.rejects != "" {
		if err := view.File(*s.rejects, func(w io.Writer) error { return writeRejects(ctx, w, in, o, sum) }); err != nil {
			return nil, err
		}
	}
	if isInvalid {
		return nil, s.refuse(c, invalid)
	}
	if sum.Rejected > 0 {
		s.listErrors(c, sum.Errors, sum.More)
		c.Printf("notice: %d rows with errors are left out\n", sum.Rejected)
	}
	return sum, nil
}

func (s *settings) refuse(c *cli.Command, invalid *roster.InvalidError) error {
	if *s.output == "json" {
		if err := c.JSON(invalidOutput{"invalid input", invalid}); err != nil {
			return err
		}
		return cli.Exit(cli.StatusInvalidRows)
	}
	s.listErrors(c, invalid.Errors, invalid.More)
	c.Printf("error: invalid input, nothing was enqueued\n")
	return cli.Exit(cli.StatusInvalidRows)
}

func (s *settings) listErrors(c *cli.Command, errs []roster.Error, more int) {
	for _, e := range errs {
		c.Printf("%s\n", e.Error())
	}
	if more > 0 {
		c.Printf("and %d more errors\n", more)
	}
}

func writeRejects(ctx context.Context, w io.Writer, in *roster.Input, o roster.Options, sum *roster.Summary) error {
	out := roster.NewRejects(w, sum.Files)
	if err := in.Each(ctx, o, func(roster.Record) error { return nil }, out.Write); err != nil {
		return err
	}
	return out.Flush()
}

// enqueued is the JSON of an enqueue.
type enqueued struct {
	view.Summary
	Existing bool `json:"existing"`
	*view.Progress
	Plan *planned `json:"plan,omitempty"` // with --dry-run
	*invalidOutput
}

func describe(b ledger.Batch) string {
	return fmt.Sprintf("batch %s: %d rows in %d tasks: %d invites, %d deletes, %d calls",
		b.ID, b.Rows, b.Totals.Tasks, b.Totals.Invites, b.Totals.Deletes, b.Totals.Calls)
}

// enqueue makes the batch and, with wait, stays until it is finished.
func (s *settings) enqueue(ctx context.Context, c *cli.Command, q *tasks.Queue, r tasks.Request, wait bool) error {
	notices, err := setup.Notifier(ctx, q.Ledger, s.target, s.worker.Logger(c))
	if err != nil {
		return err
	}
	b, existing, err := q.Enqueue(ctx, r)
	if err != nil {
		if ctx.Err() != nil && b.ID != "" {
			c.Printf("interrupted: the same enqueue again completes batch %s\n", b.ID)
		}
		return err
	}
	said := "enqueued"
	if existing {
		said = "already there:"
	}
	c.Printf("%s %s\n", said, describe(b))
	out := enqueued{Summary: view.SummaryOf(b), Existing: existing}
	if !wait {
		if *s.output == "json" {
			return c.JSON(out)
		}
		return nil
	}
	afterwards := view.GoesOn(b.ID)
	if *s.local {
		afterwards = "the batch ended with this process; enqueueing the same file again is safe"
	}
	st, err := view.Watch(ctx, c, q, b.ID, afterwards)
	if err != nil {
		return err
	}
	err = s.finish(ctx, c, q.Ledger, st, out)
	s.deliver(ctx, c, notices, b.ID)
	if err != nil {
		return err
	}
	return view.Exit(st)
}

// finish tells what became of the batch.
func (s *settings) finish(ctx context.Context, c *cli.Command, l *ledger.Ledger, st ledger.Status, out enqueued) error {
	if *s.report != "" {
		err := view.File(*s.report, func(w io.Writer) error { return report.Write(ctx, w, l, st.Batch, "csv", "all") })
		if err != nil {
			return err
		}
	}
	if *s.output == "json" {
		p := view.ProgressOf(st)
		out.Progress = &p
		return c.JSON(out)
	}
	return view.Text(c.Stderr, st)
}
