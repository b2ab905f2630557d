//go:build integration

package test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"rollcall/internal/redistest"
	"rollcall/internal/testutil"
)

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
	stand(t, own, "go", goBuilt)

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
	ctx, cancel := context.WithTimeout(context.Background(), longest)
	defer cancel()
	env = append(env, "DOCS="+own, "BIN="+bin)
	cmd := command(ctx, dir, env, "sh", "-c", script)
	cmd.Path = "/bin/sh"
	for i, v := range cmd.Env {
		if path, ok := strings.CutPrefix(v, "PATH="); ok {
			cmd.Env[i] = "PATH=" + filepath.Join(own, "bin") + string(os.PathListSeparator) + path
		}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	group := func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Cancel = group
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	err := cmd.Wait()
	if ctx.Err() != nil {
		err = errors.Join(err, fmt.Errorf("not over after %s", longest))
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

// goBuilt is a go that takes the commands under test for those that it is told to
// build: they are built once a run.
const goBuilt = `case "$1 $2" in
"run ./cmd/"*)
  name=${2##*/}; shift 2
  exec "$BIN/$name" "$@" ;;
"build -o")
  [ "$4 $#" = "./cmd/... 4" ] || { echo "go $*: TestDocs does not know how to do that" >&2; exit 2; }
  mkdir -p "$3" && exec cp -P "$BIN"/* "$3" ;;
*) echo "go $*: TestDocs does not know how to do that" >&2; exit 2 ;;
esac
`

// TestDocRuns makes sure that TestDocs sees what is wrong with a page's commands.
func TestDocRuns(t *testing.T) {
	t.Parallel()
	const f = "```"
	for text, want := range map[string]string{
		f + "sh\nfalse\ntrue\n" + f + "\n":                                                               "page.md:1: exit status 1",
		f + "sh\ntrue\n" + f + "\n\n1. Then\n\n   " + f + "sh\n   rm x\n   " + f + "\n":                  "page.md:7: exit status",
		"<!-- exits 3 -->\n" + f + "sh\ntrue\n" + f + "\n":                                               "exit status 0, not 3",
		f + "sh\necho one; echo two\n" + f + "\n\n<!-- output -->\n" + f + "text\ntwo\none\n" + f + "\n": "the page shows\n  one\n",
		"<!-- sh\nfalse\n-->\n" + f + "sh\ntrue\n" + f + "\n":                                            "page.md:1: exit status 1",
	} {
		t.Run(want, func(t *testing.T) {
			d := doc{page: parsePage("page.md", text)}
			if problems := d.plan(); len(problems) > 0 {
				t.Fatalf("%q\n has the problems %q", text, problems)
			}
			if problems := d.run(t); len(problems) != 1 || !strings.Contains(problems[0], want) {
				t.Errorf("%q\n has the problems %q, want %q", text, problems, want)
			}
		})
	}
}
