package test

import (
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestLinks follows every link of every Markdown file that leads to another file
// of the repository or to a heading. What is elsewhere is not asked for.
func TestLinks(t *testing.T) {
	t.Parallel()
	pages := map[string]page{}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "node_modules") {
			return filepath.SkipDir
		}
		if name, _ := filepath.Rel(root, p); path.Ext(p) == ".md" {
			pages[filepath.ToSlash(name)] = readPage(t, filepath.ToSlash(name))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	inside, outside := 0, 0
	for name, p := range pages {
		for _, link := range p.links() {
			u, err := url.Parse(link)
			if err != nil {
				t.Errorf("%s: the link %q cannot be read", name, link)
				continue
			}
			if u.Scheme != "" || u.Host != "" {
				outside++
				continue
			}
			inside++
			to := name
			if u.Path != "" {
				to = path.Join(path.Dir(name), u.Path)
			}
			if _, err := os.Stat(filepath.Join(root, to)); err != nil || strings.HasPrefix(to, "..") {
				t.Errorf("%s: the link %q leads nowhere", name, link)
				continue
			}
			if u.Fragment == "" {
				continue
			}
			if target, ok := pages[to]; !ok || !target.anchors()[u.Fragment] {
				t.Errorf("%s: the link %q names a heading that is not there", name, link)
			}
		}
	}
	t.Logf("%d pages, %d links within the repository, %d to elsewhere, which were not followed", len(pages), inside, outside)
}

// TestPaths makes sure that the files that pages name in code are there.
func TestPaths(t *testing.T) {
	t.Parallel()
	n := 0
	for _, name := range docPages(t) {
		for _, m := range pathInCode.FindAllStringSubmatch(readPage(t, name).prose, -1) {
			n++
			if found, err := filepath.Glob(filepath.Join(root, m[1])); err != nil || len(found) == 0 {
				t.Errorf("%s: there is no %s", name, m[1])
			}
		}
	}
	t.Logf("%d paths are there", n)
}

var pathInCode = regexp.MustCompile("`((?:internal|cmd|docs|test|deploy|bench|examples|tools)/[\\w./*-]+)`")

// TestAnchors holds the rules by which headings become anchors.
func TestAnchors(t *testing.T) {
	for text, want := range map[string]string{
		"Going live":                              "going-live",
		"Limits, and what is not there yet":       "limits-and-what-is-not-there-yet",
		"`--max-deletes` as a guard":              "--max-deletes-as-a-guard",
		"1. Before":                               "1-before",
		"What [it](x.md) is":                      "what-it-is",
		"already_present & C++":                   "already_present--c",
		"Who is there – and who isn't?":           "who-is-there--and-who-isnt",
		"`rollcall_limit_rate{a,b}` – how it was": "rollcall_limit_rateab--how-it-was",
	} {
		if got := anchor(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
