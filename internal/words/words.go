// Package words says numbers and times as people read them. It must not know what
// they are of.
package words

import (
	"fmt"
	"strconv"
	"time"
)

// Duration says a time in a few words: 23 s, 4 min 10 s, 2 h 5 min, 3 d 4 h.
func Duration(d time.Duration) string {
	two := func(n time.Duration, unit string, rest time.Duration, small string) string {
		if rest == 0 {
			return fmt.Sprintf("%d %s", n, unit)
		}
		return fmt.Sprintf("%d %s %d %s", n, unit, rest, small)
	}
	const day = 24 * time.Hour
	switch {
	case d < 0:
		return "0 s"
	case d < 10*time.Second && d%time.Second != 0:
		return strconv.FormatFloat(d.Round(100*time.Millisecond).Seconds(), 'f', -1, 64) + " s"
	case d < time.Minute-time.Second/2:
		return fmt.Sprintf("%d s", d.Round(time.Second)/time.Second)
	case d < time.Hour-time.Second/2:
		d = d.Round(time.Second)
		return two(d/time.Minute, "min", d%time.Minute/time.Second, "s")
	case d < day-time.Minute/2:
		d = d.Round(time.Minute)
		return two(d/time.Hour, "h", d%time.Hour/time.Minute, "min")
	}
	d = d.Round(time.Hour)
	return two(d/day, "d", d%day/time.Hour, "h")
}

// Some is so many of what the word is for one of.
func Some(n int64, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.FormatInt(n, 10) + " " + one + "s"
}

// Rate is a number a second.
func Rate(v float64) string {
	if v >= 99.5 {
		return Count(int64(v + 0.5))
	}
	return strconv.FormatFloat(v, 'g', 2, 64)
}

// Count is a number with its thousands apart.
func Count(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
