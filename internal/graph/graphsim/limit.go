package graphsim

import (
	"math"
	"net/http"
	"strconv"
	"time"
)

// bucketKey tells buckets apart: a tenant has its own, and the bearer tokens
// have theirs for calls of no tenant.
type bucketKey struct {
	tenant, token string // one of them is empty
	reads         bool
}

// bucket is what has been sent lately of what is counted together.
type bucket struct {
	tokens float64
	last   time.Time // of tokens; zero: never used

	window int64 // number of the present window
	count  int

	// until and opened are the wait that was announced: its end, and when its
	// answer left. Before opened nobody could know.
	until, opened time.Time
}

// verdict is what a limit says of a request.
type verdict struct {
	refused bool
	wait    time.Duration // announced; 0 with RetryNone
	within  bool          // sent within an announced wait
	since   time.Duration // with within: since the announcement
}

// take asks for a request at now.
func (b *bucket) take(l Limit, now time.Time) verdict {
	if now.Before(b.until) {
		v := verdict{refused: true, wait: l.announce(time.Second)}
		if !b.opened.IsZero() && now.After(b.opened) {
			v.within, v.since = true, now.Sub(b.opened)
		}
		if end := now.Add(v.wait); end.After(b.until) {
			b.until = end
		} else {
			v.wait = b.until.Sub(now)
		}
		return v
	}
	b.until, b.opened = time.Time{}, time.Time{}
	free := l.next(b, now)
	if free <= 0 {
		return verdict{}
	}
	v := verdict{refused: true}
	if l.Format != RetryNone {
		v.wait = l.announce(free)
		b.until = now.Add(v.wait)
	}
	return v
}

// next takes a place and gives 0, or gives the time until there is one.
func (l Limit) next(b *bucket, now time.Time) time.Duration {
	switch {
	case l.Rate > 0:
		burst := float64(l.Burst)
		if burst == 0 {
			burst = max(l.Rate, 1)
		}
		if b.last.IsZero() {
			b.tokens = burst
		} else {
			b.tokens = min(burst, b.tokens+l.Rate*now.Sub(b.last).Seconds())
		}
		b.last = now
		if b.tokens >= 1 {
			b.tokens--
			return 0
		}
		return time.Duration((1 - b.tokens) / l.Rate * float64(time.Second))
	case l.Window > 0:
		per := int64(l.Per)
		if w := now.UnixNano() / per; w != b.window {
			b.window, b.count = w, 0
		}
		if b.count < l.Window {
			b.count++
			return 0
		}
		return time.Duration((b.window+1)*per - now.UnixNano())
	}
	return 0
}

// announce is the wait a client is told for a time until there is a place.
func (l Limit) announce(free time.Duration) time.Duration {
	if l.RetryAfter > 0 {
		free = time.Duration(l.RetryAfter)
	}
	if l.Format == RetryFraction {
		return max(free, time.Millisecond)
	}
	return time.Duration(math.Ceil(free.Seconds())) * time.Second
}

// setRetryAfter writes the headers of a wait.
func (l Limit) setRetryAfter(h http.Header, wait time.Duration, now time.Time) {
	switch l.Format {
	case RetryNone:
	case RetryDate:
		// A date has whole seconds: the next one after the wait.
		end := now.Add(wait).Add(time.Second - 1).Truncate(time.Second)
		h.Set("Retry-After", end.UTC().Format(http.TimeFormat))
	case RetryFraction:
		h.Set("Retry-After", strconv.FormatFloat(wait.Seconds(), 'f', 3, 64))
	default:
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	}
}
