package test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// page is a Markdown file.
type page struct {
	name   string // its path from the root of the module
	blocks []block
	prose  string // all that is no code
	bad    []string
}

// block is a fenced block, or commands in a comment that begins with "<!-- sh",
// which are run too, but not shown.
type block struct {
	line int // of its fence
	lang string
	mark string // the comment directly above it, without what makes it a comment
	text string
}

var (
	fence   = regexp.MustCompile("^( *)(```+)\\s*([^`]*)$")
	remark  = regexp.MustCompile(`^ *<!--\s*(.*?)\s*-->$`)
	code    = regexp.MustCompile("`[^`]+`")
	heading = regexp.MustCompile(`^#{1,6} +(.*?)[ #]*$`)
)

// readPage reads a Markdown file.
func readPage(t testing.TB, name string) page {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return parsePage(name, string(text))
}

// parsePage knows as much of Markdown as this repository's pages use, and notes in
// bad what it does not take.
func parsePage(name, text string) page {
	p := page{name: name}
	var prose, inside strings.Builder
	var open *block
	indent, end, mark, list := "", "", "", false
	blank := true
	for n, line := range strings.Split(text, "\n") {
		if open != nil {
			if strings.TrimSpace(line) == end {
				open.text = inside.String()
				p.blocks = append(p.blocks, *open)
				open, mark, blank = nil, "", true
				inside.Reset()
			} else {
				inside.WriteString(strings.TrimPrefix(line, indent) + "\n")
			}
			prose.WriteByte('\n')
			continue
		}
		if m := fence.FindStringSubmatch(line); m != nil {
			open, indent, end = &block{line: n + 1, lang: strings.TrimSpace(m[3]), mark: mark}, m[1], m[2]
		} else if strings.TrimSpace(line) == "<!-- sh" {
			open, indent, end = &block{line: n + 1, lang: "sh"}, "", "-->"
		}
		if open != nil {
			prose.WriteByte('\n')
			continue
		}
		if m := remark.FindStringSubmatch(line); m != nil {
			mark = m[1]
			prose.WriteByte('\n')
			continue
		}
		if mark = ""; !strings.HasPrefix(line, " ") && strings.TrimSpace(line) != "" {
			list = strings.HasPrefix(line, "- ") || strings.HasPrefix(line, "* ") || line[0] >= '0' && line[0] <= '9'
		}
		if blank && strings.HasPrefix(line, "    ") && !list {
			p.bad = append(p.bad, name+":"+strconv.Itoa(n+1)+": an indented block: fence it, and say of which language it is")
		}
		blank = strings.TrimSpace(line) == ""
		prose.WriteString(line + "\n")
	}
	if open != nil {
		p.bad = append(p.bad, name+":"+strconv.Itoa(open.line)+": a block that does not end")
	}
	p.prose = prose.String()
	return p
}

// anchors are what links into the page can name: its headings, as GitHub writes
// them there.
func (p page) anchors() map[string]bool {
	out := map[string]bool{}
	for line := range strings.Lines(p.prose) {
		m := heading.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if m == nil {
			continue
		}
		a := anchor(m[1])
		for name, n := a, 0; ; {
			if !out[name] {
				out[name] = true
				break
			}
			n++
			name = a + "-" + strconv.Itoa(n)
		}
	}
	return out
}

// anchor is a heading's anchor: in lower case, hyphens for spaces, no punctuation.
func anchor(text string) string {
	text = inlineLink.ReplaceAllString(text, "$1")
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, text)
}

var (
	inlineLink = regexp.MustCompile(`\[([^\]]*)\]\(<?([^)\s>]+)>?(?:\s+"[^"]*")?\)`)
	labelled   = regexp.MustCompile(`(?m)^ {0,3}\[[^\]]+\]:\s*<?([^\s>]+)`)
	attribute  = regexp.MustCompile(`\b(?:href|src)="([^"]+)"`)
)

// links are the page's links and images.
func (p page) links() (all []string) {
	prose := code.ReplaceAllStringFunc(p.prose, func(s string) string { return "`" + strings.Repeat("x", len(s)-2) + "`" })
	for _, m := range inlineLink.FindAllStringSubmatch(prose, -1) {
		all = append(all, m[2])
	}
	for _, form := range []*regexp.Regexp{labelled, attribute} {
		for _, m := range form.FindAllStringSubmatch(prose, -1) {
			all = append(all, m[1])
		}
	}
	return all
}
