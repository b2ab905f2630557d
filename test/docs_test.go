package test

import (
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// CONTRIBUTING.md says by which rules pages are written; these are they.

// dataLangs are languages of blocks that are not run.
var dataLangs = []string{
	"csv", "json", "text", "crontab", "ini", "yaml", "toml", "powershell", "go", "python", "redis", "promql", "mermaid",
	"diff", "nginx", "dockerfile", "http", "sql",
}

// docPages are the pages whose commands are run.
func docPages(t testing.TB) []string {
	t.Helper()
	names := []string{"README.md", "CONTRIBUTING.md", "SECURITY.md", "ARCHITECTURE.md"}
	more, err := fs.Glob(os.DirFS(root), "docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	return append(names, more...)
}

// TestDocMarks makes sure that each block of a page is run, compared, or says why not.
func TestDocMarks(t *testing.T) {
	t.Parallel()
	for _, name := range docPages(t) {
		d := doc{page: readPage(t, name)}
		for _, p := range d.plan() {
			t.Error(p)
		}
	}
}

// doc is a page on its way through a shell.
type doc struct {
	page
	steps              []step
	ran, not, compared int32
}

// step is a block that is run, or written to a file.
type step struct {
	block
	file   string // to write it to
	status int    // the commands end with
	output string // what their output must have, if anything
}

// plan makes the steps, and returns what is wrong with the page. A block that is
// neither run nor says why is.
func (d *doc) plan() (problems []string) {
	problems = d.bad
	last := -1 // the step right above
	for _, b := range d.blocks {
		wrong := func(form string, args ...any) {
			problems = append(problems, fmt.Sprintf("%s:%d: ", d.name, b.line)+fmt.Sprintf(form, args...))
		}
		what, arg, _ := strings.Cut(b.mark, ": ")
		if what == "exits" || strings.HasPrefix(what, "exits ") {
			what, arg = "exits", strings.TrimPrefix(what, "exits ")
		}
		above := last
		last = -1
		switch {
		case what == "file" && arg != "" && b.lang != "":
			d.steps = append(d.steps, step{block: b, file: arg})
		case b.lang == "text" && what == "output":
			if above < 0 {
				wrong("output that stands below no commands that are run")
				continue
			}
			d.steps[above].output = b.text
			d.compared++
		case b.lang == "text" && (what != "not compared" || arg == ""):
			wrong("mark it <!-- output -->, of the commands above, or <!-- not compared: why -->")
		case slices.Contains(dataLangs, b.lang):
		case b.lang != "sh":
			wrong("%q is no language that is known here: commands are sh, and what a file has is of its kind", b.lang)
		case what == "not run" && arg != "":
			d.not++
		case what == "exits":
			status, err := strconv.Atoi(arg)
			if err != nil || status == 0 {
				wrong("%q names no exit status but 0", b.mark)
				continue
			}
			last = len(d.steps)
			d.steps = append(d.steps, step{block: b, status: status})
			d.ran++
		case what == "not run":
			wrong("it is not run, and does not say why: <!-- not run: why -->")
		case what != "":
			wrong("%q is no mark that is known here", b.mark)
		default:
			last = len(d.steps)
			d.steps = append(d.steps, step{block: b})
			d.ran++
		}
	}
	return problems
}

// What differs from run to run.
var varies = []struct {
	form *regexp.Regexp
	as   string
}{
	{regexp.MustCompile(`\b[a-z2-7]{20}\b`), "BATCH"},
	{regexp.MustCompile(`\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), "TIME"},
	{regexp.MustCompile(`\b\d{4}-\d\d-\d\d\b`), "DAY"},
	{regexp.MustCompile(`\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`), "GUID"},
	{regexp.MustCompile(`\b\d+(\.\d+)? ?(ms|s|min|h)\b`), "DURATION"},
	{regexp.MustCompile(`[ \t]+`), " "},
}

// alike takes out of a line what differs from run to run.
func alike(line string) string {
	for _, v := range varies {
		line = v.form.ReplaceAllString(line, v.as)
	}
	return strings.TrimSpace(line)
}

// missingLine returns the first line of want that said has not, after those
// before it. A line … stands for any.
func missingLine(said, want string) string {
	lines := strings.Split(said, "\n")
	for w := range strings.Lines(want) {
		w = alike(w)
		if w == "" || w == "…" {
			continue
		}
		at := slices.IndexFunc(lines, func(l string) bool { return alike(l) == w })
		if at < 0 {
			return w
		}
		lines = lines[at+1:]
	}
	return ""
}
