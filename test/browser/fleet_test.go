package browser

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"rollcall/internal/redistest"
	"rollcall/internal/testutil"
)

// bin is the directory of the commands, built once.
var bin string

func TestMain(m *testing.M) { os.Exit(build(m)) }

func build(m *testing.M) int {
	dir, err := os.MkdirTemp("", "rollcall-bin-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	bin = dir
	cmd := exec.CommandContext(context.Background(), "go", "build", "-buildvcs=false", "-o", bin+string(filepath.Separator), "./cmd/...")
	cmd.Dir = filepath.Join("..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the commands: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// token is the console's.
const token = "0123456789abcdef0123456789abcdef"

// fleet is Redis, a simulated Graph and workers, each a process.
type fleet struct {
	t       *testing.T
	dir     string
	env     []string
	console string // its URL
}

// startFleet starts all of it; withToken gives the console its token.
func startFleet(t *testing.T, rosters []string, withToken bool, sim ...string) *fleet {
	t.Helper()
	f := &fleet{t: t, dir: t.TempDir()}
	for i, text := range rosters {
		name := fmt.Sprintf("roster-%d.csv", i+1)
		f.write(name, text)
		sim = append(sim, "--roster", name)
	}
	f.write("graph.token", "simulated\n")
	f.write("console.token", token+"\n")
	f.env = []string{
		"PATH=" + os.Getenv("PATH"), "ROLLCALL_REDIS=" + redistest.StartServer(t).URL(),
		"ROLLCALL_TOKEN_FILE=" + filepath.Join(f.dir, "graph.token"),
	}
	if withToken {
		f.env = append(f.env, "ROLLCALL_CONSOLE_TOKEN_FILE="+filepath.Join(f.dir, "console.token"))
	}
	out := f.start("graphsim", append([]string{"--listen", "127.0.0.1:0"}, sim...)...)
	graph := f.found(out, `http://127\.0\.0\.1:\d+`)
	out = f.start("worker", "--graph-url", graph, "--http", "127.0.0.1:0")
	f.console = "http://" + f.found(out, `address=(127\.0\.0\.1:\d+)`)
	f.start("worker", "--graph-url", graph, "--http", "")
	return f
}

func (f *fleet) write(name, text string) {
	f.t.Helper()
	if err := os.WriteFile(filepath.Join(f.dir, name), []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fleet) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(bin, name), args...)
	cmd.Dir, cmd.Env = f.dir, f.env
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// start starts a process that runs until the test ends.
func (f *fleet) start(name string, args ...string) *testutil.Buffer {
	f.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := f.command(ctx, name, args...)
	out := &testutil.Buffer{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
		if f.t.Failed() {
			f.t.Logf("%s said:\n%.4000s", name, out)
		}
	})
	return out
}

// found waits until a process prints something, and gives its last group.
func (f *fleet) found(out *testutil.Buffer, pattern string) string {
	f.t.Helper()
	re := regexp.MustCompile(pattern)
	testutil.Eventually(f.t, pattern+" is printed", func() bool { return re.MatchString(out.String()) })
	m := re.FindStringSubmatch(out.String())
	return m[len(m)-1]
}

// run runs a command to its end and gives what it prints.
func (f *fleet) run(name string, args ...string) string {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), time.Minute)
	defer cancel()
	out, err := f.command(ctx, name, args...).CombinedOutput()
	if err != nil {
		f.t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}

// enqueue enqueues a roster and gives the batch's id.
func (f *fleet) enqueue(args ...string) string {
	f.t.Helper()
	m := regexp.MustCompile(`batch (\w+)`).FindStringSubmatch(f.run("enqueue", args...))
	if m == nil {
		f.t.Fatal("enqueue named no batch")
	}
	return m[1]
}

// get asks for a page without a browser.
func (f *fleet) get(path string, header ...string) (int, string) {
	f.t.Helper()
	req, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, f.console+path, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 64<<20))
	if err != nil {
		f.t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

// roster is a file of n rows about calls that are named by a digit: mostly people who
// come or go, some who refuse and some whom Graph does not take.
func roster(digit, n int) string {
	var b strings.Builder
	b.WriteString("action,call_id,user_id,participant_id,display_name\n")
	for i := range n {
		call := fmt.Sprintf("81e74ef5-e8e2-4d94-9ed%d-%012d", digit, i/125)
		switch {
		case i%50 == 7:
			_, _ = fmt.Fprintf(&b, "invite,%s,refuses-%d,,Person %d\n", call, i, i)
		case i%100 == 11:
			_, _ = fmt.Fprintf(&b, "invite,%s,malformed-%d,,Person %d\n", call, i, i)
		case i%50 == 12:
			_, _ = fmt.Fprintf(&b, "delete,%s,,gone-%d,\n", call, i)
		case i%2 == 0:
			_, _ = fmt.Fprintf(&b, "delete,%s,,p-%d,\n", call, i)
		default:
			_, _ = fmt.Fprintf(&b, "invite,%s,user-%d,,Person Number %d\n", call, i, i)
		}
	}
	return b.String()
}
