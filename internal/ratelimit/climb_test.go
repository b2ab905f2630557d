package ratelimit

import (
	"math"
	"testing"
)

func near(got, want float64) bool { return math.Abs(got-want) <= 0.005*math.Abs(want)+1e-9 }

func TestRate(t *testing.T) {
	known := climb{Low: 100, High: 200, Seconds: 10}
	for name, c := range map[string]struct {
		climb         climb
		used, ceiling float64
		want          float64
	}{
		"unknown, at first":       {climb{Low: 100}, 0, math.Inf(1), 100},
		"unknown, later":          {climb{Low: 100}, 3, math.Inf(1), 400},
		"unknown, below ceiling":  {climb{Low: 100}, 3, 250, 250},
		"start":                   {known, 0, math.Inf(1), 100},
		"half of the time":        {known, 5, math.Inf(1), 187.5},
		"end":                     {known, 10, math.Inf(1), 200},
		"just beyond":             {known, 10.5, math.Inf(1), 201.6},
		"far beyond":              {known, 15, math.Inf(1), 1800},
		"ceiling":                 {known, 15, 150, 150},
		"never more than anybody": {climb{Low: 100}, 1e6, math.Inf(1), fastest},
		"never nothing":           {climb{Low: 1e-9, High: 1e-9, Seconds: 4}, 1, math.Inf(1), slowest},
	} {
		if got := c.climb.rate(c.used, c.ceiling); !near(got, c.want) {
			t.Errorf("%s: %.2f/s, want %.2f", name, got, c.want)
		}
	}
}

func TestRunLimit(t *testing.T) {
	steady := climb{Low: 220, High: 220, Seconds: 60}
	for name, c := range map[string]struct {
		run                  run
		share, ceiling, want float64
	}{
		"nothing given back":     {run{steady, 0, 10, 10, 1}, 0, math.Inf(1), 220},
		"a second given back":    {run{steady, 0, 10, 10, 1}, 1, math.Inf(1), 200},
		"half given back":        {run{steady, 0, 10, 10, 2}, 0.5, math.Inf(1), 200},
		"a window":               {run{steady, 0, 5, 5, 10}, 1, math.Inf(1), 220.0 / 3},
		"not from the beginning": {run{steady, 50, 60, 10, 1}, 1, math.Inf(1), 200},
		"ceiling":                {run{steady, 0, 10, 10, 1}, 0, 150, 150},
		"over at once":           {run{steady, 0, 0, 0, 1}, 0, math.Inf(1), 220},
		"over at once, burst":    {run{steady, 0, 0, 0, 1}, 1, math.Inf(1), slowest},
	} {
		if got := c.run.limit(c.share, c.ceiling); !near(got, c.want) {
			t.Errorf("%s: %.2f/s, want %.2f", name, got, c.want)
		}
	}
}
