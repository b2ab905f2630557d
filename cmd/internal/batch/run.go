// Package batch is the command that shows batches, retries and cancels them.
package batch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"rollcall/cmd/internal/cli"
	"rollcall/cmd/internal/setup"
	"rollcall/cmd/internal/view"
	"rollcall/internal/ledger"
	"rollcall/internal/redisconn"
	"rollcall/internal/report"
	"rollcall/internal/tasks"
)

// app is one run of the command.
type app struct {
	c      *cli.Command
	q      *tasks.Queue
	json   bool
	format string
	only   string
	last   int64
}

// commands are the words after 'batch'. needsID: nothing is changed by default.
var commands = map[string]struct {
	run     func(*app, context.Context, ledger.Status) error
	needsID bool
}{
	"status": {run: (*app).status},
	"watch":  {run: (*app).watch},
	"report": {run: (*app).report},
	"retry":  {run: (*app).retry, needsID: true},
	"cancel": {run: (*app).cancel, needsID: true},
}

// Run runs batch.
func Run(ctx context.Context, c *cli.Command) (err error) {
	fs := cli.NewFlagSet("batch", usage)
	url := setup.RedisFlag(fs.FlagSet)
	output := fs.Choice("output", "text", "text or json", "text", "json")
	format := fs.Choice("format", "csv", "format of a report", report.Formats()...)
	only := fs.String("only", "", "rows to report or retry")
	last := fs.Int64("last", 100, "batches that list shows")
	if err := fs.Parse(c); err != nil {
		return err
	}
	a := &app{c: c, json: *output == "json", format: *format, only: *only, last: *last}
	word, id, err := arguments(fs, a)
	if err != nil {
		return err
	}
	rdb, err := setup.Redis(ctx, c, fs, *url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(redisconn.Explain(err), rdb.Close()) }()
	a.q = tasks.NewQueue(rdb)
	if word == "list" {
		return a.list(ctx)
	}
	st, err := a.find(ctx, id)
	if err != nil {
		return err
	}
	return commands[word].run(a, ctx, st)
}

func arguments(fs *cli.FlagSet, a *app) (word, id string, err error) {
	args := fs.Args()
	if len(args) == 0 {
		return "", "", cli.Usagef("say what to do: list, status, watch, report, retry or cancel\nTry 'batch --help'.")
	}
	word = args[0]
	command, ok := commands[word]
	switch {
	case word != "list" && !ok:
		return "", "", cli.Usagef("no such command: say list, status, watch, report, retry or cancel\nTry 'batch --help'.")
	case len(args) > 2, word == "list" && len(args) > 1:
		return "", "", cli.Usagef("too many arguments: batch %s takes one batch at most", word)
	case command.needsID && len(args) < 2:
		return "", "", cli.Usagef("batch %s needs the batch's id, as 'batch list' shows it", word)
	case a.last < 1:
		return "", "", cli.Usagef("--last must be at least 1")
	}
	switch word {
	case "report":
		if a.only == "" {
			a.only = "all"
		}
		if a.json && fs.Given("output") && !fs.Changed("format") {
			a.format = "json"
		}
		switch {
		case !slices.Contains(report.Only(), a.only):
			return "", "", cli.Usagef("--only must be one of done, skipped, failed, pending, all")
		case a.format == "html" && fs.Given("only"):
			return "", "", cli.Usagef("--only goes with csv and json: the page is about the whole batch")
		}
	case "retry":
		if a.only == "" {
			a.only = "failed"
		}
		if _, ok := tasks.Retryable(a.only); !ok {
			return "", "", cli.Usagef("--only must be one of failed, expired, cancelled")
		}
	default:
		if fs.Given("only") {
			return "", "", cli.Usagef("--only goes with report and retry")
		}
	}
	if word != "report" && fs.Given("format") {
		return "", "", cli.Usagef("--format goes with report; the others take --output json")
	}
	if len(args) == 2 {
		id = args[1]
		if err := tasks.CheckBatchID(id); err != nil {
			return "", "", cli.Usagef("%w", err)
		}
	}
	return word, id, nil
}

// find reads the batch, or the newest one where none is named.
func (a *app) find(ctx context.Context, id string) (ledger.Status, error) {
	if id != "" {
		return a.q.Ledger.Status(ctx, id)
	}
	newest, err := a.q.Ledger.List(ctx, 1)
	switch {
	case err != nil:
		return ledger.Status{}, err
	case len(newest) == 0:
		return ledger.Status{}, errors.New("there is no batch yet: 'enqueue FILE' makes one")
	}
	return newest[0], nil
}

func (a *app) list(ctx context.Context) error {
	all, err := a.q.Ledger.List(ctx, a.last)
	if err != nil {
		return err
	}
	if a.json {
		out := make([]view.Status, len(all))
		for i, st := range all {
			out[i] = view.StatusOf(st)
		}
		return a.c.JSON(out)
	}
	if len(all) == 0 {
		a.c.Printf("there is no batch yet: 'enqueue FILE' makes one\n")
		return nil
	}
	w := tabwriter.NewWriter(a.c.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "BATCH\tSTATE\tROWS\tPENDING\tFAILED\tCREATED")
	for _, st := range all {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%s\n", st.ID, st.State, st.Rows, st.Pending, st.Failed(), st.CreatedAt.Format(time.RFC3339))
	}
	return w.Flush()
}

func (a *app) show(st ledger.Status) error {
	if a.json {
		return a.c.JSON(view.StatusOf(st))
	}
	return view.Text(a.c.Stdout, st)
}

func (a *app) status(_ context.Context, st ledger.Status) error { return a.show(st) }

func (a *app) watch(ctx context.Context, st ledger.Status) error {
	st, err := view.Watch(ctx, a.c, a.q, st.ID, view.GoesOn(st.ID))
	if err != nil {
		return err
	}
	if err := a.show(st); err != nil {
		return err
	}
	return view.Exit(st)
}

func (a *app) report(ctx context.Context, st ledger.Status) error {
	return report.Write(ctx, a.c.Stdout, a.q.Ledger, st.Batch, a.format, a.only)
}

func (a *app) retry(ctx context.Context, st ledger.Status) error {
	which, _ := tasks.Retryable(a.only)
	n, err := a.q.Retry(ctx, st.Batch, which)
	if err != nil {
		return err
	}
	a.c.Printf("%d rows are pending again\n", n)
	return a.again(ctx, st.ID)
}

func (a *app) cancel(ctx context.Context, st ledger.Status) error {
	if err := a.q.Cancel(ctx, st.Batch); errors.Is(err, ledger.ErrFinished) {
		a.c.Printf("%v\n", ledger.ErrFinished)
	} else if err != nil {
		return err
	}
	return a.again(ctx, st.ID)
}

// again shows the batch as it is now.
func (a *app) again(ctx context.Context, id string) error {
	st, err := a.q.Ledger.Status(ctx, id)
	if err != nil {
		return err
	}
	return a.show(st)
}
