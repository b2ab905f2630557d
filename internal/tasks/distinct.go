package tasks

import (
	"bufio"
	"encoding/binary"
	"errors"
	"hash/maphash"
	"io"
	"os"
	"slices"
)

// distinct counts different texts, however many, in bounded memory: beyond some,
// their hashes lie in a temporary file.
type distinct struct {
	seed maphash.Seed
	last uint64
	seen map[uint64]struct{}
	file *os.File // nil until there are too many, and where none can be made
	w    *bufio.Writer
	n    int64  // in the file, some of them alike
	most int    // in memory
	name string // of a file that could not be unlinked while open
}

// distinctMost is how many hashes are kept in memory, and about how many are looked
// at together when those in the file are counted.
const distinctMost = 200_000

func newDistinct() *distinct {
	return &distinct{seed: maphash.MakeSeed(), seen: map[uint64]struct{}{}, most: distinctMost}
}

func (d *distinct) add(text string) error {
	h := maphash.String(d.seed, text)
	if h == d.last { // calls mostly stand together
		return nil
	}
	d.last = h
	if d.file != nil {
		return d.write(h)
	}
	before := len(d.seen)
	if d.seen[h] = struct{}{}; len(d.seen) == before || len(d.seen)%d.most != 0 {
		return nil
	}
	file, err := os.CreateTemp("", "rollcall-calls-*")
	if err != nil {
		return nil //nolint:nilerr // without a place for it, it takes memory
	}
	if os.Remove(file.Name()) != nil {
		d.name = file.Name()
	}
	d.file, d.w = file, bufio.NewWriter(file)
	for h := range d.seen {
		if err := d.write(h); err != nil {
			return err
		}
	}
	d.seen = nil
	return nil
}

func (d *distinct) write(h uint64) error {
	d.n++
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], h)
	_, err := d.w.Write(b[:])
	return err
}

// count is how many different texts were added.
func (d *distinct) count() (int64, error) {
	if d.file == nil {
		return int64(len(d.seen)), nil
	}
	if err := d.w.Flush(); err != nil {
		return 0, err
	}
	// A part at a time: those alike are in the same.
	parts := uint64(d.n)/uint64(d.most) + 1
	var found int64
	some := make([]uint64, 0, 2*d.most)
	for part := range parts {
		some = some[:0]
		r := bufio.NewReaderSize(io.NewSectionReader(d.file, 0, 8*d.n), 64<<10)
		var b [8]byte
		for range d.n {
			if _, err := io.ReadFull(r, b[:]); err != nil {
				return 0, err
			}
			if h := binary.LittleEndian.Uint64(b[:]); h%parts == part {
				some = append(some, h)
			}
		}
		slices.Sort(some)
		found += int64(len(slices.Compact(some)))
	}
	return found, nil
}

func (d *distinct) close() error {
	if d.file == nil {
		return nil
	}
	err := d.file.Close()
	if d.name != "" {
		err = errors.Join(err, os.Remove(d.name))
	}
	return err
}
