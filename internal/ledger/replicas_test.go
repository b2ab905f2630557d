package ledger

import (
	"net"
	"testing"
	"time"

	"rollcall/internal/redistest"
	"rollcall/internal/testutil"
)

// TestReplicas: an intent counts as written when a replica has it, and not before.
func TestReplicas(t *testing.T) {
	t.Parallel()
	master, addr := redistest.StartTCP(t, "--repl-diskless-sync-delay", "0")
	rdb := master.Client(t)
	l := New(rdb)
	l.Replicas = 1
	l.ClaimLife = testutil.WaitLimit // starting a replica takes its time
	b := batch(t, l, "b", 1)
	r := ref(1, "user:a")
	observe(t, l, b, r)
	_, turn := begin(t, l, b, r)
	intended := func() error {
		_, err := turn.Intend(t.Context(), time.Minute, Settlement{N: 1, Row: Row{Attempts: 1}})
		return err
	}
	if err := intended(); err == nil {
		t.Error("nobody has confirmed it")
	}
	host, port, _ := net.SplitHostPort(addr)
	replica := redistest.StartServer(t, "--replicaof", host+" "+port).Client(t)
	testutil.Eventually(t, "a replica confirms it", func() bool { return intended() == nil })
	// What was confirmed is there, without waiting.
	now := New(replica)
	st, err := now.Status(t.Context(), b.ID)
	if err != nil {
		t.Fatal(err)
	}
	if row := rows(t, now, st.Batch)[0]; !row.Intent.At.Equal(turn.Rows[0].Intent.At) {
		t.Errorf("the replica has %+v, the turn %+v", row.Intent, turn.Rows[0].Intent)
	}
}
