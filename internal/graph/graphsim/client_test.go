package graphsim_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/internal/graph"
	"rollcall/internal/graph/graphsim"
	"rollcall/internal/testutil"
)

type token string

func (t token) Token(context.Context, string, bool) (string, error) { return string(t), nil }

// The client and the simulator agree on what goes over the wire.
func TestClientAgainstSimulator(t *testing.T) { synctest.Test(t, testClientAgainstSimulator) }

func testClientAgainstSimulator(t *testing.T) {
	sim, err := graphsim.New(graphsim.Config{Token: "right", PageSize: 40})
	if err != nil {
		t.Fatal(err)
	}
	server := testutil.NewServer(t, sim)
	newClient := func(tok token) *graph.Client {
		c, err := graph.New(graph.Config{BaseURL: server.URL, Tokens: tok, Dial: server.Dial})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.CloseIdleConnections)
		return c
	}
	c := newClient("right")
	ctx := t.Context()
	const call = "a/b c+é%"
	sim.AddCall(call)
	for i := range 100 {
		sim.AddParticipant(call, graphsim.Participant{ID: fmt.Sprintf("p %d", i)})
	}
	op, err := c.Invite(ctx, "", call, graph.Invitation{Participants: []graph.Invitee{
		{Kind: graph.User, ID: "u-1", ParticipantID: "mine", DisplayName: "Ann"},
		{Kind: graph.Phone, ID: "+61400000000"},
		{Kind: graph.Application, ID: "a-1"},
		{Kind: graph.Guest, ID: "refuses-1"},
	}})
	if err != nil || op.ID == "" || op.Status != graph.Running || op.RequestID == "" {
		t.Fatalf("%+v, %v", op, err)
	}
	if op, err = c.Operation(ctx, "", call, op.ID); err != nil || op.Status != graph.Failed || op.Result.Message == "" {
		t.Errorf("%+v, %v", op, err)
	}
	r, err := c.Participants(ctx, "", call)
	if err != nil || len(r.Participants) != 103 || !r.Complete {
		t.Errorf("%d, %v, %v", len(r.Participants), r.Complete, err)
	}
	p, err := c.Participant(ctx, "", call, "mine")
	if err != nil || p.InvitedAs != "mine" || !slices.Equal(p.Identities, []graph.Identity{{Kind: graph.User, ID: "u-1"}}) {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := c.Remove(ctx, "", call, "p 7"); err != nil {
		t.Error(err)
	}

	remove := func(c *graph.Client) error { _, err := c.Remove(ctx, "", call, "p 8"); return err }
	expect := func(what string, err error, kind graph.Kind) {
		t.Helper()
		if graph.KindOf(err) != kind {
			t.Errorf("%s: %v, want %v", what, err, kind)
		}
	}
	_, err = c.Remove(ctx, "", call, "p 7")
	expect("removed twice", err, graph.NotFound)
	_, err = c.Remove(ctx, "", "ended-1", "p")
	expect("ended", err, graph.CallNotFound)
	expect("wrong token", remove(newClient("wrong")), graph.Unauthorized)
	for fault, kind := range map[string]graph.Kind{
		graphsim.FaultUnavailable: graph.Temporary, graphsim.FaultInternal: graph.Temporary, graphsim.FaultGateway: graph.Temporary,
		graphsim.FaultReset: graph.Unknown, graphsim.FaultLost: graph.Unknown, graphsim.FaultUnauthorized: graph.Unauthorized,
	} {
		sim.AddParticipant(call, graphsim.Participant{ID: "p 8"})
		if err := sim.SetFaults(graphsim.Faults{fault: 1}); err != nil {
			t.Fatal(err)
		}
		expect(fault, remove(c), kind)
	}
	_ = sim.SetFaults(nil)
	_ = sim.SetLimit(graphsim.Limit{Window: 1, Per: graphsim.Duration(1000 * time.Hour), RetryAfter: graphsim.Duration(7 * time.Second), Format: graphsim.RetryDate})
	_ = remove(c)
	err = remove(c)
	expect("throttled", err, graph.Throttled)
	if e, ok := errors.AsType[*graph.Error](err); !ok || !e.HasRetryAfter || e.RetryAfter < 7*time.Second || e.RetryAfter > 8*time.Second {
		t.Errorf("%+v", err)
	}
}
