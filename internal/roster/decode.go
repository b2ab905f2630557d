package roster

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// readSize is what is read at a time, and what must hold the header for its
// delimiter to be found surely.
const readSize = 64 << 10

// foreign are the beginnings of files that are often taken for CSV.
var foreign = []struct{ magic, message string }{
	{"PK\x03\x04", "a zip archive or an Excel workbook, not a CSV: export the sheet as CSV"},
	{"\xd0\xcf\x11\xe0", "an Excel workbook, not a CSV: export the sheet as CSV"},
	{"%PDF-", "a PDF, not a CSV: export the data as CSV"},
	{"BZh", "compressed with bzip2: unpack it, or compress it with gzip"},
	{"\xfd7zXZ", "compressed with xz: unpack it, or compress it with gzip"},
	{"\x28\xb5\x2f\xfd", "compressed with zstd: unpack it, or compress it with gzip"},
	{"\xff\xfe\x00\x00", "in UTF-32: save it as UTF-8 or Unicode text"},
	{"\x1f\x8b", "compressed twice: unpack it once"},
}

// freeUnpacked is how far a packed file is unpacked, in bytes, whatever its
// ratio: to read that much takes a second or two, and small files that repeat
// themselves are not rare.
const freeUnpacked = 64 << 20

// decode returns the text of a file as UTF-8, without byte order mark. A packed
// file must not unpack to more than ratio times its size. What is wrong with
// the content is a contentError, here or on reading; other errors are those of
// raw.
func decode(raw io.Reader, ratio int64) (io.Reader, error) {
	// What is read ahead counts as well, which is in the file's favour.
	var packed, unpacked int64
	br := bufio.NewReaderSize(readerFunc(func(p []byte) (int, error) {
		n, err := raw.Read(p)
		packed += int64(n)
		return n, err
	}), readSize)
	head, err := peek(br, 8)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(head, []byte("\x1f\x8b")) {
		zr, err := gzip.NewReader(br)
		if err != nil {
			return nil, gzipError(err)
		}
		br = bufio.NewReaderSize(readerFunc(func(p []byte) (int, error) {
			n, err := zr.Read(p)
			if unpacked += int64(n); unpacked > freeUnpacked && unpacked > packed*ratio {
				return 0, errBomb(ratio)
			}
			return n, gzipError(err)
		}), readSize)
		if head, err = peek(br, 8); err != nil {
			return nil, err
		}
	}
	for _, f := range foreign {
		if bytes.HasPrefix(head, []byte(f.magic)) {
			return nil, contentError(f.message)
		}
	}
	switch {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		_, err := br.Discard(3)
		return br, err
	case bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("\xfe\xff")):
		utf16 := unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM)
		return transform.NewReader(br, utf16.NewDecoder()), nil
	}
	return br, nil
}

// peek is Peek for files that may be shorter than n.
func peek(br *bufio.Reader, n int) ([]byte, error) {
	head, err := br.Peek(n)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return head, err
}

// gzipError tells damaged content from a failure to read it.
func gzipError(err error) error {
	var corrupt flate.CorruptInputError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return contentError("the gzip data ends too early: the file is incomplete, copy it again")
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), errors.As(err, &corrupt):
		return contentError("the gzip data is damaged: copy it again")
	}
	return err
}

// errTooLarge is for input over Limits.Bytes.
func errTooLarge(limit int64) error {
	return contentError(fmt.Sprintf(
		"the input is larger than %s unpacked: split it (a small file that unpacks to this much is no roster)", size(limit)))
}

// errBomb is for a packed file over Limits.Ratio.
func errBomb(ratio int64) error {
	return contentError(fmt.Sprintf("unpacks to more than %d times its size, as hardly a roster does: "+
		"if it is one, unpack it and enqueue the unpacked file", ratio))
}

// sniff looks at the beginning of a file's text and returns the delimiter of
// its header: the one that makes the most known names of it, else the most
// names. whole says that head is all of the text.
func sniff(head []byte, whole bool) (rune, error) {
	line, quoted := []byte(nil), false
	start := 0
	for i := 0; i <= len(head) && line == nil; i++ {
		if i == len(head) {
			line = head[start:]
			break
		}
		switch c := head[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\r' && !quoted:
			// One at the very end may be half of a line end.
			if i+1 < len(head) && head[i+1] != '\n' {
				return 0, contentError("lines end in CR only: save the file with LF or CRLF line ends")
			}
		case c == '\n' && !quoted:
			if len(bytes.Trim(head[start:i], " \t\r,;\"")) > 0 {
				line = head[start:i]
			}
			start = i + 1
		case c == 0:
			return 0, contentError("has NUL bytes: save it as UTF-8, or as Unicode text with a byte order mark")
		case c < ' ' && c != '\t' && c != '\n' && c != '\r', c == 0x7f:
			return 0, contentError("not a text file: export the data as CSV")
		}
	}
	if whole && len(bytes.Trim(line, " \t\r\n,;\"")) == 0 {
		return 0, contentError("empty: the first line must name the columns")
	}
	best, bestKnown, bestNames := ',', -1, 0
	for _, comma := range ",;\t" {
		names := splitOutsideQuotes(line, byte(comma))
		known := 0
		for _, n := range names {
			if knownColumns[normalise(string(bytes.Trim(n, " \t\r\"")))] != colOther {
				known++
			}
		}
		if known > bestKnown || known == bestKnown && len(names) > bestNames {
			best, bestKnown, bestNames = comma, known, len(names)
		}
	}
	return best, nil
}

func splitOutsideQuotes(line []byte, comma byte) [][]byte {
	var parts [][]byte
	start, quoted := 0, false
	for i, c := range line {
		switch {
		case c == '"':
			quoted = !quoted
		case c == comma && !quoted:
			parts = append(parts, line[start:i])
			start = i + 1
		}
	}
	return append(parts, line[start:])
}

// readerFunc makes a Reader of a function.
type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
