package measure

import (
	"testing"
	"time"
)

// moving is 200/s, from 20 s on 50/s, from 45 s on 400/s.
var moving = Limit{{0, 200}, {20 * s, 50}, {45 * s, 400}}

func TestAllowed(t *testing.T) {
	for _, tt := range []struct {
		from, to time.Duration
		want     float64
	}{
		{0, 10 * s, 2000},
		{10 * s, 20 * s, 2000},
		{10 * s, 30 * s, 2500},
		{0, 50 * s, 4000 + 1250 + 2000},
		{35 * s, 45 * s, 500},
		{60 * s, 80 * s, 8000},
		{30 * s, 30 * s, 0},
		{40 * s, 30 * s, 0},
	} {
		near(t, tt.from.String()+" to "+tt.to.String(), moving.Allowed(tt.from, tt.to), tt.want)
	}
	near(t, "no limit", Limit{}.Allowed(0, s), 0)
}

func TestGoodput(t *testing.T) {
	log := join(steady(100, 0, 20*s), Log{{At: 20 * s, Refused: true}}, steady(50, 20*s, 45*s))
	near(t, "half", moving.Goodput(log, 10*s, 20*s), 0.5)
	near(t, "all, the refused apart", moving.Goodput(log, 20*s, 40*s), 1)
	near(t, "nothing", moving.Goodput(log, 60*s, 70*s), 0)
	near(t, "nothing allowed", Limit{}.Goodput(log, 0, 10*s), 0)
}

func TestReach(t *testing.T) {
	up := join(steady(50, 0, 50*s), steady(400, 50*s, 80*s))
	for _, tt := range []struct {
		what string
		log  Log
		step int
		want time.Duration
		ok   bool
	}{
		{"at once", up, 1, 0, true},
		// From 49.8 s on, two seconds hold 10 and 720 requests.
		{"after 5 s", up, 2, 4800 * ms, true},
		{"never", steady(50, 0, 80*s), 2, 0, false},
		// 90 requests are enough, and come in 225 ms.
		{"by one burst", join(steady(1, 0, 44*s), steady(400, 44*s, 80*s)), 1, 22250 * ms, true},
		{"only when it is over", join(steady(1, 0, 45*s), steady(400, 45*s, 80*s)), 1, 0, false},
	} {
		got, ok := moving.Reach(tt.log, tt.step, 0.9, 80*s)
		if got != tt.want || ok != tt.ok {
			t.Errorf("%s: got %s, %v, want %s, %v", tt.what, got, ok, tt.want, tt.ok)
		}
	}
}

func TestEnd(t *testing.T) {
	for step, want := range []time.Duration{20 * s, 45 * s, 80 * s} {
		if got := moving.End(step, 80*s); got != want {
			t.Errorf("step %d ends at %s, want %s", step, got, want)
		}
	}
	if got := moving.End(0, 15*s); got != 15*s {
		t.Errorf("step 0 of a short measurement ends at %s", got)
	}
}

func TestWindow(t *testing.T) {
	// 4 s into a window.
	start := time.Date(2026, 11, 24, 10, 0, 4, 0, time.UTC)
	w := NewWindow(750, 15*s, start)
	if w.Offset != 11*s {
		t.Fatalf("the first window begins at %s", w.Offset)
	}
	for _, tt := range []struct{ from, to, first, last time.Duration }{
		{10 * s, 90 * s, 11 * s, 86 * s},
		{11 * s, 26 * s, 11 * s, 26 * s},
		{12 * s, 90 * s, 26 * s, 86 * s},
		{12 * s, 40 * s, 26 * s, 26 * s},
	} {
		if first, last := w.Whole(tt.from, tt.to); first != tt.first || last != tt.last {
			t.Errorf("%s to %s: %s to %s", tt.from, tt.to, first, last)
		}
	}
	// All of a window's requests in its first seconds are all that it allows.
	log := join(steady(250, 11*s, 14*s), Log{{At: 14 * s, Refused: true}}, steady(25, 26*s, 41*s))
	near(t, "one full, one half, one empty", w.Goodput(log, 10*s, 60*s), 0.5)
	near(t, "no whole window", w.Goodput(log, 12*s, 40*s), 0)
}

func TestWindowAtTheEdge(t *testing.T) {
	start := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	if first, last := NewWindow(750, 15*s, start).Whole(0, 30*s); first != 0 || last != 30*s {
		t.Errorf("%s to %s", first, last)
	}
}
