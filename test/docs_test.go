package test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"rollcall/internal/redistest"
	"rollcall/internal/testutil"
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

// TestDocs runs the commands of each page, in order, in one shell and a fresh
// directory, beside a Redis and with the commands under test. Only ports are
// others than the page says.
func TestDocs(t *testing.T) {
	if err := noteSources(); err != nil {
		t.Fatal(err)
	}
	t.Parallel()
	var ran, not, compared atomic.Int32
	t.Run("pages", func(t *testing.T) {
		for _, name := range docPages(t) {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				d := doc{page: readPage(t, name)}
				problems := d.plan()
				if len(problems) == 0 && d.ran > 0 {
					problems = d.run(t)
				}
				for _, p := range problems {
					t.Error(p)
				}
				ran.Add(d.ran)
				not.Add(d.not)
				compared.Add(d.compared)
			})
		}
	})
	t.Logf("%d blocks were run and %d not, for the reasons given there; %d outputs were compared", ran.Load(), not.Load(), compared.Load())
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

// docLimit is how long the commands of a page may take.
const docLimit = 2 * time.Minute

// startsSim is a simulator in the background. What stands below it is for people,
// who type more slowly than it starts.
var startsSim = regexp.MustCompile(`(?m)^ *graphsim .*&$`)

const untilSim = "until curl -sf -o \"$DOCS/sim\" http://127.0.0.1:8089/_sim/state; do sleep 0.05; done"

// docTools are used by pages and need not be on each machine.
var docTools = []string{"curl", "jq", "openssl"}

// needTools skips the test where one is missing, or fails where nothing may be.
func needTools(t *testing.T) {
	t.Helper()
	for _, name := range docTools {
		if _, err := exec.LookPath(name); err == nil {
			continue
		}
		if os.Getenv(redistest.RequireEnv) == "1" {
			t.Fatalf("%s is not on PATH", name)
		}
		t.Skipf("%s is not on PATH", name)
	}
}

// run runs the steps, and returns what is otherwise than the page says.
func (d *doc) run(t *testing.T) (problems []string) {
	t.Helper()
	needTools(t)
	dir, own := t.TempDir(), t.TempDir()
	_, redis := redistest.StartTCP(t)
	sim, http := testutil.FreeAddr(t), testutil.FreeAddr(t)
	tree := filepath.Join(own, "tree") // what there is to clone, as far as pages look into it
	for _, parent := range []string{dir, tree} {
		if err := os.CopyFS(filepath.Join(parent, "examples"), os.DirFS(filepath.Join(root, "examples"))); err != nil {
			t.Fatal(err)
		}
	}
	ports := strings.NewReplacer("127.0.0.1:6379", redis, "127.0.0.1:8089", sim, "127.0.0.1:9464", http,
		"git clone <this repository>", "cp -R "+tree)
	back := strings.NewReplacer(redis, "127.0.0.1:6379", sim, "127.0.0.1:8089", http, "127.0.0.1:9464")
	stand(t, own, "mail", "cat >> \"$DOCS/mail\"\n")
	stand(t, own, "go", goInTree)

	var script strings.Builder
	script.WriteString("set -e\n")
	for i, s := range d.steps {
		text := ports.Replace(startsSim.ReplaceAllString(s.text, "$0\n"+untilSim))
		fmt.Fprintf(&script, "echo %d > \"$DOCS/at\"\n", i)
		if s.file != "" {
			fmt.Fprintf(&script, "cat > %s <<'END OF FILE'\n%sEND OF FILE\n", s.file, text)
			continue
		}
		if err := os.WriteFile(filepath.Join(own, strconv.Itoa(i)+".sh"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if s.status == 0 {
			fmt.Fprintf(&script, ". \"$DOCS/%d.sh\" > \"$DOCS/%d.out\" 2>&1\n", i, i)
			continue
		}
		fmt.Fprintf(&script, "set +e\n. \"$DOCS/%d.sh\" > \"$DOCS/%d.out\" 2>&1\nended=$?\nset -e\n", i, i)
		fmt.Fprintf(&script, "[ $ended -eq %d ] || { echo \"exit status $ended, not %d\" >> \"$DOCS/%d.out\"; exit 1; }\n", s.status, s.status, i)
	}
	err := shell(t, dir, own, script.String(), "ROLLCALL_REDIS=redis://"+redis+"/0", "ROLLCALL_HTTP="+http, "ROLLCALL_LISTEN="+sim)
	if err != nil {
		at, _ := os.ReadFile(filepath.Join(own, "at"))
		i, _ := strconv.Atoi(strings.TrimSpace(string(at)))
		said, _ := os.ReadFile(filepath.Join(own, strconv.Itoa(i)+".out"))
		return []string{fmt.Sprintf("%s:%d: %v\n%s\nsays\n%s", d.name, d.steps[i].line, err, d.steps[i].text, last(string(said), 4000))}
	}
	for i, s := range d.steps {
		if s.output == "" {
			continue
		}
		said, err := os.ReadFile(filepath.Join(own, strconv.Itoa(i)+".out"))
		if err != nil {
			t.Fatal(err)
		}
		if missing := missingLine(back.Replace(string(said)), s.output); missing != "" {
			problems = append(problems, fmt.Sprintf("%s:%d: the page shows\n  %s\nbut the commands say\n%s", d.name, s.line, missing, said))
		}
	}
	return problems
}

// shell runs a script, and kills what it has left running.
func shell(t *testing.T, dir, own, script string, env ...string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), docLimit)
	defer cancel()
	realGo, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	// Compiled as the image is, which other tests build: so it is done once.
	env = append(env, "DOCS="+own, "ROOT="+root, "GO="+realGo, "CGO_ENABLED=0", "GOFLAGS=-trimpath -buildvcs=false")
	cmd := command(ctx, dir, env, "sh", "-c", script)
	cmd.Path = "/bin/sh"
	for i, v := range cmd.Env {
		if path, ok := strings.CutPrefix(v, "PATH="); ok {
			cmd.Env[i] = "PATH=" + filepath.Join(own, "bin") + string(os.PathListSeparator) + path
		}
	}
	for _, name := range []string{"HOME", "GOPATH", "GOCACHE", "GOMODCACHE", "GOPROXY", "GOTOOLCHAIN"} {
		if v := os.Getenv(name); v != "" {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	group := func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Cancel = group
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	err = cmd.Wait()
	if ctx.Err() != nil {
		err = errors.Join(err, fmt.Errorf("not over after %s", docLimit))
	}
	_ = group() // nobody may be left
	return err
}

// stand puts a command in place of one that machines need not have.
func stand(t *testing.T, own, name, script string) {
	t.Helper()
	dir := filepath.Join(own, "bin")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
}

// goInTree is a go that builds in the tree itself rather than in what a page has
// cloned: there its packages are in Go's cache.
const goInTree = `case "$1 $2" in
"run ./cmd/"*)
  package=$2; shift 2
  (cd "$ROOT" && "$GO" build -o "$DOCS/built/" "$package") && exec "$DOCS/built/${package##*/}" "$@" ;;
"build -o")
  mkdir -p "$3" && to=$(cd "$3" && pwd) && shift 3
  cd "$ROOT" && exec "$GO" build -o "$to/" "$@" ;;
*) echo "go $*: TestDocs does not know how to do that" >&2; exit 2 ;;
esac
`

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
