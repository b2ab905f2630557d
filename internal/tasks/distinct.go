package tasks

import "hash/maphash"

// distinct counts different texts, however many, in bounded memory, by their
// hashes.
type distinct struct {
	seed   maphash.Seed
	recent []uint64 // some of those that were added
	all    *spill
}

// distinctRecent is how many hashes are remembered so as not to be kept again: a
// file has fewer calls than that, mostly.
const distinctRecent = 1 << 16

func newDistinct() *distinct {
	return &distinct{seed: maphash.MakeSeed(), recent: make([]uint64, distinctRecent), all: newSpill()}
}

func (d *distinct) add(text string) error {
	h := maphash.String(d.seed, text)
	last := &d.recent[h%distinctRecent]
	if *last == h {
		return nil
	}
	*last = h
	return d.all.add(spillEntry{hash: h})
}

// count is how many different texts were added.
func (d *distinct) count() (n int64, err error) {
	seen := map[uint64]struct{}{}
	for part := range spillParts {
		clear(seen)
		if err := d.all.part(part, func(e spillEntry) { seen[e.hash] = struct{}{} }); err != nil {
			return 0, err
		}
		n += int64(len(seen))
	}
	return n, nil
}

func (d *distinct) close() error { return d.all.close() }
