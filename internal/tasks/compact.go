package tasks

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
)

// The compact form of texts, in which tasks and sources are kept: most of a row is
// ids, and most of those are GUIDs, or the same as in the row above.
//
// A text is a number and what it says: an even one is twice the length of the text
// that follows.
const (
	sameText = 1 // the text above
	guidText = 3 // the 16 bytes that follow, as a GUID in lower case
)

// appendText writes a text. above is the one that the reader will know from the
// row above; "" if there is none.
func appendText(b []byte, s, above string) []byte {
	if s == above && s != "" {
		return append(b, sameText)
	}
	if len(s) == guidLen {
		start := len(b)
		if b = appendGUID(append(b, guidText), s); len(b) > start+1 {
			return b
		}
		b = b[:start]
	}
	b = binary.AppendUvarint(b, 2*uint64(len(s)))
	return append(b, s...)
}

const guidLen = 36

// isHyphen are the places of a GUID's hyphens.
var isHyphen = [guidLen]bool{8: true, 13: true, 18: true, 23: true}

// appendGUID writes the 16 bytes of a GUID in lower case, or nothing if s is none.
func appendGUID(b []byte, s string) []byte {
	start := len(b)
	high, odd := byte(0), false
	for i := range guidLen {
		c := s[i]
		if isHyphen[i] {
			if c != '-' {
				return b[:start]
			}
			continue
		}
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		default:
			return b[:start]
		}
		if odd = !odd; odd {
			high = c << 4
		} else {
			b = append(b, high|c)
		}
	}
	return b
}

func guid(b []byte) string {
	var s [guidLen]byte
	at := 0
	for _, part := range [...][]byte{b[:4], b[4:6], b[6:8], b[8:10], b[10:16]} {
		if at > 0 {
			s[at] = '-'
			at++
		}
		at += hex.Encode(s[at:], part)
	}
	return string(s[:])
}

var errCompact = errors.New("stored data cannot be read: it was written by another version of rollcall, which can report it")

// compactReader reads what the functions above have written. After the first
// error it gives zero values.
type compactReader struct {
	rest []byte
	err  error
}

func (r *compactReader) fail() {
	r.rest, r.err = nil, errCompact
}

// number reads a varint of at most most.
func (r *compactReader) number(most uint64) int64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 || v > most {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return int64(v)
}

func (r *compactReader) take(n int64) []byte {
	if n > int64(len(r.rest)) {
		r.fail()
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *compactReader) text(above string) string {
	switch n := r.number(1 << 40); {
	case n == sameText:
		return above
	case n == guidText:
		if b := r.take(16); b != nil {
			return guid(b)
		}
		return ""
	case n%2 != 0:
		r.fail()
		return ""
	default:
		return string(r.take(n / 2))
	}
}
