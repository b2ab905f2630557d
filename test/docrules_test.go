package test

import (
	"strings"
	"testing"
)

// TestDocRules makes sure that what is wrong with a page is found before it is run.
func TestDocRules(t *testing.T) {
	t.Parallel()
	const f = "```"
	for text, want := range map[string]string{
		"# A\n\n    enqueue roster.csv\n":                       "page.md:3: an indented block",
		f + "\nls\n" + f + "\n":                                 `page.md:1: "" is no language`,
		f + "bash\nls\n" + f + "\n":                             `page.md:1: "bash" is no language`,
		f + "sh\nls\n":                                          "page.md:1: a block that does not end",
		"<!-- not run -->\n" + f + "sh\nls\n" + f + "\n":        "page.md:2: it is not run, and does not say why",
		"<!-- do not run: no -->\n" + f + "sh\nls\n" + f + "\n": "page.md:2: \"do not run: no\" is no mark",
		"<!-- exits well -->\n" + f + "sh\nls\n" + f + "\n":     `page.md:2: "exits well" names no exit status`,
		f + "text\nmuch\n" + f + "\n":                           "page.md:1: mark it",
		"<!-- output -->\n" + f + "text\nmuch\n" + f + "\n":     "page.md:2: output that stands below no commands",
	} {
		t.Run(want, func(t *testing.T) {
			d := doc{page: parsePage("page.md", text)}
			problems := d.plan()
			if len(problems) != 1 || !strings.Contains(problems[0], want) {
				t.Errorf("%q\n has the problems %q, want %q", text, problems, want)
			}
		})
	}
}

// TestDocsAlike makes sure of what is compared of an output.
func TestDocsAlike(t *testing.T) {
	const said = `enqueued batch 62dhfsg4xomrgultpvis: 45 rows
  done     joined           25
  finished 2026-11-23T21:15:29Z
  that takes at least 4.2s, or 1 min 3 s
`
	for want, missing := range map[string]bool{
		"enqueued batch oyo3e3siqqvfblgoejvp: 45 rows\nfinished 2027-01-01T00:00:00.5Z": false,
		"enqueued batch oyo3e3siqqvfblgoejvp: 46 rows":                                  true,
		"done joined 25\n…\nthat takes at least 17 ms, or 9 min 12 s":                   false,
		"finished 2026-11-23T21:15:29Z\ndone joined 25":                                 true,
	} {
		if got := missingLine(said, want); (got != "") != missing {
			t.Errorf("%q: missing is %q", want, got)
		}
	}
}
