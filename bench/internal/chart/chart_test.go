package chart

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rollcall/bench/internal/measure"
)

func TestSave(t *testing.T) {
	const length = 90 * time.Second
	var bins []measure.Bin
	for at := time.Duration(0); at < length; at += 500 * time.Millisecond {
		bins = append(bins, measure.Bin{At: at, Accepted: 123.4 + at.Seconds(), Refused: 5})
	}
	c := Chart{Title: "a & b", Length: length}
	c.Add("a", bins, measure.Limit{{From: 0, Rate: 200}, {From: 20 * time.Second, Rate: 50}})
	c.Add("b", bins, measure.Limit{{From: 0, Rate: 20}})
	path := filepath.Join(t.TempDir(), "c.svg")
	if err := c.Save(path); err != nil {
		t.Fatal(err)
	}
	svg, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// It is read in a README: large ones are not shown there.
	if len(svg) > 60_000 {
		t.Errorf("%d bytes", len(svg))
	}
	for _, want := range []string{"<svg", "a limit", "b accepted", "b 429", "requests a second"} {
		if !strings.Contains(string(svg), want) {
			t.Errorf("it does not say %q", want)
		}
	}
}
