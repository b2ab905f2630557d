//go:build integration && linux

package test

import (
	"bytes"
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"rollcall/internal/redistest"
	"rollcall/internal/testutil"
)

// TestContainer runs the commands as an image of deploy/Dockerfile has them: alone
// with the certificates to trust, as another user, in a file system they cannot write to.
func TestContainer(t *testing.T) {
	if err := noteSources(); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can change the root directory")
	}
	t.Parallel()
	c := newContainer(t)
	_, addr := redistest.StartTCP(t)
	sim := startSim(t, c.root, "--latency", "0s", "--ring", "0s", "--roster", "roster.csv")
	simURL, err := url.Parse(sim.url)
	if err != nil {
		t.Fatal(err)
	}
	graph := httptest.NewTLSServer(httputil.NewSingleHostReverseProxy(simURL))
	t.Cleanup(graph.Close)
	c.file("etc/ssl/certs/ca-certificates.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: graph.Certificate().Raw})))
	before := c.files()

	env := []string{"ROLLCALL_REDIS=redis://" + addr, "ROLLCALL_GRAPH_URL=" + graph.URL, "ROLLCALL_TOKEN_FILE=/graph.token", "ROLLCALL_HTTP=127.0.0.1:0"}
	c.run(0, env, nil, "enqueue", "/roster.csv")
	c.run(0, env, nil, "worker", "--drain")
	report := readTable(t, strings.NewReader(c.run(0, env, nil, "batch", "report").stdout))
	for o, n := range reported(t, report, readTableFile(t, c.root+"/roster.csv")) {
		if want := map[string]int{"removed": 2, "joined": 1}[o]; n != want {
			t.Errorf("%d rows are %s, want %d", n, o, want)
		}
	}
	// Standard input is kept in a file, for which there is no place but a mount.
	more := "action,call_id,participant_id\ndelete,c1,p3\n"
	if r := c.run(1, env, strings.NewReader(more), "enqueue", "-"); !strings.Contains(r.stderr, "/tmp/") {
		t.Errorf("without a /tmp, enqueue - says %q", r.stderr)
	}
	if after := c.files(); after != before {
		t.Errorf("files were\n%s\nand are\n%s", before, after)
	}
	if err := os.Mkdir(c.root+"/tmp", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(c.root+"/tmp", imageUser, imageUser); err != nil {
		t.Fatal(err)
	}
	c.run(0, env, strings.NewReader(more), "enqueue", "-")
	c.run(0, env, nil, "worker", "--drain")

	// The image's health check, as soon as the worker is started.
	env = append(env[:len(env)-1], "ROLLCALL_HTTP=0.0.0.0:"+port(t))
	began := time.Now()
	worker := c.command(t.Context(), env, nil, "worker")
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = worker.Process.Kill()
		_ = worker.Wait()
	})
	testutil.Eventually(t, "the health check passes", func() bool {
		return c.command(t.Context(), env, nil, "worker", "--healthcheck").Run() == nil
	})
	t.Logf("from start to ready: %s", time.Since(began).Round(time.Millisecond))
}

// port is the number of a free one.
func port(t *testing.T) string {
	t.Helper()
	_, port, err := net.SplitHostPort(testutil.FreeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// container is a root directory like the image's.
type container struct {
	t    *testing.T
	root string
}

func newContainer(t *testing.T) *container {
	t.Helper()
	// Not t.TempDir: another user cannot enter the directory above it.
	dir, err := os.MkdirTemp("", "rollcall-root-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	c := &container{t, dir}
	buildImage(t, root, dir, "-buildvcs=false")
	if list, err := os.ReadFile(dir + "/usr/share/doc/rollcall/modules.txt"); err != nil || !bytes.Contains(list, []byte("github.com/hibiken/asynq\tv")) {
		t.Errorf("the list of modules does not tell what is in it: %v\n%s", err, list)
	}
	// What somebody mounts.
	c.file("graph.token", "a.token")
	c.file("roster.csv", "action,call_id,participant_id,user_id\ndelete,c1,p1,\ndelete,c1,p2,\ninvite,c1,,u1\n")
	return c
}

// file makes a file that the commands can read and not change.
func (c *container) file(name, text string) {
	c.t.Helper()
	path := filepath.Join(c.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		c.t.Fatal(err)
	}
	writeFile(c.t, filepath.Dir(path), filepath.Base(path), func(w io.Writer) { _, _ = io.WriteString(w, text) })
}

// files lists all that is there.
func (c *container) files() string {
	c.t.Helper()
	var list strings.Builder
	err := filepath.WalkDir(c.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil {
			fmt.Fprintf(&list, "%s %s %d %s\n", path, info.Mode(), info.Size(), info.ModTime())
		}
		return err
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return list.String()
}

// command prepares a command inside.
func (c *container) command(ctx context.Context, env []string, stdin io.Reader, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/usr/local/bin/"+name, args...)
	cmd.Dir, cmd.Env, cmd.Stdin = "/", env, stdin
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: c.root, Credential: &syscall.Credential{Uid: imageUser, Gid: imageUser}}
	return cmd
}

// run runs a command inside, to its end, which must have the status.
func (c *container) run(status int, env []string, stdin io.Reader, name string, args ...string) result {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), longest)
	defer cancel()
	cmd := c.command(ctx, env, stdin, name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if cmd.ProcessState == nil {
		c.t.Fatal(err)
	}
	r := result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
	if r.status != status {
		c.t.Fatalf("%s %q: exit status %d, want %d\n%s\n%s", name, args, r.status, status, last(r.stdout, 4000), last(r.stderr, 4000))
	}
	return r
}
