package measure

import (
	"reflect"
	"testing"
	"time"

	"rollcall/internal/graph/graphsim"
)

func TestRead(t *testing.T) {
	start := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	at := func(d time.Duration) graphsim.Record { return graphsim.Record{Start: start.Add(d), Method: "DELETE"} }
	before, after := at(-ms), at(10*s)
	second := at(2 * s)
	second.Status, second.Throttled, second.SinceThrottle, second.Tenant = 429, true, 70*ms, "a"
	first := at(s)
	first.Method, first.Kind, first.Status, first.Applied = "POST", graphsim.KindInvite, 200, true
	first.Participants = []string{"user:u-1", "participant:p-1", "user:u-2"}
	third := at(3 * s)
	third.Kind, third.Status, third.Applied = graphsim.KindDelete, 204, true
	gone := at(4 * s)
	gone.Kind, gone.Status = graphsim.KindDelete, 404
	read := at(5 * s)
	read.Method, read.Status = "GET", 200

	got := Read([]graphsim.Record{before, second, first, after, third, gone, read}, start, 10*s)
	want := Log{
		{At: s, Changes: 2},
		{At: 2 * s, Tenant: "a", Refused: true, Within: true, Since: 70 * ms},
		{At: 3 * s, Changes: 1},
		{At: 4 * s},
		{At: 5 * s, Read: true},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestCounts(t *testing.T) {
	l := Log{
		{At: 0, Changes: 3},
		{At: 1 * s, Refused: true, Within: true, Since: 5 * ms},
		{At: 2 * s, Refused: true, Within: true, Since: 6 * ms, Tenant: "a"},
		{At: 3 * s, Refused: true, Within: true, Since: 61 * ms},
		{At: 3 * s, Refused: true},
		{At: 4 * s, Read: true, Changes: 1},
	}
	writes, reads := l.Split()
	for what, c := range map[string]struct{ got, want int }{
		"accepted":           {l.Accepted(), 2},
		"refused":            {l.Refused(), 4},
		"changes":            {l.Changes(), 4},
		"late by 5 ms":       {l.Late(5 * ms), 2},
		"late by 60 ms":      {l.Late(60 * ms), 1},
		"of a":               {len(l.Of("a")), 1},
		"of none":            {len(l.Of("")), 5},
		"writes":             {len(writes), 5},
		"reads":              {len(reads), 1},
		"from 1 s up to 3 s": {len(l.Between(s, 3*s)), 2},
		"both of 3 s":        {len(l.Between(3*s, 3*s+1)), 2},
		"none":               {len(l.Between(5*s, 9*s)), 0},
		"the wrong way":      {len(l.Between(4*s, s)), 0},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %d, want %d", what, c.got, c.want)
		}
	}
}

func TestWorstSecond(t *testing.T) {
	for _, tt := range []struct {
		what string
		log  Log
		want int
	}{
		{"nothing", nil, 0},
		{"one", Log{{At: s}}, 1},
		{"a second apart", Log{{At: 0}, {At: s}}, 1},
		{"nearly a second", Log{{At: 0}, {At: s - 1}}, 2},
		{"steady", steady(100, 0, 5*s), 100},
		{"a burst across a second's edge", join(steady(100, 0, 1900*ms), steady(1000, 1900*ms, 2100*ms), steady(100, 2100*ms, 4*s)), 280},
	} {
		if got := tt.log.WorstSecond(); got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.what, got, tt.want)
		}
	}
}
