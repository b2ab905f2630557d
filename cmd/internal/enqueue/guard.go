package enqueue

import (
	"context"
	"fmt"

	"rollcall/cmd/internal/cli"
	"rollcall/internal/roster"
	"rollcall/internal/tasks"
)

// guarded tells whether a request has to be planned before it is enqueued. What
// --yes lets through is planned only where that contacts nobody.
func (s *settings) guarded() bool {
	return s.maxDeletes.Given() && !(*s.yes && s.maxDeletes.NeedsRosters())
}

// guard refuses a request that would remove more than --max-deletes. look reads
// the rosters, which is done only for a limit that needs them.
func (s *settings) guard(ctx context.Context, c *cli.Command, r tasks.Request, look func(*tasks.Plan) error) error {
	if !s.guarded() {
		return nil
	}
	p, err := tasks.NewPlan(ctx, r)
	if err == nil && s.maxDeletes.NeedsRosters() {
		err = look(p)
	}
	if err != nil {
		return err
	}
	refused, err := s.excess(c, p)
	if err != nil || refused == nil {
		return err
	}
	if *s.output == "json" {
		if err := c.JSON(refused); err != nil {
			return err
		}
		return cli.Exit(cli.StatusInvalidRows)
	}
	s.listErrors(c, refused.Errors, refused.More)
	c.Printf("error: too many deletes, nothing was enqueued: see what would happen with --dry-run --live, or say --yes if it is meant\n")
	return cli.Exit(cli.StatusInvalidRows)
}

// excess is why the plan must not be carried out; nil if it may. What --yes lets
// through is told in a notice.
func (s *settings) excess(c *cli.Command, p *tasks.Plan) (*invalidOutput, error) {
	errs, more, err := p.Excess(&s.maxDeletes)
	switch {
	case err != nil && *s.yes:
		c.Printf("notice: --yes: %v\n", err)
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("--max-deletes %s: %w\nTry again when it can be read, give the limit as a number of participants, or say --yes if the deletes are meant; nothing was enqueued", &s.maxDeletes, err)
	case len(errs) == 0:
		return nil, nil
	case *s.yes:
		for _, e := range errs[:min(len(errs), shownCalls)] {
			c.Printf("notice: --yes: %s\n", e.Error())
		}
		if n := more + max(0, len(errs)-shownCalls); n > 0 {
			c.Printf("notice: --yes: and %d more calls\n", n)
		}
		return nil, nil
	}
	return &invalidOutput{"too many deletes", &roster.InvalidError{Errors: errs, More: more}}, nil
}
