package ledger

import (
	"encoding/binary"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Row is what the ledger knows of one row besides its source.
type Row struct {
	Outcome   Outcome
	Attempts  int       // requests to Graph that count against the limit of attempts
	At        time.Time // finished at; while pending: not to be tried before
	Status    int       // HTTP status of the last answer, 0 if there was none
	Code      string    // Graph's error code, if it gave one
	RequestID string    // Graph's request-id of the last answer
	Detail    string    // what happened and what to do, for people
}

// maxDetail bounds the free text of a record, in bytes.
const maxDetail = 500

var errRecord = errors.New("ledger: a row's record cannot be read: the batch was written by another version")

// encode writes a record: the outcome's letter, then attempts, status and time
// (milliseconds since the batch was created) as varints, code and request id
// with their lengths, and the detail. GUIDs take 16 bytes.
func (r Row) encode(created time.Time) []byte {
	b := make([]byte, 0, 32+len(r.Code)+len(r.Detail))
	b = append(b, r.Outcome.letter())
	b = binary.AppendUvarint(b, uint64(max(r.Attempts, 0)))
	b = binary.AppendUvarint(b, uint64(max(r.Status, 0)))
	at := int64(0)
	if !r.At.IsZero() {
		at = max(r.At.UnixMilli()-created.UnixMilli(), 0) + 1 // 0 means none
	}
	b = binary.AppendUvarint(b, uint64(at))
	b = appendString(b, r.Code)
	if id, err := uuid.Parse(r.RequestID); err == nil && len(r.RequestID) == 36 && strings.ToLower(r.RequestID) == r.RequestID {
		b = append(append(b, guidMark), id[:]...)
	} else {
		b = appendString(b, r.RequestID)
	}
	return append(b, clip(r.Detail, maxDetail)...)
}

// guidMark stands where a length would: no text of a record is that long.
const guidMark = 0x7f

func appendString(b []byte, s string) []byte {
	s = clip(s, guidMark-1)
	return append(append(b, byte(len(s))), s...)
}

// clip cuts s to n bytes without leaving half a character.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}

func decodeRow(b string, created time.Time) (Row, error) {
	if b == "" {
		return Row{}, nil
	}
	d := decoder{rest: []byte(b[1:])}
	r := Row{Attempts: int(d.uvarint()), Status: int(d.uvarint())}
	if at := d.uvarint(); at > 0 {
		r.At = time.UnixMilli(created.UnixMilli() + int64(at) - 1).UTC()
	}
	r.Code, r.RequestID = d.text(), d.text()
	r.Detail = string(d.rest)
	var err error
	if r.Outcome, err = outcomeOf(b[0]); err != nil {
		return Row{}, err
	}
	if d.bad {
		return Row{}, errRecord
	}
	return r, nil
}

type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 || v > 1<<53 {
		d.bad, d.rest = true, nil
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) take(n int) []byte {
	if n > len(d.rest) {
		d.bad, d.rest = true, nil
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) text() string {
	n := d.take(1)
	switch {
	case n == nil:
		return ""
	case n[0] == guidMark:
		var id uuid.UUID
		copy(id[:], d.take(len(id)))
		return id.String()
	}
	return string(d.take(int(n[0])))
}
