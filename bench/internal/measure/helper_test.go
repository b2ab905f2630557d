package measure

import (
	"math"
	"testing"
	"time"
)

const (
	s  = time.Second
	ms = time.Millisecond
)

// steady is a log of accepted requests at a rate.
func steady(rate int, from, to time.Duration) Log {
	var l Log
	for at := from; at < to; at += time.Second / time.Duration(rate) {
		l = append(l, Request{At: at})
	}
	return l
}

func join(logs ...Log) Log {
	var all Log
	for _, l := range logs {
		all = append(all, l...)
	}
	return all
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-9 {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
