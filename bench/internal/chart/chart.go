// Package chart draws rates over time as SVG. It must not know what was measured,
// nor how.
package chart

import (
	"image/color"
	"strconv"
	"strings"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"

	"rollcall/bench/internal/measure"
)

// Chart is rates over time: some of what was accepted and refused, with the
// limit of each. The zero value is usable.
type Chart struct {
	Title  string
	Length time.Duration

	series []series
}

type series struct {
	name  string
	bins  []measure.Bin
	limit measure.Limit
}

// Add adds what one limit holds for. A chart with only one needs no name for it.
func (c *Chart) Add(name string, bins []measure.Bin, limit measure.Limit) {
	c.series = append(c.series, series{name, bins, limit})
}

// The colours can be told apart by those who see no red or no green.
var (
	accepted = []color.Color{color.RGBA{0, 114, 178, 255}, color.RGBA{0, 158, 115, 255}}
	refused  = []color.Color{color.RGBA{213, 94, 0, 255}, color.RGBA{204, 121, 167, 255}}
	limits   = color.Gray{90}
)

// Save draws the chart into an SVG file.
func (c *Chart) Save(path string) error {
	p := plot.New()
	p.Title.Text = c.Title
	p.X.Label.Text = "seconds"
	p.Y.Label.Text = "requests a second"
	p.X.Min, p.X.Max, p.Y.Min = 0, c.Length.Seconds(), 0
	p.Legend.Top = true
	p.Add(plotter.NewGrid())
	top := 0.0
	for i, s := range c.series {
		var ok, not plotter.XYs
		for _, b := range s.bins {
			ok = append(ok, plotter.XY{X: b.At.Seconds(), Y: b.Accepted})
			not = append(not, plotter.XY{X: b.At.Seconds(), Y: b.Refused})
			top = max(top, b.Accepted, b.Refused)
		}
		for _, l := range []struct {
			name   string
			points plotter.XYs
			colour color.Color
			dashed bool
		}{
			{"limit", s.steps(c.Length), limits, true},
			{"accepted", ok, accepted[i%len(accepted)], false},
			{"429", not, refused[i%len(refused)], false},
		} {
			line, err := plotter.NewLine(l.points)
			if err != nil {
				return err
			}
			line.Color, line.Width = l.colour, vg.Points(1)
			if l.dashed {
				line.Dashes = []vg.Length{vg.Points(4), vg.Points(2)}
			}
			p.Add(line)
			p.Legend.Add(strings.TrimSpace(s.name+" "+l.name), line)
		}
		for _, step := range s.limit {
			top = max(top, step.Rate)
		}
	}
	p.Y.Max = 1.3 * max(top, 1) // the legend stands above the lines
	p.X.Tick.Marker, p.Y.Tick.Marker = plot.TickerFunc(ticks), plot.TickerFunc(ticks)
	return p.Save(9*vg.Inch, 3.5*vg.Inch, path)
}

// steps are the corners of a limit's line.
func (s *series) steps(length time.Duration) plotter.XYs {
	var line plotter.XYs
	for i, step := range s.limit {
		line = append(line,
			plotter.XY{X: step.From.Seconds(), Y: step.Rate},
			plotter.XY{X: s.limit.End(i, length).Seconds(), Y: step.Rate})
	}
	return line
}

// ticks are at most ten round numbers. gonum's own are too far apart to read a
// time from.
func ticks(low, high float64) []plot.Tick {
	step := 1.0
	for _, factor := range []float64{2, 2.5, 2, 2, 2.5, 2, 2, 2.5, 2} {
		if (high-low)/step <= 10 {
			break
		}
		step *= factor
	}
	var list []plot.Tick
	for at := step * float64(int(low/step)); at <= high; at += step {
		list = append(list, plot.Tick{Value: at, Label: strconv.FormatFloat(at, 'g', 5, 64)})
	}
	return list
}
