package roster

import "strings"

// A spreadsheet takes a cell that begins with one of these for a formula.
const formulaStart = "=+-@\t\r"

// EscapeCell makes a cell safe to open in a spreadsheet: one that would be
// taken for a formula gets a leading apostrophe. Phone numbers in E.164 form
// and plain numbers such as -3.5 are left as they are. [UnescapeCell] undoes
// it, whatever the cell.
func EscapeCell(s string) string {
	if isPhone(s) || isNumber(s) || !guardable(s) {
		return s
	}
	return "'" + s
}

// UnescapeCell takes off the apostrophe that [EscapeCell] put on.
func UnescapeCell(s string) string {
	if rest, ok := strings.CutPrefix(s, "'"); ok && guardable(rest) {
		return rest
	}
	return s
}

// guardable reports whether s begins with any number of apostrophes and then
// the start of a formula. Apostrophes count, so that a cell that had one
// before comes back with it.
func guardable(s string) bool {
	s = strings.TrimLeft(s, "'")
	return s != "" && strings.IndexByte(formulaStart, s[0]) >= 0
}

// isNumber reports whether s is a plain decimal number: no exponent, and
// nothing a spreadsheet would calculate.
func isNumber(s string) bool {
	if s != "" && (s[0] == '-' || s[0] == '+') {
		s = s[1:]
	}
	whole, fraction, dotted := strings.Cut(s, ".")
	return allDigits(whole) && (!dotted || allDigits(fraction))
}

// clean turns a field of a file into a cell: without the white space around
// it and without the guard.
func clean(field string) string {
	return UnescapeCell(strings.TrimSpace(field))
}
