package setup

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"rollcall/internal/graph/graphsim"
	"rollcall/internal/roster"
)

// Serve serves handler until ctx ends, then lets the requests under way finish
// for a few seconds. writeTimeout bounds one answer, 0 does not.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler, writeTimeout time.Duration) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          log.New(os.Stderr, "", log.LstdFlags), // the standard one is closed by cli.Main
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		return server.Close()
	}
	return nil
}

// Seed makes the world in which the input's rows can succeed: their calls
// exist, and whom deletes name is there.
func Seed(ctx context.Context, sim *graphsim.Sim, in *roster.Input, o roster.Options) error {
	return in.Each(ctx, o, func(r roster.Record) error {
		sim.Seed(r.Change)
		return nil
	}, nil)
}

// Simulator is a simulated Graph in this process, on a loopback port.
type Simulator struct {
	URL  string
	stop context.CancelFunc
	done chan error
}

// StartSimulator serves a simulator seeded with the input's rows.
func StartSimulator(ctx context.Context, in *roster.Input, o roster.Options) (*Simulator, error) {
	sim, err := graphsim.New(graphsim.Config{Seed: 1, RingMin: time.Second, RingMax: 2 * time.Second})
	if err != nil {
		return nil, fmt.Errorf("start the simulator: %w", err)
	}
	if err := Seed(ctx, sim, in, o); err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the simulator: %w", err)
	}
	sctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	s := &Simulator{URL: "http://" + listener.Addr().String(), stop: stop, done: make(chan error, 1)}
	go func() { s.done <- Serve(sctx, listener, sim, 2*time.Minute) }()
	return s, nil
}

// Close stops the simulator.
func (s *Simulator) Close() error {
	s.stop()
	err := <-s.done
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Token is a token for the simulator, which takes any.
func (*Simulator) Token(context.Context, string, bool) (string, error) { return "simulated", nil }
