// Package chart draws courses over time as SVG, which stands in a page by itself:
// it has no style but classes, no script, and names nothing elsewhere. It must not
// know batches, limits or pages.
package chart

import (
	_ "embed"
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
	"time"
)

// Kind is how a series is drawn.
type Kind uint8

// The kinds of series.
const (
	Area Kind = iota // filled, on top of the areas before it
	Line             // a line of its own
	Step             // a line that keeps its value until the next point
	Band             // over the whole height, where the value is not 0
)

// Series is a value over time.
type Series struct {
	Name  string
	Class string // of its style, as c-done
	Kind  Kind
	Y     []float64 // at each of the chart's times; NaN where it has none
}

// Chart is what is drawn.
type Chart struct {
	ID          string // of the elements, different from others' on the page
	Title       string // what it shows, for those who do not see it too
	Description string // what is to be seen in it, in words
	X           []time.Duration
	Label       func(time.Duration) string // at the axis of time
	High        float64                    // the axis of values ends there at least
	Series      []Series
}

// The drawing's size, which the page scales, and its margins.
const (
	width, height                    = 640, 240
	left, right, top, bottom         = 64, 12, 10, 28
	plotWidth, plotHeight    float64 = width - left - right, height - top - bottom
	mostPoints                       = 400
)

// SVG draws the chart.
func (c Chart) SVG() template.HTML {
	c = c.thin()
	areas := c.stack()
	high := c.High
	for i, s := range c.Series {
		if s.Kind == Band {
			continue
		}
		for j := range s.Y {
			v := s.Y[j]
			if s.Kind == Area {
				v = areas[i][j]
			}
			if v > high { // not so for NaN
				high = v
			}
		}
	}
	step := niceStep(high)
	high = max(step*math.Ceil(high/step), step)
	d := drawing{high: high}
	if n := len(c.X); n > 0 {
		d.begin, d.end = c.X[0], max(c.X[n-1], c.X[0]+time.Millisecond)
	}

	var b strings.Builder
	text := template.HTMLEscapeString
	fmt.Fprintf(&b, `<svg class="chart" viewBox="0 0 %d %d" role="img" aria-labelledby="%s-t %s-d"><title id="%s-t">%s</title><desc id="%s-d">%s</desc>`,
		width, height, c.ID, c.ID, c.ID, text(c.Title), c.ID, text(c.Description))
	for _, s := range c.Series {
		if s.Kind == Band {
			d.band(&b, s, c.X)
		}
	}
	for v := 0.0; v <= high+step/2; v += step {
		fmt.Fprintf(&b, `<line class="c-grid" x1="%d" y1="%.1f" x2="%d" y2="%.1f"/><text class="c-label" x="%d" y="%.1f" text-anchor="end">%s</text>`,
			left, d.y(v), width-right, d.y(v), left-6, d.y(v)+4, text(number(v)))
	}
	// From the last area on, so that each is drawn over what it stands on.
	for i := len(c.Series) - 1; i >= 0; i-- {
		if s := c.Series[i]; s.Kind == Area {
			d.area(&b, s.Class, areas[i], c.X)
		}
	}
	for _, s := range c.Series {
		if s.Kind == Line || s.Kind == Step {
			d.line(&b, s, c.X)
		}
	}
	if c.Label != nil && len(c.X) > 0 {
		d.times(&b, c.Label)
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String()) //nolint:gosec // every text in it is escaped above
}

// thin leaves points out that nobody could see apart.
func (c Chart) thin() Chart {
	every := (len(c.X) + mostPoints - 1) / mostPoints
	if every <= 1 {
		return c
	}
	var keep []int
	for i := range c.X {
		if i%every == 0 || i == len(c.X)-1 {
			keep = append(keep, i)
		}
	}
	out := c
	out.X, out.Series = nil, nil
	for _, i := range keep {
		out.X = append(out.X, c.X[i])
	}
	for _, s := range c.Series {
		t := s
		t.Y = nil
		last := -1
		for _, i := range keep {
			v := s.Y[i]
			if s.Kind != Line { // none may be lost
				for j := last + 1; j <= i; j++ {
					if math.IsNaN(v) || s.Y[j] > v {
						v = s.Y[j]
					}
				}
				last = i
			}
			t.Y = append(t.Y, v)
		}
		out.Series = append(out.Series, t)
	}
	return out
}

