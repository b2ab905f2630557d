package tasks

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
	"rollcall/internal/roster"
)

func packAll(t *testing.T, rows []roster.Change) []pack {
	t.Helper()
	var out []pack
	p := newPacker(func(k *pack) error { out = append(out, *k); return nil })
	for _, c := range rows {
		if err := p.add(c); err != nil {
			t.Fatal(err)
		}
		if p.waits > maxOpenRows {
			t.Fatalf("%d rows wait", p.waits)
		}
	}
	if err := p.flush(); err != nil {
		t.Fatal(err)
	}
	if p.waits != 0 || len(p.open) != 0 {
		t.Errorf("%d rows are left in %d packs", p.waits, len(p.open))
	}
	return out
}

func TestPack(t *testing.T) {
	for _, calls := range []int{1, 3, 500, 20_000} {
		t.Run(fmt.Sprintf("%d calls", calls), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, uint64(calls)))
			rows := make([]roster.Change, 30_000)
			for i := range rows {
				rows[i] = roster.Change{
					Row: int64(i + 1), Action: roster.Invite + roster.Action(rng.IntN(2)),
					CallID: fmt.Sprint("call-", rng.IntN(calls)), Kind: roster.User, ID: fmt.Sprint(i),
				}
			}
			packs := packAll(t, rows)
			seen, numbers := map[int64]bool{}, map[int64]bool{}
			for _, k := range packs {
				if len(k.rows) == 0 || len(k.rows) > rowsPerPack {
					t.Fatalf("a pack of %d rows", len(k.rows))
				}
				for i, c := range k.rows {
					if c.CallKey() != k.call || c.Action != k.action || seen[c.Row] || i > 0 && c.Row <= k.rows[i-1].Row {
						t.Fatalf("row %d does not belong into %+v", c.Row, k)
					}
					seen[c.Row] = true
				}
				if numbers[k.n] || k.n < 0 || k.n >= int64(len(packs)) {
					t.Fatalf("number %d of %d packs", k.n, len(packs))
				}
				numbers[k.n] = true
			}
			if len(seen) != len(rows) {
				t.Errorf("%d of %d rows are packed", len(seen), len(rows))
			}
			if !reflect.DeepEqual(packs, packAll(t, rows)) {
				t.Error("packing again gives other packs")
			}
		})
	}
}

func TestTaskRoundTrip(t *testing.T) {
	rows := []roster.Change{
		{Row: 7, Action: roster.Invite, TenantID: "t", CallID: "c", ParticipantID: "p", Kind: roster.Phone, ID: "+14255550100", DisplayName: "É\"", ReplacesCallID: "r"},
		{Row: 9, Action: roster.Invite, TenantID: "t", CallID: "c", Kind: roster.User, ID: "u"},
	}
	b := ledger.Batch{ID: "b", Base: 1 << 40, Expire: time.Hour, Keep: 2 * time.Hour, Queue: "low"}
	got, err := readTask(newTask(b, &pack{n: 3, action: roster.Invite, rows: rows}))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.rows, rows) || got.tenant != "t" || got.action != roster.Invite ||
		got.batch.ID != "b" || got.batch.Base != 1<<40 || got.batch.Expire != time.Hour || got.batch.Keep != 2*time.Hour {
		t.Errorf("%+v", got)
	}
}

// FuzzReadTask: what is read of a task makes the same task.
func FuzzReadTask(f *testing.F) {
	b := ledger.Batch{ID: "x", Base: 1, Expire: time.Minute, Keep: time.Minute}
	guid := "5b6e2c1a-7d5f-4b8e-9a61-000000000001"
	f.Add(payload(b, []roster.Change{{Row: 1, CallID: guid, TenantID: "t", Kind: roster.User, ID: guid}, {Row: 2, ParticipantID: "p"}}))
	f.Add(payload(b, []roster.Change{{Row: 3, CallID: "c", Kind: roster.Guest, ID: "g", DisplayName: "\xff", ReplacesCallID: "r"}}))
	f.Add([]byte{payloadVersion, 2, 'x', 1, 1, 1, 0, 2, 'c', 1, 15, 9})
	f.Add([]byte{})
	f.Add([]byte{payloadVersion, sameText})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := readTask(asynq.NewTask(typeDelete, b))
		if err != nil {
			return
		}
		if got.batch.ID == "" || len(got.rows) == 0 || got.rows[0].CallID == "" {
			t.Errorf("read as %+v", got)
		}
		at := newTask(got.batch, &pack{action: got.action, rows: got.rows})
		if again, err := readTask(at); err != nil || !reflect.DeepEqual(again.rows, got.rows) || again.batch.ID != got.batch.ID || again.tenant != got.tenant || at.Type() != typeDelete {
			t.Errorf("%+v became %+v, %v", got, again, err)
		}
	})
}

