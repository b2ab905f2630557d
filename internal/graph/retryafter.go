package graph

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// MaxRetryAfter is the longest wait [ParseRetryAfter] gives: more is a mistake,
// and a fleet must not stand still for a mistake.
const MaxRetryAfter = time.Hour

// ParseRetryAfter reads the value of a Retry-After header: seconds, also with a
// fraction (Graph has been seen to send "0.5"), or an HTTP date, which is
// compared with now. A date in the past is no wait at all; more than
// [MaxRetryAfter] is that. It reports false when the value says nothing.
func ParseRetryAfter(header string, now time.Time) (time.Duration, bool) {
	header = strings.TrimSpace(header)
	if header == "" {
		return 0, false
	}
	if strings.Trim(header, "0123456789.") == "" {
		seconds, err := strconv.ParseFloat(header, 64)
		if err != nil && seconds == 0 { // "." and "1.2.3"; too large is +Inf
			return 0, false
		}
		if seconds >= MaxRetryAfter.Seconds() {
			return MaxRetryAfter, true
		}
		return time.Duration(seconds * float64(time.Second)), true
	}
	date, err := http.ParseTime(header)
	if err != nil {
		return 0, false
	}
	return min(max(date.Sub(now), 0), MaxRetryAfter), true
}
