package roster

import (
	"fmt"
	"strings"
	"unicode"
)

// column is a column the product knows; colOther is any other.
type column uint8

const (
	colOther column = iota
	colAction
	colCall
	colParticipant
	colUser
	colPhone
	colApplication
	colGuest
	colTenant
	colDisplayName
	colReplacesCall
	numColumns
)

var columnNames = [numColumns]string{
	colAction:       "action",
	colCall:         "call_id",
	colParticipant:  "participant_id",
	colUser:         "user_id",
	colPhone:        "phone",
	colApplication:  "application_id",
	colGuest:        "guest_id",
	colTenant:       "tenant_id",
	colDisplayName:  "display_name",
	colReplacesCall: "replaces_call_id",
}

// columnKinds are the columns that name an identity.
var columnKinds = [numColumns]Kind{
	colUser:        User,
	colPhone:       Phone,
	colApplication: Application,
	colGuest:       Guest,
}

func (c column) String() string { return columnNames[c] }

// knownColumns maps normalised names, aliases included.
var knownColumns = func() map[string]column {
	m := map[string]column{
		normalise("operation"):    colAction,
		normalise("object_id"):    colUser,
		normalise("phone_number"): colPhone,
	}
	for c := colAction; c < numColumns; c++ {
		m[normalise(c.String())] = c
	}
	return m
}()

// reportColumns are the ones a report or a rejects file adds. They are dropped
// on reading, so that such a file can be mended and used as input.
var reportColumns = func() map[string]bool {
	m := make(map[string]bool)
	for _, name := range []string{
		"row", "source", "outcome", "detail", "status", "code",
		"request_id", "attempts", "finished_at", "error",
	} {
		m[normalise(name)] = true
	}
	return m
}()

// normalise makes column names comparable: case, white space, '-' and '_' do
// not matter.
func normalise(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || unicode.IsSpace(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, name)
}

// label makes a column name from a file fit for a message: printable and
// short. n is the number of the field from 1, for columns without a name.
func label(name string, n int) string {
	const most = 40
	if c := knownColumns[normalise(name)]; c != colOther {
		return c.String()
	}
	name = strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.TrimSpace(name))
	if name == "" {
		return fmt.Sprintf("field %d", n)
	}
	if r := []rune(name); len(r) > most {
		return string(r[:most]) + "…"
	}
	return name
}

// unionKey tells which columns of several files are the same one. Aliases of
// a known column are: a table with both could not be read again.
func unionKey(name string) string {
	n := normalise(name)
	if c := knownColumns[n]; c != colOther {
		return normalise(c.String())
	}
	return n
}

// UnionColumns returns the columns of all files in the order in which they
// first appear, and for each file the places of its columns among them: cell i
// of a record of files[f] belongs to columns[index[f][i]]. Names that are
// equal after normalisation, and aliases of one column, are one column; a name
// that a file has twice stays two.
func UnionColumns(files []File) (columns []string, index [][]int) {
	type key struct {
		name string
		nth  int // of that name within its file
	}
	place := make(map[key]int)
	for _, f := range files {
		at := make([]int, 0, len(f.Columns))
		seen := make(map[string]int)
		for _, name := range f.Columns {
			k := key{name: unionKey(name)}
			k.nth = seen[k.name]
			seen[k.name]++
			if _, ok := place[k]; !ok {
				place[k] = len(columns)
				columns = append(columns, name)
			}
			at = append(at, place[k])
		}
		index = append(index, at)
	}
	return columns, index
}
