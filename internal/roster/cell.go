package roster

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxID          = 256 // bytes
	maxDisplayName = 256 // characters
)

// checkCell says what is wrong with a cell of a known column that is not
// blank, or "". The text never repeats the cell.
func checkCell(c column, s string) string {
	switch c {
	case colAction:
		if _, err := ParseAction(s); err != nil {
			return err.Error()
		}
		return ""
	case colPhone:
		if !isPhone(s) {
			return "not a phone number in E.164 form: write + and 7 to 15 digits, country code first, like +14255550100"
		}
		return ""
	case colDisplayName:
		return checkDisplayName(s)
	case colOther:
		return ""
	default:
		return checkID(s)
	}
}

// damaged is for what stands where a character could not be decoded.
const damaged = "has a damaged character: export the file again as UTF-8"

// checkText is what every cell must pass, known or not.
func checkText(s string, limit int) string {
	switch {
	case len(s) > limit:
		return "longer than " + size(int64(limit)) + ": shorten it, or look for a missing quote"
	case strings.IndexByte(s, 0) >= 0:
		return "has a NUL byte: save the file as UTF-8 or Unicode text"
	case !utf8.ValidString(s):
		return "not UTF-8: save the file as UTF-8 or Unicode text"
	}
	return ""
}

// checkID is deliberately loose about form, since Graph documents ids as
// opaque, and strict about anything that could end up as another path of the
// API or that nobody can see when comparing ids.
func checkID(s string) string {
	switch {
	case len(s) > maxID:
		return "longer than 256 bytes: look for shifted columns"
	case s == "." || s == "..":
		return "not an id: write the id alone"
	}
	i := 0
	for i < len(s) && plainInID[s[i]] {
		i++
	}
	for _, r := range s[i:] {
		switch {
		case r == unicode.ReplacementChar:
			return damaged
		case strings.ContainsRune(`/\?#%`, r):
			return `has one of / \ ? # %: write the id alone, not an address`
		case unicode.IsSpace(r):
			return "has white space inside: write one id, without spaces"
		case unicode.IsControl(r):
			return "has a control character: type the id again"
		case !unicode.IsPrint(r):
			return "has an invisible character: type the id again"
		}
	}
	return ""
}

// plainInID are the bytes that nearly all of nearly every id is made of.
var plainInID = func() (plain [256]bool) {
	for _, c := range []byte("-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") {
		plain[c] = true
	}
	return plain
}()

// isPhone reports whether s is a number in E.164 form.
func isPhone(s string) bool {
	digits, ok := strings.CutPrefix(s, "+")
	if !ok || len(digits) < 7 || len(digits) > 15 || digits[0] == '0' {
		return false
	}
	return allDigits(digits)
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

func checkDisplayName(s string) string {
	if utf8.RuneCountInString(s) > maxDisplayName {
		return "longer than 256 characters: shorten it"
	}
	if strings.ContainsFunc(s, unicode.IsControl) {
		return "has a line break or another control character: write it on one line"
	}
	if strings.ContainsRune(s, unicode.ReplacementChar) {
		return damaged // Graph would show it to everyone in the call
	}
	return ""
}
