package ledger

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/testutil"
)

// testAccount: what is kept for those who look on says the same as the rows do,
// after outcomes of all kinds, and after a retry.
func testAccount(t *testing.T, rdb *redis.Client, l *Ledger) {
	const n = 2000
	b := batch(t, l, "b", n)
	for first := int64(1); first <= n; first += 100 {
		testutil.Advance(t, time.Second)
		var some []Settlement
		for i := first; i < first+100; i++ {
			o := Joined
			row := Row{Attempts: 3, Status: 200, RequestID: "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"}
			switch {
			case i == 1777:
				o, row.Status, row.Code, row.Detail = Rejected, 403, "Forbidden", "ask the admin"
			case i > 1000 && i < 1100:
				o, row.Status, row.Code, row.Detail = Declined, 200, "5300", fmt.Sprint("no answer ", i)
			case i == 1999:
				o, row.Status, row.Code = Exhausted, 0, "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee" // no code at all
			case i%10 == 0:
				o = Superseded
			}
			row.Outcome, row.At = o, b.CreatedAt
			some = append(some, Settlement{N: i, Row: row})
		}
		if _, _, err := l.settle(t.Context(), b, some); err != nil {
			t.Fatal(err)
		}
	}
	agree(t, l, b)
	reasons, err := l.Reasons(t.Context(), b)
	if err != nil || len(reasons) != 3 {
		t.Fatal(reasons, err)
	}
	if r := reasons[0]; r != (Reason{Declined, 200, "5300", 99, 1001, "no answer 1001"}) {
		t.Errorf("%+v", r)
	}
	if r := reasons[1]; r != (Reason{Rejected, 403, "Forbidden", 1, 1777, "ask the admin"}) {
		t.Errorf("%+v", r)
	}

	if n, err := l.Reopen(t.Context(), b, []Outcome{Declined, Superseded}); err != nil || n < 200 {
		t.Fatal(n, err)
	}
	agree(t, l, b)
	if reasons, err = l.Reasons(t.Context(), b); err != nil || len(reasons) != 2 || reasons[0].Outcome != Rejected {
		t.Errorf("after a retry: %+v, %v", reasons, err)
	}
	for _, key := range settleKeys("b")[2:] {
		if ttl := rdb.TTL(t.Context(), key).Val(); ttl <= time.Hour || ttl > 2*time.Hour {
			t.Errorf("%s lives for %s", key, ttl)
		}
	}
}

// agree compares counters, times and the index of failed rows with the rows.
func agree(t *testing.T, l *Ledger, b Batch) {
	t.Helper()
	want, failed := map[Outcome]int64{}, map[int64]bool{}
	for i, r := range rows(t, l, b) {
		if r.Outcome != Pending {
			want[r.Outcome]++
		}
		if r.Outcome.Group() == GroupFailed {
			failed[int64(i)+1] = true
		}
	}
	if st := status(t, l, b); !maps.Equal(st.Outcomes, want) {
		t.Errorf("counted are %v, rows say %v", st.Outcomes, want)
	}
	course, err := l.Course(t.Context(), b)
	if err != nil || course.Age < 0 || course.Age > time.Minute {
		t.Fatal(course.Age, err)
	}
	timed := map[Outcome]int64{}
	for _, s := range course.Spans {
		if s.From >= s.To || s.To > time.Minute {
			t.Errorf("a span from %s to %s", s.From, s.To)
		}
		for o, n := range s.Outcomes {
			if timed[o] += n; timed[o] == 0 {
				delete(timed, o)
			}
		}
	}
	if !maps.Equal(timed, want) {
		t.Errorf("timed are %v, rows say %v", timed, want)
	}
	found := 0
	err = l.BucketsWith(t.Context(), b, 1, func(o Outcome) bool { return o.Group() == GroupFailed }, func(k Bucket) error {
		some := 0
		for i, r := range k.Rows {
			if r.Outcome.Group() == GroupFailed {
				some++
				delete(failed, k.First+int64(i))
			}
		}
		if some == 0 {
			t.Errorf("the bucket of row %d has none that failed", k.First)
		}
		found++
		return nil
	})
	if err != nil || len(failed) > 0 {
		t.Errorf("%d failed rows were not found in %d buckets: %v", len(failed), found, err)
	}
}

