package graph

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestParseRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	tests := []struct {
		header string
		want   time.Duration
		ok     bool
	}{
		{"0", 0, true},
		{"0.5", 500 * time.Millisecond, true},
		{" 315 ", 315 * time.Second, true},
		{"3600", time.Hour, true},
		{"3601", time.Hour, true},
		{"99999999999999999999999", time.Hour, true},
		{strings.Repeat("9", 400), time.Hour, true},
		{now.Add(90 * time.Second).Format(http.TimeFormat), 90 * time.Second, true},
		{now.Add(-time.Minute).Format(http.TimeFormat), 0, true},
		{now.Add(48 * time.Hour).Format(http.TimeFormat), time.Hour, true},
		{"Mon, 23 Nov 2026 10:00:10 GMT", 10 * time.Second, true},
		{"", 0, false},
		{"-1", 0, false},
		{"+1", 0, false},
		{".", 0, false},
		{"1.2.3", 0, false},
		{"1e3", 0, false},
		{"inf", 0, false},
		{"NaN", 0, false},
		{"0x10", 0, false},
		{"soon", 0, false},
		{"10 s", 0, false},
	}
	for _, tt := range tests {
		if got, ok := ParseRetryAfter(tt.header, now); got != tt.want || ok != tt.ok {
			t.Errorf("ParseRetryAfter(%.40q) = %v, %v, want %v, %v", tt.header, got, ok, tt.want, tt.ok)
		}
	}
}

func FuzzParseRetryAfter(f *testing.F) {
	for _, seed := range []string{"0", "0.5", "315", "-1", "1e9", "Mon, 23 Nov 2026 10:00:10 GMT",
		"Monday, 23-Nov-26 10:00:10 GMT", "Mon Nov 23 10:00:10 2026", "..", "99999999999999999999"} {
		f.Add(seed)
	}
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, header string) {
		d, ok := ParseRetryAfter(header, now)
		if d < 0 || d > MaxRetryAfter || !ok && d != 0 {
			t.Errorf("ParseRetryAfter(%q) = %v, %v", header, d, ok)
		}
		// Whole seconds are what they say, and nothing is longer an hour later.
		if n, err := strconv.ParseUint(header, 10, 32); err == nil && (!ok || d != min(time.Duration(n)*time.Second, MaxRetryAfter)) {
			t.Errorf("ParseRetryAfter(%q) = %v, %v", header, d, ok)
		}
		if later, still := ParseRetryAfter(header, now.Add(time.Hour)); still != ok || later > d {
			t.Errorf("ParseRetryAfter(%q) = %v, an hour later %v", header, d, later)
		}
	})
}