// stack gives the upper edges of the areas.
func (c Chart) stack() [][]float64 {
	out := make([][]float64, len(c.Series))
	below := make([]float64, len(c.X))
	for i, s := range c.Series {
		if s.Kind != Area {
			continue
		}
		out[i] = make([]float64, len(c.X))
		for j := range c.X {
			below[j] += s.Y[j]
			out[i][j] = below[j]
		}
	}
	return out
}

// niceStep is a step of 1, 2 or 5 times a power of ten that makes about four of high.
func niceStep(high float64) float64 {
	if high <= 0 {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(high/4)))
	for _, m := range []float64{1, 2, 5} {
		if high/(m*unit) <= 4.5 {
			return m * unit
		}
	}
	return 10 * unit
}

// number is a value at an axis, short.
func number(v float64) string {
	switch {
	case v >= 1e6:
		return strconv.FormatFloat(v/1e6, 'g', 3, 64) + " M"
	case v >= 1e4:
		return strconv.FormatFloat(v/1e3, 'g', 3, 64) + " k"
	}
	return strconv.FormatFloat(math.Round(v*1000)/1000, 'f', -1, 64)
}

// drawing turns times and values into places.
type drawing struct {
	high       float64
	begin, end time.Duration
}

func (d drawing) x(t time.Duration) float64 {
	return left + plotWidth*float64(t-d.begin)/float64(max(d.end-d.begin, 1))
}

func (d drawing) y(v float64) float64 { return top + plotHeight*(1-v/d.high) }

// times writes the labels of the axis of time.
func (d drawing) times(b *strings.Builder, label func(time.Duration) string) {
	anchors := [...]string{"start", "middle", "middle", "middle", "end"}
	for i, anchor := range anchors {
		at := d.begin + time.Duration(float64(d.end-d.begin)*float64(i)/float64(len(anchors)-1))
		fmt.Fprintf(b, `<text class="c-label" x="%.1f" y="%d" text-anchor="%s">%s</text>`, d.x(at), height-8, anchor, template.HTMLEscapeString(label(at)))
	}
}

func (d drawing) area(b *strings.Builder, class string, upper []float64, xs []time.Duration) {
	if len(xs) == 0 {
		return
	}
	fmt.Fprintf(b, `<path class="%s" d="M%.1f %.1f`, class, d.x(xs[0]), d.y(0))
	for i, x := range xs {
		fmt.Fprintf(b, "L%.1f %.1f", d.x(x), d.y(upper[i]))
	}
	fmt.Fprintf(b, `L%.1f %.1fZ"/>`, d.x(xs[len(xs)-1]), d.y(0))
}

func (d drawing) line(b *strings.Builder, s Series, xs []time.Duration) {
	fmt.Fprintf(b, `<path class="%s" fill="none" d="`, s.Class)
	move := true
	for i, x := range xs {
		v := s.Y[i]
		switch {
		case math.IsNaN(v):
			move = true
		case move:
			fmt.Fprintf(b, "M%.1f %.1f", d.x(x), d.y(v))
			move = false
		case s.Kind == Step:
			fmt.Fprintf(b, "H%.1fV%.1f", d.x(x), d.y(v))
		default:
			fmt.Fprintf(b, "L%.1f %.1f", d.x(x), d.y(v))
		}
	}
	b.WriteString(`"/>`)
}

// band draws from each point at which the value is not 0 to the next.
func (d drawing) band(b *strings.Builder, s Series, xs []time.Duration) {
	for i := 0; i < len(xs); i++ {
		if s.Y[i] == 0 {
			continue
		}
		from := xs[i]
		for i < len(xs)-1 && s.Y[i] != 0 {
			i++
		}
		fmt.Fprintf(b, `<rect class="%s" x="%.1f" y="%d" width="%.1f" height="%.1f"/>`, s.Class, d.x(from), top, max(d.x(xs[i])-d.x(from), 1), plotHeight)
	}
}

// Style is the style sheet that the classes of charts are in, light and dark.
//
//go:embed chart.css
var Style string