// testBucketsFrom: reading can begin in the middle, and has no more sources than are
// wanted.
func testBucketsFrom(t *testing.T, _ *redis.Client, l *Ledger) {
	const n = 100 * BucketRows
	b := batch(t, l, "b", n)
	sources := make([][]byte, 100)
	for i := range sources {
		sources[i] = []byte("source")
	}
	if err := l.Put(t.Context(), b, 0, sources, nil); err != nil {
		t.Fatal(err)
	}
	for _, row := range []int64{1, 50*BucketRows + 7, n} {
		if _, _, err := l.settle(t.Context(), b, []Settlement{{N: row, Row: Row{Outcome: Removed, At: b.CreatedAt}}}); err != nil {
			t.Fatal(err)
		}
	}
	removed := func(o Outcome) bool { return o == Removed }
	for _, c := range []struct {
		from       int64
		want       func(Outcome) bool
		buckets    int
		withSource []int64
	}{
		{1, removed, 100, []int64{1, 50*BucketRows + 1, 99*BucketRows + 1}},
		{2, removed, 100, []int64{1, 50*BucketRows + 1, 99*BucketRows + 1}},
		{BucketRows + 1, removed, 99, []int64{50*BucketRows + 1, 99*BucketRows + 1}},
		{99*BucketRows + 1, nil, 1, []int64{99*BucketRows + 1}},
		{n + 1, nil, 0, nil},
		{1, func(o Outcome) bool { return o == Declined }, 0, nil},
	} {
		buckets, withSource := 0, []int64(nil)
		err := l.BucketsWith(t.Context(), b, c.from, c.want, func(k Bucket) error {
			if buckets++; k.Source != nil {
				withSource = append(withSource, k.First)
			}
			return nil
		})
		if err != nil || buckets != c.buckets || !slices.Equal(withSource, c.withSource) {
			t.Errorf("from %d: %d buckets, with sources %v, %v; want %d, %v", c.from, buckets, withSource, err, c.buckets, c.withSource)
		}
	}
}

func TestSpans(t *testing.T) {
	last := time.Duration(0)
	for n := range int64(3000) {
		from, to := spanTimes(n)
		if from != last || to <= from {
			t.Fatalf("span %d is from %s to %s, after %s", n, from, to, last)
		}
		last = to
	}
}

// testLateSpans: a batch that has run for long has longer spans, by the script as by
// the one who reads them.
func testLateSpans(t *testing.T, rdb *redis.Client, l *Ledger) {
	for i, age := range []time.Duration{time.Second, 59 * time.Second, 61 * time.Second, 599 * time.Second, 15 * time.Minute, 3 * time.Hour, 70 * time.Hour} {
		b := batch(t, l, fmt.Sprint("b", i), 1)
		b.CreatedAt = b.CreatedAt.Add(-age)
		rdb.HSet(t.Context(), metaKey(b.ID), "created", b.CreatedAt.UnixMilli())
		if _, _, err := l.settle(t.Context(), b, []Settlement{{N: 1, Row: Row{Outcome: Removed}}}); err != nil {
			t.Fatal(err)
		}
		c, err := l.Course(t.Context(), b)
		spans := c.Spans
		if err != nil || len(spans) != 1 || spans[0].From > age || spans[0].To <= age {
			t.Errorf("at %s: %+v, %v", age, spans, err)
		}
	}
}

// testManyReasons: codes that are ever new do not fill Redis, and no row is lost.
func testManyReasons(t *testing.T, _ *redis.Client, l *Ledger) {
	const n = 500
	b := batch(t, l, "b", n)
	var all []Settlement
	for i := int64(1); i <= n; i++ {
		all = append(all, Settlement{N: i, Row: Row{Outcome: Rejected, Status: 400, Code: fmt.Sprint("code ", i), At: b.CreatedAt}})
	}
	if _, _, err := l.settle(t.Context(), b, all); err != nil {
		t.Fatal(err)
	}
	sum := func() (rows int64) {
		reasons, err := l.Reasons(t.Context(), b)
		if err != nil || len(reasons) > 201 {
			t.Fatal(len(reasons), err)
		}
		for _, r := range reasons {
			rows += r.Rows
		}
		return rows
	}
	if s := sum(); s != n {
		t.Errorf("reasons for %d of %d rows", s, n)
	}
	if _, err := l.Reopen(t.Context(), b, []Outcome{Rejected}); err != nil {
		t.Fatal(err)
	}
	if s := sum(); s != 0 {
		t.Errorf("reasons for %d rows after a retry", s)
	}
}

// testAnotherReason: a row that was retried and then failed of something else is no
// example of what it failed of before.
func testAnotherReason(t *testing.T, _ *redis.Client, l *Ledger) {
	b := batch(t, l, "b", 70)
	fail := func(n int64, status int, detail string) {
		r := Row{Outcome: Rejected, Status: status, Code: fmt.Sprint("code ", status), Detail: detail, At: b.CreatedAt}
		if _, _, err := l.settle(t.Context(), b, []Settlement{{N: n, Row: r}}); err != nil {
			t.Fatal(err)
		}
	}
	fail(1, 403, "forbidden")
	fail(70, 403, "forbidden")
	// A retry is under way, which has not come to row 70 yet.
	if _, err := l.reopenSome(t.Context(), b, 0, 1, b.Deadline.UnixMilli(), []byte{Rejected.letter()}); err != nil {
		t.Fatal(err)
	}
	fail(1, 400, "malformed")
	reasons, err := l.Reasons(t.Context(), b)
	if err != nil || len(reasons) != 2 {
		t.Fatal(reasons, err)
	}
	for _, r := range reasons {
		if r.Status == 403 && (r.Row != 0 || r.Detail != "") || r.Status == 400 && (r.Row != 1 || r.Detail != "malformed") {
			t.Errorf("%+v", r)
		}
	}
}
