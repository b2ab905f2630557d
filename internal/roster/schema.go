package roster

import (
	"fmt"
	"slices"
)

// Schema knows which cell of a record means what. It is safe for concurrent
// use.
type Schema struct {
	columns  []column // of each cell
	labels   []string // of each cell, for messages
	at       [numColumns]int
	target   column // where a row without any target is reported
	identity column // where an invite without identity is reported
	action   Action // where there is no column
	callID   string // where there is no column
	tenantID string // where the cell is blank
	maxCell  int
}

// NewSchema reads a header: column names in any order, known and unknown. The
// options stand in for missing columns. Names are matched without regard to
// case, white space, '-' and '_'.
//
// It returns a [*HeaderError] with all that is wrong: a column that is missing
// (Column 0), there twice, or unreadable; or an [*OptionError].
func NewSchema(columns []string, o Options) (*Schema, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	s := &Schema{
		columns:  make([]column, len(columns)),
		labels:   make([]string, len(columns)),
		action:   o.Action,
		callID:   o.CallID,
		tenantID: o.TenantID,
		maxCell:  o.Limits.withDefaults().Cell,
	}
	for c := range s.at {
		s.at[c] = -1
	}
	var errs []CellError
	for i, name := range columns {
		s.labels[i] = label(name, i+1)
		if m := checkText(name, s.maxCell); m != "" {
			errs = append(errs, CellError{i + 1, "header", m})
			continue
		}
		c := knownColumns[normalise(name)]
		if c == colOther {
			continue
		}
		if first := s.at[c]; first >= 0 {
			errs = append(errs, CellError{i + 1, c.String(), fmt.Sprintf(
				"a second %s column, after %q: keep one of them", c, columns[first])})
			continue
		}
		s.columns[i], s.at[c] = c, i
	}
	errs = append(errs, s.missing()...)
	if len(errs) > 0 {
		return nil, &HeaderError{Errors: errs}
	}
	return s, nil
}

// StandIns are the columns that the options stand in for, with their values: with
// them added, the file can be read without the options.
func (s *Schema) StandIns() (names, values []string) {
	for _, v := range []struct {
		col   column
		value string
	}{{colAction, s.action.String()}, {colCall, s.callID}, {colTenant, s.tenantID}} {
		if s.at[v.col] < 0 && v.value != "" {
			names, values = append(names, v.col.String()), append(values, v.value)
		}
	}
	return names, values
}

// missing lists the columns that the header should have, and settles where
// rows without a target are reported.
func (s *Schema) missing() []CellError {
	var errs []CellError
	if s.at[colAction] < 0 && s.action == 0 {
		errs = append(errs, CellError{0, "action", "no such column: name it in the first line, or give --action"})
	}
	if s.at[colCall] < 0 && s.callID == "" {
		errs = append(errs, CellError{0, "call_id", "no such column: name it in the first line, or give --call-id"})
	}
	for _, c := range s.columns {
		if columnKinds[c] != NoIdentity && s.identity == colOther {
			s.identity = c
		}
		if (columnKinds[c] != NoIdentity || c == colParticipant) && s.target == colOther {
			s.target = c
		}
	}
	if s.target == colOther {
		errs = append(errs, CellError{0, "participant_id",
			"no column says who: add one of participant_id, user_id, phone, application_id, guest_id"})
	}
	if s.identity == colOther {
		s.identity = s.target
	}
	return errs
}

// Change builds the change of one record, given as the cells of the columns
// the schema was made from, trimmed and unescaped as [Record] has them. It
// returns all that is wrong with the record, in the order of its cells; the
// change is of use only if nothing is. Row is left 0.
func (s *Schema) Change(cells []string) (Change, []CellError) {
	if len(cells) != len(s.columns) {
		return Change{}, []CellError{raggedError(len(cells), len(s.columns))}
	}
	c := Change{Action: s.action, CallID: s.callID}
	var errs []CellError
	targets := 0 // cells that say who, right or wrong
	for i, cell := range cells {
		col := s.columns[i]
		m := checkText(cell, s.maxCell)
		if m == "" && cell != "" {
			m = checkCell(col, cell)
		}
		if kind := columnKinds[col]; kind != NoIdentity && cell != "" {
			targets++
			if c.Kind != NoIdentity {
				m = "a second identity in one row: keep one of user_id, phone, application_id, guest_id"
			} else {
				c.Kind, c.ID = kind, cell
			}
		}
		switch col {
		case colAction:
			c.Action, _ = ParseAction(cell) // checked above
			if cell == "" {
				m = "blank: write invite or delete"
			}
		case colCall:
			c.CallID = cell
			if cell == "" {
				m = "blank: write the id of the call"
			}
		case colParticipant:
			c.ParticipantID = cell
			if cell != "" {
				targets++
			}
		case colTenant:
			c.TenantID = cell
		case colDisplayName:
			c.DisplayName = cell
		case colReplacesCall:
			c.ReplacesCallID = cell
		}
		if m != "" {
			errs = append(errs, CellError{i + 1, s.labels[i], m})
		}
	}
	if c.TenantID == "" {
		c.TenantID = s.tenantID
	}
	switch {
	case c.Action == Delete && targets == 0:
		errs = append(errs, s.cellError(s.target,
			"blank: a delete needs a participant_id, or one of user_id, phone, application_id, guest_id"))
	case c.Action == Invite && c.Kind == NoIdentity:
		what := "blank"
		if s.identity == colParticipant {
			what = "not enough"
		}
		errs = append(errs, s.cellError(s.identity,
			what+": an invite needs one of user_id, phone, application_id, guest_id"))
	}
	slices.SortStableFunc(errs, byColumn)
	return c, errs
}

func (s *Schema) cellError(c column, message string) CellError {
	return CellError{s.at[c] + 1, c.String(), message}
}

// raggedError is for a record with another number of fields than its header.
func raggedError(got, want int) CellError {
	return CellError{
		Column:  min(got, want) + 1,
		Name:    "record",
		Message: fmt.Sprintf("%s, but the header has %d: quote cells that contain a delimiter or a quote", fields(got), want),
	}
}

func fields(n int) string {
	if n == 1 {
		return "1 field"
	}
	return fmt.Sprintf("%d fields", n)
}
