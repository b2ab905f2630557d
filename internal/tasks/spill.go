package tasks

import (
	"encoding/binary"
	"errors"
	"os"
)

// spill keeps entries, however many, in bounded memory: beyond some they lie in a
// temporary file. It gives them back in parts, those alike in the same one.
type spill struct {
	parts [spillParts]spillPart
	most  int      // blocks in memory
	mem   [][]byte // the first blocks
	file  *os.File // the others; nil until there are too many, and where none can be made
	name  string   // of a file that could not be unlinked while open
	next  int64    // number of the next block
}

// spillPart is the entries of some hashes, in the order in which they came.
type spillPart struct {
	blocks []int64
	open   []byte // the last block, while it fills
}

// spillEntry is something that has a hash.
type spillEntry struct {
	hash      uint64
	row, what uint32
}

const (
	spillParts = 256
	entryBytes = 16
	blockBytes = 256 * entryBytes
	// spillMost is how many blocks are kept in memory: 4 MiB.
	spillMost = 1024
)

func newSpill() *spill { return &spill{most: spillMost} }

func (s *spill) add(e spillEntry) error {
	p := &s.parts[e.hash>>56]
	if len(p.open) == blockBytes {
		if err := s.store(p); err != nil {
			return err
		}
	}
	p.open = binary.LittleEndian.AppendUint64(p.open, e.hash)
	p.open = binary.LittleEndian.AppendUint32(p.open, e.row)
	p.open = binary.LittleEndian.AppendUint32(p.open, e.what)
	return nil
}

// store puts a part's full block away.
func (s *spill) store(p *spillPart) error {
	if s.file == nil && len(s.mem) == s.most {
		s.openFile()
	}
	p.blocks = append(p.blocks, s.next)
	s.next++
	if s.file == nil {
		s.mem = append(s.mem, p.open)
		p.open = make([]byte, 0, blockBytes)
		return nil
	}
	_, err := s.file.WriteAt(p.open, s.offset(s.next-1))
	p.open = p.open[:0]
	return err
}

func (s *spill) openFile() {
	file, err := os.CreateTemp("", "rollcall-rows-*")
	if err != nil {
		return // without a place for it, it takes memory
	}
	if os.Remove(file.Name()) != nil {
		s.name = file.Name()
	}
	s.file = file
}

func (s *spill) offset(block int64) int64 { return (block - int64(len(s.mem))) * blockBytes }

// part calls f for a part's entries in the order in which they came.
func (s *spill) part(n int, f func(spillEntry)) error {
	p := &s.parts[n]
	var buf []byte
	for _, block := range p.blocks {
		if block < int64(len(s.mem)) {
			readEntries(s.mem[block], f)
			continue
		}
		if buf == nil {
			buf = make([]byte, blockBytes)
		}
		if _, err := s.file.ReadAt(buf, s.offset(block)); err != nil {
			return err
		}
		readEntries(buf, f)
	}
	readEntries(p.open, f)
	return nil
}

func readEntries(b []byte, f func(spillEntry)) {
	for ; len(b) > 0; b = b[entryBytes:] {
		f(spillEntry{
			hash: binary.LittleEndian.Uint64(b),
			row:  binary.LittleEndian.Uint32(b[8:]), what: binary.LittleEndian.Uint32(b[12:]),
		})
	}
}

func (s *spill) close() error {
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	if s.name != "" {
		err = errors.Join(err, os.Remove(s.name))
	}
	return err
}
