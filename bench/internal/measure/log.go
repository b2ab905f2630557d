package measure

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"rollcall/internal/graph/graphsim"
)

// Request is one request, by the time since the measurement began.
type Request struct {
	At      time.Duration
	Tenant  string
	Read    bool
	Refused bool // 429
	Changes int  // people invited or removed by it
	// Within: it was sent within an announced Retry-After, Since after the
	// answer that announced it had left.
	Within bool
	Since  time.Duration
}

// Log is requests in the order in which they arrived.
type Log []Request

// Read makes a log of the records from start on, as long as the measurement
// took. What arrived later is no part of it, as processes are ending then.
func Read(records []graphsim.Record, start time.Time, length time.Duration) Log {
	log := make(Log, 0, len(records))
	for _, r := range records {
		at := r.Start.Sub(start)
		if at < 0 || at >= length {
			continue
		}
		q := Request{
			At: at, Tenant: r.Tenant, Read: r.Method == http.MethodGet,
			Refused: r.Status == http.StatusTooManyRequests,
			Within:  r.Throttled, Since: r.SinceThrottle,
		}
		switch {
		case !r.Applied:
		case r.Kind == graphsim.KindInvite:
			q.Changes = invited(r.Participants)
		default:
			q.Changes = 1
		}
		log = append(log, q)
	}
	// The simulator records requests as they end.
	slices.SortStableFunc(log, func(a, b Request) int { return cmp.Compare(a.At, b.At) })
	return log
}

// invited counts the people of an invite: a participant id that was given with
// an identity is recorded besides it.
func invited(participants []string) int {
	n := 0
	for _, p := range participants {
		if len(p) < len(named) || p[:len(named)] != named {
			n++
		}
	}
	return n
}

const named = "participant:"

// Of gives the requests of one tenant.
func (l Log) Of(tenant string) Log {
	return slices.DeleteFunc(slices.Clone(l), func(r Request) bool { return r.Tenant != tenant })
}

// Between gives the requests from one time up to another.
func (l Log) Between(from, to time.Duration) Log {
	at := func(r Request, t time.Duration) int { return cmp.Compare(r.At, t) }
	first, _ := slices.BinarySearchFunc(l, from, at)
	end, _ := slices.BinarySearchFunc(l, to, at)
	return l[first:max(first, end)]
}

// Accepted counts the requests that the limit let through.
func (l Log) Accepted() int { return len(l) - l.Refused() }

// Refused counts the requests answered 429.
func (l Log) Refused() int {
	n := 0
	for _, r := range l {
		if r.Refused {
			n++
		}
	}
	return n
}

// Changes counts the people invited and removed.
func (l Log) Changes() int {
	n := 0
	for _, r := range l {
		n += r.Changes
	}
	return n
}

// Late counts the requests sent within an announced Retry-After more than grace
// after the answer had left. Before that the sender may not have known.
func (l Log) Late(grace time.Duration) int {
	n := 0
	for _, r := range l {
		if r.Within && r.Since > grace {
			n++
		}
	}
	return n
}

// WorstSecond is the most requests that arrived within any one second.
func (l Log) WorstSecond() int {
	worst, first := 0, 0
	for i, r := range l {
		for r.At-l[first].At >= time.Second {
			first++
		}
		worst = max(worst, i-first+1)
	}
	return worst
}

// Split gives the writes and the reads.
func (l Log) Split() (writes, reads Log) {
	for _, r := range l {
		if r.Read {
			reads = append(reads, r)
		} else {
			writes = append(writes, r)
		}
	}
	return writes, reads
}