// FuzzCheckBatchID: the form is exact, and every id that is made has it.
func FuzzCheckBatchID(f *testing.F) {
	f.Add(Identity{}.BatchID())
	f.Add("{b:x}:meta0000000000")
	f.Add("")
	f.Add("abcdefghij234567xyz\n")
	form := regexp.MustCompile(`^[a-z2-7]{20}$`)
	f.Fuzz(func(t *testing.T, s string) {
		if (CheckBatchID(s) == nil) != (form.MatchString(s) && len(s) == batchIDLen) {
			t.Errorf("%q: %v", s, CheckBatchID(s))
		}
		o := roster.Options{CallID: s}
		id, same, other := Identity{Key: s, Options: o}.BatchID(), Identity{Key: s, Options: o}.BatchID(), Identity{Key: s + "x", Options: o}.BatchID()
		if err := CheckBatchID(id); err != nil || id != same || id == other {
			t.Errorf("the key %q makes %s, then %s, another %s: %v", s, id, same, other, err)
		}
	})
}

func TestSources(t *testing.T) {
	files := []roster.File{{Name: "a.csv", Columns: []string{"action", "call_id", "user_id"}}, {Name: "b.csv", Columns: []string{"phone", "call"}}}
	l := newLayout(files, roster.Options{Action: roster.Invite, CallID: "c"})
	if l.Action != "invite" || len(l.Files) != 2 {
		t.Fatalf("%+v", l)
	}
	s := &Sources{Files: files, extra: make([][]string, 2)}
	records := []roster.Record{
		{File: 0, Line: 2, Cells: []string{"invite", "", "zażółć\n\x00"}},
		{File: 1, Line: 1 << 20, Cells: []string{"+1", ""}},
		{File: 1, Line: 3},
		{File: 0, Line: 4, Cells: []string{"delete", "5b6e2c1a-7d5f-4b8e-9a61-000000000001", "5B6E2C1A-7d5f-4b8e-9a61-000000000001"}},
		{File: 0, Line: 5, Cells: []string{"delete", "5b6e2c1a-7d5f-4b8e-9a61-000000000002", strings.Repeat("-", guidLen)}},
	}
	var b []byte
	var above []string
	for _, r := range records {
		b = appendSource(b, r, above)
		above = r.Cells
	}
	got, err := s.Rows(b)
	if err != nil || len(got) != len(records) {
		t.Fatal(got, err)
	}
	for i, r := range records {
		if got[i].File != r.File || got[i].Line != r.Line || fmt.Sprint(got[i].Cells) != fmt.Sprint(r.Cells) {
			t.Errorf("row %d became %+v", i, got[i])
		}
	}
	for i := range b {
		if rows, err := s.Rows(b[:i]); err == nil && len(rows) == len(records) {
			t.Errorf("cut at %d, it still has %d rows", i, len(rows))
		}
	}
}

func FuzzSources(f *testing.F) {
	f.Add(appendSource(nil, roster.Record{File: 1, Line: 2, Cells: []string{"a", ""}}, nil))
	f.Add([]byte{0, 0, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Add([]byte{0, 1, 2, 200})
	s := &Sources{Files: make([]roster.File, 2), extra: make([][]string, 2)}
	f.Fuzz(func(t *testing.T, b []byte) {
		rows, err := s.Rows(b)
		if err != nil {
			return
		}
		var again []byte
		var above []string
		for _, r := range rows {
			again = appendSource(again, roster.Record{File: r.File, Line: r.Line, Cells: r.Cells}, above)
			above = r.Cells
		}
		if back, err := s.Rows(again); err != nil || len(back) != len(rows) {
			t.Errorf("%d rows became %d, %v", len(rows), len(back), err)
		}
	})
}

func TestBackoff(t *testing.T) {
	for attempts := range 40 {
		limit := min(time.Duration(1)<<min(attempts, 20)*time.Second, 5*time.Minute)
		for range 200 {
			if d := backoff(attempts); d < time.Second || d > max(limit, time.Second) {
				t.Fatalf("after %d attempts: %s", attempts, d)
			}
		}
	}
}

// TestSteady is asynq's retry of a write with a context that has ended.
func TestSteady(t *testing.T) {
	rdb := redistest.Any(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := steady{rdb}
	if err := s.Eval(ctx, "return 1", nil).Err(); err != nil {
		t.Errorf("eval: %v", err)
	}
	sha, err := rdb.ScriptLoad(t.Context(), "return 2").Result()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.EvalSha(ctx, sha, nil).Err(); err != nil {
		t.Errorf("evalsha: %v", err)
	}
	past, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Minute))
	defer cancel()
	if err := s.EvalSha(past, sha, nil).Err(); err != nil {
		t.Errorf("evalsha with a deadline that is over: %v", err)
	}
}

func TestRetryDelay(t *testing.T) {
	// asynq cuts to whole seconds: what must not be early gets one more.
	if d := retryDelay(3, fmt.Errorf("wrapped: %w", &comeBack{after: 10 * time.Second}), nil); d != 11*time.Second {
		t.Errorf("delay %s", d)
	}
	if d := retryDelay(0, asynq.ErrLeaseExpired, nil); d != time.Second {
		t.Errorf("a dead worker's task waits %s", d)
	}
}
