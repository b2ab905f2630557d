package measure

import "time"

// Bin is what happened in one stretch of time, as rates a second.
type Bin struct {
	At                time.Duration // its middle
	Accepted, Refused float64
}

// Bins cuts a log into stretches of time. A stretch cut short at the end is left
// out, as its rate would be wrong.
func (l Log) Bins(width, length time.Duration) []Bin {
	bins := make([]Bin, length/width)
	for i := range bins {
		bins[i].At = time.Duration(i)*width + width/2
	}
	for _, r := range l {
		i := int(r.At / width)
		switch {
		case i >= len(bins):
		case r.Refused:
			bins[i].Refused += 1 / width.Seconds()
		default:
			bins[i].Accepted += 1 / width.Seconds()
		}
	}
	return bins
}
