package main

import (
	"strings"
	"testing"
	"time"
)

func TestMarkdown(t *testing.T) {
	list := []scenario{{name: "bucket", about: "200/s"}, {name: "moves", about: "up and down"}, {name: "window"}}
	results := []result{
		{Scenario: "moves", Subject: "x", Goodput: 0.5, Requests: 200, Refused: 1, Late60: 2, Late5: 3, WorstSecond: 4,
			Moves: []move{{Rate: 50, Goodput: 0.25}, {Rate: 400, Goodput: 1, Reached: new(1.25)}}},
		{Scenario: "bucket", Subject: "x", CPU: 3.4},
		{Scenario: "bucket", Subject: "y", Goodput: 1},
	}
	var b strings.Builder
	if err := writeMarkdown(&b, list, results); err != nil {
		t.Fatal(err)
	}
	want := `**bucket**: 200/s.

|  | goodput | 429s | > 60 ms into Retry-After | > 5 ms | worst second | CPU |
| --- | --- | --- | --- | --- | --- | --- |
| x | 0.0 % | 0.0 % | 0 | 0 | 0 | 3 s |
| y | 100.0 % | 0.0 % | 0 | 0 | 0 | 0 s |

**moves**: up and down.

|  | goodput | at 50/s | 90 % of 50/s after | at 400/s | 90 % of 400/s after | 429s | > 60 ms into Retry-After | > 5 ms | worst second | CPU |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
| x | 50.0 % | 25.0 % | never | 100.0 % | 1.2 s | 0.5 % | 2 | 3 | 4 | 0 s |

`
	if got := b.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestScenarios(t *testing.T) {
	seen := map[string]bool{}
	for _, sc := range scenarios() {
		if seen[sc.name] || sc.about == "" || len(sc.told) == 0 {
			t.Errorf("%s: %+v", sc.name, sc)
		}
		seen[sc.name] = true
		length := sc.length(70 * time.Second)
		rows := sc.rows(length, "")
		if most := sc.limit().Allowed(0, length); float64(len(rows)) < 1.2*most {
			t.Errorf("%s: %d rows, but the limit allows %.0f", sc.name, len(rows), most)
		}
		for i, s := range sc.steps[min(1, len(sc.steps)):] {
			// What follows a move must be long enough to be measured.
			if end := sc.limit().End(i+1, length); end < s.from+settled {
				t.Errorf("%s: the limit from %s on ends at %s", sc.name, s.from, end)
			}
		}
	}
	tenants := scenario{tenants: scenarios()[5].tenants}
	both, alone := tenants.rows(time.Minute, ""), tenants.rows(time.Minute, "b")
	if len(both) != 2*len(alone) || both[0].Tenant != "a" || alone[0].Tenant != "b" {
		t.Errorf("%d rows of both tenants, %d of one", len(both), len(alone))
	}
}

func TestSettings(t *testing.T) {
	s, err := parse([]string{"--scenario", "ceiling,bucket", "--duration", "60s"})
	if err != nil || len(s.scenarios) != 2 || s.scenarios[0].name != "ceiling" {
		t.Fatalf("%+v, %v", s, err)
	}
	if n := len(s.subjectsFor(s.scenarios[0])); n != 3 {
		t.Errorf("%d subjects have a ceiling", n)
	}
	if n := len(s.subjectsFor(s.scenarios[1])); n != len(subjectsKnown) {
		t.Errorf("%d subjects can be limited", n)
	}
	for _, args := range [][]string{{"--scenario", "flood"}, {"--subject", "none"}, {"--duration", "5s"}, {"surplus"}} {
		if _, err := parse(args); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
}
