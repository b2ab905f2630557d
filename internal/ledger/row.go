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
	Intent    Intent    // only while pending
}

// Intent says that a row's participant was or is about to be rung. A row that
// has one must be looked at before anything is sent for it.
type Intent struct {
	At        time.Time     // when it was written, before the request; zero: there is none
	Accepted  bool          // Graph answered that it rings them: then they were rung for sure
	Again     bool          // it is the second: what became of the first was never known
	Came      int           // others of the same request who have come
	Operation string        // Graph's id of what it does, if it named it
	Read      time.Duration // how long after At the operation was last read
}

// The bits of an intent's flags; Came stands above them.
const (
	flagAccepted = 1 << iota
	flagAgain
	bitsOfFlags = iota
)

func (i Intent) flags() uint64 {
	f := uint64(max(i.Came, 0)) << bitsOfFlags
	if i.Accepted {
		f |= flagAccepted
	}
	if i.Again {
		f |= flagAgain
	}
	return f
}

// maxDetail bounds the free text of a record, in bytes.
const maxDetail = 500

var errRecord = errors.New("ledger: a row's record cannot be read: the batch was written by another version")

// sent tells whether there is an intent.
func (i Intent) sent() bool { return !i.At.IsZero() }

// intentLetter is the first byte of a pending row's record that has an intent.
const intentLetter = '!'

// encode writes a record: the outcome's letter, then attempts, status and time
// (milliseconds since the batch was created) as varints, code and request id
// with their lengths, and the detail. GUIDs take 16 bytes. An intent stands in
// front of the detail: its time, its age when the operation was read (ms), its
// flags, and the operation.
func (r Row) encode(created time.Time) []byte {
	b := make([]byte, 0, 32+len(r.Code)+len(r.Detail))
	letter := r.Outcome.letter()
	intent := r.Outcome == Pending && r.Intent.sent()
	if intent {
		letter = intentLetter
	}
	b = append(b, letter)
	b = binary.AppendUvarint(b, uint64(max(r.Attempts, 0)))
	b = binary.AppendUvarint(b, uint64(max(r.Status, 0)))
	b = appendTime(b, r.At, created)
	b = appendText(b, r.Code)
	b = appendText(b, r.RequestID)
	if intent {
		b = appendTime(b, r.Intent.At, created)
		b = binary.AppendUvarint(b, uint64(max(r.Intent.Read.Milliseconds(), 0)))
		b = binary.AppendUvarint(b, r.Intent.flags())
		b = appendText(b, r.Intent.Operation)
		return appendDetail(b, r.Detail, clip(r.Intent.Operation, guidMark-1))
	}
	return appendDetail(b, r.Detail, "")
}

// appendTime writes 0 for no time, else the milliseconds since created and 1.
func appendTime(b []byte, t, created time.Time) []byte {
	at := int64(0)
	if !t.IsZero() {
		at = max(t.UnixMilli()-created.UnixMilli(), 0) + 1
	}
	return binary.AppendUvarint(b, uint64(at))
}

// guidMark stands where a length would: no text of a record is that long.
const guidMark = 0x7f

func appendText(b []byte, s string) []byte {
	if id, err := uuid.Parse(s); err == nil && len(s) == 36 && strings.ToLower(s) == s {
		return append(append(b, guidMark), id[:]...)
	}
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
	r := Row{Attempts: int(d.uvarint()), Status: int(d.uvarint()), At: d.time(created)}
	r.Code, r.RequestID = d.text(), d.text()
	var err error
	if b[0] == intentLetter {
		r.Intent = Intent{At: d.time(created), Read: time.Duration(d.uvarint()) * time.Millisecond}
		flags := d.uvarint()
		r.Intent.Accepted, r.Intent.Again, r.Intent.Came = flags&flagAccepted != 0, flags&flagAgain != 0, int(flags>>bitsOfFlags)
		r.Intent.Operation = d.text()
		d.bad = d.bad || !r.Intent.sent()
	} else if r.Outcome, err = outcomeOf(b[0]); err != nil {
		return Row{}, err
	}
	var ok bool
	r.Detail, ok = readDetail(d.rest, r.Intent.Operation)
	if d.bad || !ok {
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
	if n <= 0 || v > 1<<43 { // as many milliseconds are a time.Duration still
		d.bad, d.rest = true, nil
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) time(created time.Time) time.Time {
	at := d.uvarint()
	if at == 0 {
		return time.Time{}
	}
	return time.UnixMilli(created.UnixMilli() + int64(at) - 1).UTC()
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
