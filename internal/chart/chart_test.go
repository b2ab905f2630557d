package chart

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"
)

// elements reads the drawing as XML and counts its elements by class.
func elements(t *testing.T, svg string) (classes map[string]int, text string) {
	t.Helper()
	classes = map[string]int{}
	dec := xml.NewDecoder(strings.NewReader(svg))
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return classes, text
		}
		if err != nil {
			t.Fatalf("%v in %s", err, svg)
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			for _, a := range tok.Attr {
				if a.Name.Local == "class" {
					classes[a.Value]++
				}
				if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") {
					t.Errorf("%s=%q", a.Name.Local, a.Value)
				}
			}
		case xml.CharData:
			text += string(tok) + "|"
		}
	}
}

func seconds(n int) []time.Duration {
	x := make([]time.Duration, n)
	for i := range x {
		x[i] = time.Duration(i) * time.Second
	}
	return x
}

func TestSVG(t *testing.T) {
	c := Chart{
		ID: "a", Title: "rows <&> time", Description: "x", X: seconds(4), Label: func(d time.Duration) string { return d.String() },
		Series: []Series{
			{Name: "done", Class: "c-done", Y: []float64{0, 10, 20, 30}},
			{Name: "failed", Class: "c-failed", Y: []float64{0, 0, 5, 10}},
			{Name: "rate", Class: "c-rate", Kind: Step, Y: []float64{1, math.NaN(), 3, 4}},
			{Name: "pause", Class: "c-pause", Kind: Band, Y: []float64{0, 1, 1, 0}},
		},
	}
	classes, text := elements(t, string(c.SVG()))
	for class, n := range map[string]int{"c-done": 1, "c-failed": 1, "c-rate": 1, "c-pause": 1, "c-grid": 5} {
		if classes[class] != n {
			t.Errorf("%d of %s, want %d", classes[class], class, n)
		}
	}
	for _, want := range []string{"rows <&> time|", "|0|10|20|30|40|", "0s|750ms|1.5s|2.25s|3s|"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %q", want, text)
		}
	}
}

// TestExtremes: nothing to draw, one point, and very many.
func TestExtremes(t *testing.T) {
	for _, n := range []int{0, 1, 2, 100_000} {
		y, band := make([]float64, n), make([]float64, n)
		if n > 1000 {
			band[777] = 1 // is left out, were it a value as others
		}
		c := Chart{ID: "a", X: seconds(n), Label: func(d time.Duration) string { return d.String() }, Series: []Series{
			{Class: "c-done", Y: y}, {Class: "c-pause", Kind: Band, Y: band},
		}}
		svg := string(c.SVG())
		classes, _ := elements(t, svg)
		if len(svg) > 20_000 {
			t.Errorf("%d points: %d bytes", n, len(svg))
		}
		if n > 1000 && classes["c-pause"] != 1 {
			t.Error("a short pause is not to be seen")
		}
	}
}

func TestNiceStep(t *testing.T) {
	for high, want := range map[float64]float64{0: 1, 1: 0.5, 3: 1, 40: 10, 45: 10, 46: 20, 100: 50, 999_999: 500_000} {
		if got := niceStep(high); math.Abs(got-want) > 1e-9 {
			t.Errorf("%g: %g, want %g", high, got, want)
		}
	}
	for v, want := range map[float64]string{0: "0", 0.25: "0.25", 1000: "1000", 15_000: "15 k", 2_500_000: "2.5 M"} {
		if got := number(v); got != want {
			t.Errorf("%g is %q", v, got)
		}
	}
}

// TestThinPeak: a moment of work in a long quiet time is drawn.
func TestThinPeak(t *testing.T) {
	const n = 720
	for at := 300; at < 304; at++ {
		y := make([]float64, n)
		y[at] = 100
		if _, text := elements(t, string(Chart{ID: "a", X: seconds(n), Series: []Series{{Class: "c-sent", Y: y}}}.SVG())); !strings.Contains(text, "|100|") {
			t.Errorf("what happened at point %d is not drawn: %s", at, text)
		}
	}
}
