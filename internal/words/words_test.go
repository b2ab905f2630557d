package words

import (
	"testing"
	"time"
)

func TestWords(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0 s", 0: "0 s", 250 * time.Millisecond: "0.3 s", 9900 * time.Millisecond: "9.9 s", 23 * time.Second: "23 s", 59700 * time.Millisecond: "1 min",
		250 * time.Second: "4 min 10 s", time.Hour: "1 h", 125 * time.Minute: "2 h 5 min", 76 * time.Hour: "3 d 4 h", 48 * time.Hour: "2 d",
	} {
		if got := Duration(d); got != want {
			t.Errorf("%s is %q, want %q", d, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567", 50_000_000: "50,000,000"} {
		if got := Count(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
	if Some(1, "call") != "1 call" || Some(0, "call") != "0 calls" || Some(2, "more call") != "2 more calls" {
		t.Error("words for some")
	}
	for v, want := range map[float64]string{0: "0", 0.05: "0.05", 2.345: "2.3", 98: "98", 99.7: "100", 1520.4: "1,520"} {
		if got := Rate(v); got != want {
			t.Errorf("%g is %q, want %q", v, got, want)
		}
	}
}
