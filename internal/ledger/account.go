package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Span is how many rows got their outcomes in a span of a batch's time.
type Span struct {
	From, To time.Duration     // since the batch was created
	Outcomes map[Outcome]int64 // less than 0 where a retry took more back than came
}

// spanTimes is the time of a span by its number, as account.lua has it.
func spanTimes(n int64) (from, to time.Duration) {
	at := func(start time.Duration, n int64, width time.Duration) (from, to time.Duration) {
		from = start + time.Duration(n)*width
		return from, from + width
	}
	switch {
	case n < 240:
		return at(0, n, 250*time.Millisecond)
	case n < 780:
		return at(time.Minute, n-240, time.Second)
	case n < 1320:
		return at(10*time.Minute, n-780, 10*time.Second)
	}
	return at(100*time.Minute, n-1320, time.Minute)
}

// Course is how a batch went so far.
type Course struct {
	Spans []Span        // in the order of time; those in which no row got its outcome are left out
	Age   time.Duration // of the batch, on Redis' clock
}

// Course reads when the batch's rows got their outcomes.
func (l *Ledger) Course(ctx context.Context, b Batch) (Course, error) {
	var now *redis.TimeCmd
	var times *redis.MapStringStringCmd
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		now, times = p.Time(ctx), p.HGetAll(ctx, timesKey(b.ID))
		return nil
	})
	if err != nil {
		return Course{}, wrap(err)
	}
	c := Course{Age: max(now.Val().Sub(b.CreatedAt), 0)}
	c.Spans, err = readSpans(times.Val())
	if err != nil {
		return c, fmt.Errorf("ledger: times of batch %s: %w", b.ID, err)
	}
	return c, nil
}

func readSpans(all map[string]string) ([]Span, error) {
	found := map[int64]map[Outcome]int64{}
	for field, count := range all {
		last := len(field) - 1
		span, err1 := strconv.ParseInt(field[:max(last, 0)], 10, 64)
		n, err2 := strconv.ParseInt(count, 10, 64)
		if err1 != nil || err2 != nil || span < 0 {
			return nil, errRecord
		}
		o, err := outcomeOf(field[last])
		if err != nil {
			return nil, err
		}
		if found[span] == nil {
			found[span] = map[Outcome]int64{}
		}
		found[span][o] += n
	}
	spans := make([]Span, 0, len(found))
	for n, outcomes := range found {
		from, to := spanTimes(n)
		spans = append(spans, Span{From: from, To: to, Outcomes: outcomes})
	}
	slices.SortFunc(spans, func(a, b Span) int { return cmp.Compare(a.From, b.From) })
	return spans, nil
}

// came is how many rows got their outcomes in the span, not counting those that a
// retry took back.
func (s Span) came() (n int64) {
	for _, rows := range s.Outcomes {
		n += max(rows, 0)
	}
	return n
}

// Reason is why some rows failed.
type Reason struct {
	Outcome Outcome
	Status  int    // HTTP status of the last answer, 0 if there was none
	Code    string // Graph's error code; where there are very many reasons, "and others"
	Rows    int64
	Row     int64  // one of them, the first that failed; 0 if that has been retried since
	Detail  string // of that one
}

// Reasons reads why rows of the batch failed, what is most frequent first.
func (l *Ledger) Reasons(ctx context.Context, b Batch) ([]Reason, error) {
	all, err := l.rdb.HGetAll(ctx, reasonsKey(b.ID)).Result()
	if err != nil {
		return nil, wrap(err)
	}
	var reasons []Reason
	for why, count := range all {
		if why == "" || why[0] == '@' {
			continue
		}
		r := Reason{}
		if r.Outcome, err = outcomeOf(why[0]); err != nil {
			return nil, err
		}
		status, code, _ := strings.Cut(why[1:], " ")
		r.Status, _ = strconv.Atoi(status)
		r.Code = code
		r.Rows, _ = strconv.ParseInt(count, 10, 64)
		r.Row, _ = strconv.ParseInt(all["@"+why], 10, 64)
		reasons = append(reasons, r)
	}
	slices.SortFunc(reasons, func(a, b Reason) int {
		return cmp.Or(cmp.Compare(b.Rows, a.Rows), cmp.Compare(a.Outcome, b.Outcome), cmp.Compare(a.Status, b.Status), cmp.Compare(a.Code, b.Code))
	})
	return reasons, l.examples(ctx, b, reasons)
}

// examples reads the rows that reasons name.
func (l *Ledger) examples(ctx context.Context, b Batch, reasons []Reason) error {
	records := make([]*redis.StringCmd, len(reasons))
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, r := range reasons {
			if r.Row > 0 {
				hash, field := hashOf(r.Row)
				records[i] = p.HGet(ctx, rowsKey(b.ID, hash), field)
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return wrap(err)
	}
	for i := range reasons {
		r := &reasons[i]
		if records[i] == nil {
			continue
		}
		row, err := decodeRow(records[i].Val(), b.CreatedAt)
		if err != nil {
			return err
		}
		if !r.of(row) { // it has been retried
			r.Row = 0
			continue
		}
		r.Detail = row.Detail
	}
	return nil
}

// of tells whether a row failed for this reason.
func (r Reason) of(row Row) bool {
	if row.Outcome != r.Outcome {
		return false
	}
	others := r.Status == 0 && r.Code == "and others"
	return others || row.Status == r.Status && (row.Code == r.Code || r.Code == "") // account.lua leaves a GUID out
}
