// Package graphsim is the command that serves the simulated Microsoft Graph. It
// must not know how the simulator works, only how to configure and serve it.
package graphsim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"rollcall/cmd/internal/cli"
	"rollcall/cmd/internal/setup"
	"rollcall/internal/graph/graphsim"
	"rollcall/internal/roster"
)

// Run runs graphsim.
func Run(ctx context.Context, c *cli.Command) error {
	s, err := parseSettings(c)
	if err != nil {
		return err
	}
	sim, err := graphsim.New(s.sim)
	if err != nil {
		return cli.Usagef("%w", err)
	}
	sim.AddCall(s.calls...)
	if len(s.rosters) > 0 {
		if err := seed(ctx, c, sim, s); err != nil {
			return err
		}
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", s.listen)
	if err != nil {
		return fmt.Errorf("cannot listen: %w", err)
	}
	if _, err := fmt.Fprintf(c.Stdout, "graphsim listening on http://%s\n", listener.Addr()); err != nil {
		return errors.Join(fmt.Errorf("write standard output: %w", err), listener.Close())
	}
	return setup.Serve(ctx, listener, sim, answerTimeout)
}

// answerTimeout bounds one answer, with the latency and slowness asked for.
const answerTimeout = 2 * time.Minute

// seed makes the world in which the rows of the roster files can succeed.
func seed(ctx context.Context, c *cli.Command, sim *graphsim.Sim, s *settings) (err error) {
	in, err := roster.Open(s.rosters, c.Stdin)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	// A row that cannot be used is for enqueue to complain about.
	opts := s.roster
	opts.SkipInvalid = true
	if _, err := in.Check(ctx, opts); err != nil {
		if invalid, ok := errors.AsType[*roster.InvalidError](err); ok {
			return cli.Usagef("%w", invalid)
		}
		if _, ok := errors.AsType[*roster.OptionError](err); ok {
			return cli.Usagef("%w", err)
		}
		return err
	}
	return setup.Seed(ctx, sim, in, opts)
}
