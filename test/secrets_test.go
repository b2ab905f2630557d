//go:build integration

package test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"html"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/hibiken/asynq"
	"github.com/klauspost/compress/zstd"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/redistest"
	"rollcall/internal/testutil"
)

// What must be found nowhere. The token begins as those of Graph do.
const (
	plantedToken    = "eyJ0eXAiOiJKV1QifQ.cGxhbnRlZC10b2tlbg.c2lnbmF0dXJl"
	plantedRedis    = "re/d1s:planted@pw"
	plantedClient   = "cl1ent~planted.secret"
	plantedPassword = "cert1ficate-planted-pw"
	plantedHook     = "T0/B0/planted-wEbhook"
	plantedHMAC     = "planted: what n0tices are signed by"
	plantedConsole  = "c0nsole-planted-token"
)

var secrets = []string{plantedToken, plantedRedis, plantedClient, plantedPassword, plantedHook, plantedHMAC, plantedConsole}

// Whom nothing but files, reports and the values in Redis may name. The guest's
// id makes the simulator refuse an invitation.
const (
	plantedName  = "Plantagenet Zyx"
	plantedPhone = "+14255557391"
	plantedUser  = "5a1f0c7e-91d3-4b6a-8e2d-7c90b1a2d3e4"
	plantedGuest = "malformed-guest-7391zyx"
)

var people = []string{plantedName, plantedPhone, plantedUser, plantedGuest}

// forms are the ways in which a text may be written down.
func forms(s string) []string {
	return []string{
		s, url.QueryEscape(s), url.PathEscape(s), html.EscapeString(s), strings.Trim(fmt.Sprintf("%q", s), `"`),
		base64.StdEncoding.EncodeToString([]byte(s)), base64.RawURLEncoding.EncodeToString([]byte(s)),
	}
}

// lowerForms are the different forms of what is planted, in lower case.
var lowerForms = func() map[string][]string {
	all := map[string][]string{}
	for _, s := range slices.Concat(secrets, people) {
		var lower []string
		for _, form := range forms(s) {
			lower = append(lower, strings.ToLower(form))
		}
		slices.Sort(lower)
		all[s] = slices.Compact(lower)
	}
	return all
}()

// mentions returns which of some planted texts is in another, in whatever form.
func mentions(text string, those []string) string {
	text = strings.ToLower(text)
	for _, s := range those {
		for _, form := range lowerForms[s] {
			if strings.Contains(text, form) {
				return s
			}
		}
	}
	return ""
}

// trail is what a run leaves behind.
type trail struct {
	t     *testing.T
	dir   string
	level string // of the workers' logs
	env   []string
	mu    sync.Mutex
	seen  map[string]bool // complaints are made once
	named map[string]bool // kinds of places in which people were found, as they may be
}

// names looks into something that may name people, but hold no secret.
func (tr *trail) names(place, text string) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if mentions(text, people) != "" {
		tr.named[place] = true
	}
	tr.complain(place, text, secrets)
}

// nameless looks into something that must not name people either.
func (tr *trail) nameless(place, text string) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.complain(place, text, secrets)
	tr.complain(place, text, people)
}

func (tr *trail) complain(place, text string, of []string) {
	tr.t.Helper()
	for line := range strings.Lines(text) {
		if s := mentions(line, of); s != "" && !tr.seen[place+s] {
			tr.seen[place+s] = true
			tr.t.Errorf("%s has %q: %.400q", place, s, line)
		}
	}
}

// run runs a command, which must end with the status, and looks at what it says.
// Only a report names people on standard output.
func (tr *trail) run(status int, name string, args ...string) result {
	tr.t.Helper()
	r := must(tr.t, status, tr.dir, tr.env, name, args...)
	tr.said(name, args, r)
	return r
}

func (tr *trail) said(name string, args []string, r result) {
	tr.t.Helper()
	what := name + " " + strings.Join(args, " ")
	if name == "batch" && args[0] == "report" {
		tr.names("a report", r.stdout)
	} else {
		tr.nameless(what+": standard output", r.stdout)
	}
	tr.nameless(what+": standard error", r.stderr)
}

// start starts a command, whose line others on the machine can read.
func (tr *trail) start(name string, args ...string) *process {
	tr.t.Helper()
	p := start(tr.t, tr.dir, tr.env, name, args...)
	if line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.cmd.Process.Pid)); err == nil {
		tr.nameless(name+": command line", string(line))
	}
	return p
}

// worker starts a worker and returns the address of its pages.
func (tr *trail) worker(args ...string) (*process, string) {
	tr.t.Helper()
	p := tr.start("worker", append([]string{
		"--http", "127.0.0.1:0", "--log-level", tr.level, "--confirm-timeout", "4s", "--max-attempts", "2",
	}, args...)...)
	var at string
	testutil.Eventually(tr.t, "the worker serves", func() bool {
		if m := serving.FindStringSubmatch(p.err.String()); m != nil {
			at = m[1]
		}
		return at != "" || !p.running()
	})
	return p, "http://" + at
}

var serving = regexp.MustCompile(`serving .*address=(\S+)`)

// logged looks at a worker's log. For debugging it may name people.
func (tr *trail) logged(p *process) {
	tr.t.Helper()
	for line := range strings.Lines(p.err.String()) {
		if strings.Contains(line, "level=DEBUG") {
			tr.names("a log for debugging", line)
		} else {
			tr.nameless("a log", line)
		}
	}
	tr.nameless("a worker's standard output", p.out.String())
}

// pages looks at all that a worker serves to those who have no token.
func (tr *trail) pages(at, batch string) {
	tr.t.Helper()
	batch = "/batch/" + batch
	for _, path := range []string{
		"/", "/healthz", "/readyz", "/metrics", "/nothing", "/fleet", batch, batch + "?live", batch + "?outcome=failed&text=z",
		batch + "/report", batch + "/report?format=html", "/static/console.js",
	} {
		for _, method := range []string{"GET", "POST"} {
			req, err := http.NewRequest(method, at+path, strings.NewReader(""))
			if err != nil {
				tr.t.Fatal(err)
			}
			resp, err := client.Do(req)
			if err != nil {
				tr.t.Fatal(err)
			}
			body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
			_ = resp.Body.Close()
			if err != nil {
				tr.t.Fatal(err)
			}
			tr.nameless(method+" "+path, fmt.Sprintf("%v\n%s", resp.Header, body))
			// A path that is no order's is one that takes none; the others ask for the token.
			refused := resp.StatusCode == http.StatusMethodNotAllowed || strings.Contains(path, "/report") && resp.StatusCode == http.StatusUnauthorized
			if method == "POST" && !refused || method == "GET" && resp.StatusCode == http.StatusMethodNotAllowed {
				tr.t.Errorf("%s %s: %s", method, path, resp.Status)
			}
		}
	}
}

// redis looks at all that is in Redis. What asynq keeps of errors lies among what
// may name people, but must not itself.
func (tr *trail) redis(rdb *redis.Client) {
	tr.t.Helper()
	ctx := tr.t.Context()
	unpack, err := zstd.NewReader(nil)
	if err != nil {
		tr.t.Fatal(err)
	}
	defer unpack.Close()
	keys := rdb.Scan(ctx, 0, "", 1000).Iterator()
	for keys.Next(ctx) {
		key := keys.Val()
		tr.nameless("the name of a key in Redis", key)
		var values []string
		var err error
		switch kind := rdb.Type(ctx, key).Val(); kind {
		case "string":
			var v string
			v, err = rdb.Get(ctx, key).Result()
			values = append(values, v)
		case "hash":
			var all map[string]string
			all, err = rdb.HGetAll(ctx, key).Result()
			for field, v := range all {
				tr.nameless("the name of a field in Redis", field)
				values = append(values, v)
			}
		case "list":
			values, err = rdb.LRange(ctx, key, 0, -1).Result()
		case "set":
			values, err = rdb.SMembers(ctx, key).Result()
		case "zset":
			values, err = rdb.ZRange(ctx, key, 0, -1).Result()
		case "none": // gone in the meantime
		default:
			tr.t.Errorf("%s is a %s: look into those, too", key, kind)
		}
		if err != nil && !errors.Is(err, redis.Nil) {
			tr.t.Fatal(err)
		}
		for _, v := range values {
			tr.names("Redis: "+kindOf(key), v)
			if plain, err := unpack.DecodeAll([]byte(v), nil); err == nil {
				tr.names("Redis: "+kindOf(key)+", unpacked", string(plain))
			}
		}
	}
	if err := keys.Err(); err != nil {
		tr.t.Fatal(err)
	}
	inspector := asynq.NewInspectorFromRedisClient(rdb)
	queues, err := inspector.Queues()
	if err != nil {
		tr.t.Fatal(err)
	}
	for _, queue := range queues {
		for _, list := range []func(string, ...asynq.ListOption) ([]*asynq.TaskInfo, error){
			inspector.ListRetryTasks, inspector.ListPendingTasks, inspector.ListScheduledTasks, inspector.ListArchivedTasks, inspector.ListActiveTasks,
		} {
			tasks, err := list(queue)
			if err != nil {
				tr.t.Fatal(err)
			}
			for _, task := range tasks {
				tr.nameless("an error kept by the queue", task.LastErr)
				tr.nameless("the id of a task", task.ID+" "+task.Type)
				if task.LastErr != "" {
					tr.mu.Lock()
					tr.named["an error kept by the queue"] = true
					tr.mu.Unlock()
				}
			}
		}
	}
}

// kindOf is what is in a key, by its name.
func kindOf(key string) string {
	if rest, ok := strings.CutPrefix(key, "asynq:"); ok {
		_, what, _ := strings.Cut(rest, "}:")
		return "asynq " + strings.SplitN(what, ":", 2)[0]
	}
	_, what, _ := strings.Cut(key, "}:")
	return strings.SplitN(what, ":", 2)[0]
}

// files looks at the files that were left. Rosters, reports and rejects name
// people, and Redis' own files do; the token and the webhooks' secret are in theirs.
func (tr *trail) files(dirs ...string) {
	tr.t.Helper()
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() || d.Name() == "graph.token" || d.Name() == "hook.secret" || d.Name() == "console.token" {
				return err
			}
			data, err := os.ReadFile(path)
			tr.names("file "+d.Name(), string(data))
			return err
		})
		if err != nil {
			tr.t.Fatal(err)
		}
	}
}

// echo is a Graph that says whatever it can about whom it is asked about, in
// front of a simulator.
type echo struct {
	sim   http.Handler
	mode  atomic.Value // string
	asked atomic.Int64
	token atomic.Bool // the planted one came
}

func (e *echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") == "Bearer "+plantedToken {
		e.token.Store(true)
	}
	n := e.asked.Add(1)
	mode, _ := e.mode.Load().(string)
	if mode == "simulate" {
		e.sim.ServeHTTP(w, r)
		return
	}
	body, _ := io.ReadAll(io.LimitReader(r.Body, maxAnswer))
	named := fmt.Sprintf("not allowed for %s, %s, %s, %s: %s %s %s", plantedName, plantedPhone, plantedUser, plantedGuest, r.Header.Get("Authorization"), r.URL, body)
	status := 0
	switch mode {
	case "refuse":
		status = []int{400, 403}[n%2]
		if r.Method == http.MethodGet {
			e.tooMuch(w, named)
			return
		}
	case "fail":
		if r.Method == http.MethodGet && n%3 > 0 { // with no roster at all, rows would wait for minutes
			_, _ = io.WriteString(w, `{"value":[]}`)
			return
		}
		if status = []int{401, 500, 503, 0}[n%4]; status == 0 {
			panic(http.ErrAbortHandler)
		}
	case "throttle":
		status = http.StatusTooManyRequests
		w.Header().Set("Retry-After", "6")
	}
	w.Header().Set("Request-Id", plantedUser)
	w.Header().Set("Location", "/"+url.PathEscape(plantedName))
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"error":{"code":%q,"message":%q}}`, plantedUser, named)
}

// tooMuch answers with an empty roster, and goes on after its end.
func (*echo) tooMuch(w http.ResponseWriter, more string) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	const roster = `{"value":[]}`
	_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s%s %s",
		len(roster), roster, more, plantedToken)
}

// TestSecrets plants secrets and people, leads a long life, and looks for them in
// all that is left of it.
func TestSecrets(t *testing.T) {
	if err := noteSources(); err != nil {
		t.Fatal(err)
	}
	t.Parallel()
	for _, level := range []string{"debug", "info"} {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			liveLong(t, level)
		})
	}
}

// accessRule is the rule for Redis that SECURITY.md shows.
func accessRule(t testing.TB) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "SECURITY.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rule, ok := strings.Cut(string(text), "\nACL SETUSER rollcall reset on >PASSWORD ")
	if !ok {
		t.Fatal("SECURITY.md shows no rule for Redis")
	}
	rule, _, _ = strings.Cut(rule, "\n```")
	return strings.Fields(strings.ReplaceAll(rule, `\`, ""))
}

func liveLong(t *testing.T, level string) {
	tr := &trail{t: t, level: level, dir: t.TempDir(), seen: map[string]bool{}, named: map[string]bool{}}
	temp := t.TempDir()
	server := redistest.StartServer(t, append([]string{"--user", "rollcall", "on", ">" + plantedRedis}, accessRule(t)...)...)
	socket := strings.TrimPrefix(server.URL(), "unix://")
	admin := server.Client(t)
	tokenFile := writeFile(t, tr.dir, "graph.token", func(w io.Writer) { _, _ = fmt.Fprintln(w, plantedToken) })
	secretFile := writeFile(t, tr.dir, "hook.secret", func(w io.Writer) { _, _ = fmt.Fprintln(w, plantedHMAC) })
	consoleFile := writeFile(t, tr.dir, "console.token", func(w io.Writer) { _, _ = fmt.Fprintln(w, plantedConsole) })
	// Its first answers repeat what it was asked.
	hook := startHook(t, "/"+plantedHook+"?sig="+plantedClient, 500, 302, 429)
	tr.env = []string{
		"ROLLCALL_NOTIFY_URL=" + hook.url, "ROLLCALL_NOTIFY_SECRET_FILE=" + secretFile,
		"ROLLCALL_CONSOLE_TOKEN_FILE=" + consoleFile,
		"TMPDIR=" + temp, "ROLLCALL_REDIS=unix://rollcall:" + url.QueryEscape(plantedRedis) + "@" + socket,
		"ROLLCALL_TOKEN_FILE=" + tokenFile, "AZURE_CLIENT_SECRET=" + plantedClient, "AZURE_CLIENT_CERTIFICATE_PASSWORD=" + plantedPassword,
	}
	people := fmt.Sprintf("invite,c1,%[1]s,,,,\ninvite,c1,,%[2]s,,,%[3]s\ninvite,c1,,,%[4]s,,%[3]s\ndelete,c1,%[5]s,,,,\ndelete,c1,,,,p-1,\ninvite,c1,someone,,,,=%[3]s\n",
		plantedUser, plantedPhone, plantedName, plantedGuest, "0"+plantedUser[1:])
	const head = "action,call_id,user_id,phone,guest_id,participant_id,display_name\n"
	roster := func(name, text string) {
		writeFile(t, tr.dir, name, func(w io.Writer) { _, _ = io.WriteString(w, text) })
	}
	roster("roster.csv", head+people)
	roster("bad.csv", head+people+"invite,c1,,"+plantedName+",,,\n"+plantedName+",c1,"+plantedUser+",,,,\n"+
		"invite,c1,"+plantedUser+","+plantedPhone+",,,\ninvite,"+plantedPhone+"\ninvite,c1,,,"+plantedGuest+"/x,,\n")
	roster("worse.csv", head+people+"invite,c1,\""+plantedName+"\"x,"+plantedPhone+",,,\n")
	roster("headless.csv", people)

	sim := startSim(t, tr.dir, "--latency", "0s", "--ring", "0s", "--roster", "roster.csv", "--token-file", tokenFile)
	simURL, err := url.Parse(sim.url)
	if err != nil {
		t.Fatal(err)
	}
	e := &echo{sim: httputil.NewSingleHostReverseProxy(simURL)}
	graph := httptest.NewServer(e)
	t.Cleanup(graph.Close)
	tr.env = append(tr.env, "ROLLCALL_GRAPH_URL="+graph.URL)

	tr.misuse()

	// Files that cannot be used, in part or at all.
	for _, name := range []string{"bad.csv", "worse.csv", "headless.csv"} {
		tr.run(3, "enqueue", name)
		tr.run(3, "enqueue", "--output", "json", name)
	}
	tr.run(0, "enqueue", "--dry-run", "--skip-invalid", "--rejects", "rejects.csv", "bad.csv")

	// A Graph that refuses, fails, is not there and throttles.
	e.mode.Store("refuse")
	worker, at := tr.worker()
	tr.run(4, "enqueue", "--wait", "--report", "report.csv", "roster.csv")
	var st batchStatus
	tr.run(0, "batch", "status", "--output", "json").json(t, &st)
	tr.shown(st.Batch)
	tr.redis(admin)
	e.mode.Store("fail")
	tr.run(0, "batch", "retry", st.Batch)
	tr.run(4, "batch", "watch", st.Batch)
	tr.shown(st.Batch)
	tr.pages(at, st.Batch)
	tr.redis(admin)
	e.mode.Store("throttle")
	tr.run(0, "batch", "retry", st.Batch)
	testutil.Eventually(t, "tasks wait for the pause", func() bool {
		n, err := admin.ZCard(t.Context(), "asynq:{rollcall-default}:retry").Result()
		return err == nil && n > 0
	})
	tr.redis(admin)
	tr.pages(at, st.Batch)

	// Redis goes, and comes back.
	server.Kill()
	waiting := tr.start("enqueue", "--wait", "roster.csv")
	tr.said("enqueue", []string{"without Redis"}, waiting.wait())
	tr.run(1, "batch", "list")
	testutil.Eventually(t, "the worker misses Redis", func() bool { return strings.Contains(worker.err.String(), "Redis does not answer") })
	tr.pages(at, st.Batch)
	server.Start()
	testutil.Eventually(t, "the worker has Redis again", func() bool { return strings.Contains(worker.err.String(), "Redis answers again") })

	// Graph recovers; a worker is killed, another has a proxy that does not let it through.
	e.mode.Store("simulate")
	watch := tr.start("batch", "watch", st.Batch)
	tr.said("batch", []string{"watch"}, watch.wait())
	tr.run(0, "batch", "report", "--format", "json", st.Batch)
	roster("again.csv", head+people)
	_, err = sim.request("POST", "faults", `{"latency":"1s"}`)
	if err != nil {
		t.Fatal(err)
	}
	tr.run(0, "enqueue", "--again", "again.csv")
	testutil.Eventually(t, "tasks are under way", func() bool {
		n, err := admin.LLen(t.Context(), "asynq:{rollcall-default}:active").Result()
		return err == nil && n > 0
	})
	tr.redis(admin)
	worker.signal(os.Kill)
	tr.logged(worker)
	tr.run(0, "batch", "status", "--output", "json").json(t, &st)
	tr.run(0, "batch", "cancel", st.Batch)
	tr.run(0, "batch", "list", "--output", "json")
	stdin := command(t.Context(), tr.dir, tr.env, "enqueue", "--again", "--skip-invalid", "--rejects", "rejects.csv", "-")
	stdin.Stdin = strings.NewReader(head + people + "invite,c1,,call " + plantedName + ",,,\n")
	said, err := stdin.CombinedOutput()
	if err != nil {
		t.Errorf("enqueue -: %v", err)
	}
	tr.nameless("enqueue -", string(said))
	proxy := tr.proxy()
	lost, _ := tr.worker("--graph-url", "https://graph.test")
	testutil.Eventually(t, "the proxy is asked", func() bool { return proxy.Load() > 5 })
	lost.signal(syscall.SIGTERM)
	tr.logged(lost)
	last, _ := tr.worker("--graph-url", graph.URL, "--drain")
	if r := last.wait(); r.status != 0 {
		t.Errorf("worker --drain: exit status %d", r.status)
	}
	tr.logged(last)
	tr.run(0, "batch", "report")
	tr.redis(admin)
	ended, at := tr.worker()
	tr.pages(at, st.Batch)
	ended.signal(syscall.SIGTERM)
	tr.logged(ended)

	tr.files(tr.dir, temp, filepath.Dir(socket))
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("temporary files are left: %v, %v", left, err)
	}
	for _, name := range []string{"report.csv", "rejects.csv"} {
		if info, err := os.Stat(filepath.Join(tr.dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s can be read by others: %v, %v", name, info.Mode(), err)
		}
	}
	tr.proven(e, admin)
	tr.hooked(hook)
}

// hooked looks at the notices that were sent.
func (tr *trail) hooked(h *hook) {
	tr.t.Helper()
	taken, headers, bodies := h.received()
	for i, body := range bodies {
		tr.nameless("a notice", fmt.Sprintf("%v\n%s", headers[i], body))
		if headers[i].Get("X-Rollcall-Signature") == "" {
			tr.t.Errorf("a notice has no signature: %v", headers[i])
		}
	}
	if taken < 3 || len(bodies) < taken+3 {
		tr.t.Errorf("%d notices were received, of %d: the test tests nothing", taken, len(bodies))
	}
}

// proxy starts a proxy for the processes to come, which leads nowhere: it counts
// what it is asked, and may not see the token.
func (tr *trail) proxy() *atomic.Int64 {
	asked := new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.Method != http.MethodConnect || r.Host != "graph.test:443" {
			tr.t.Errorf("the proxy was asked %s %s", r.Method, r.Host)
		}
		tr.nameless("a request to the proxy", fmt.Sprint(r.Header))
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, plantedName)
	}))
	tr.t.Cleanup(server.Close)
	tr.env = append(tr.env, "HTTPS_PROXY="+server.URL)
	return asked
}

// shown looks at all that shows a batch.
func (tr *trail) shown(id string) {
	tr.t.Helper()
	for _, args := range [][]string{
		{"list"}, {"list", "--output", "json"}, {"status", id}, {"status", "--output", "json", id},
		{"report", id}, {"report", "--only", "failed", id}, {"report", "--format", "json", id},
	} {
		tr.run(0, "batch", args...)
	}
}

// misuse makes mistakes with secrets and files.
func (tr *trail) misuse() {
	tr.t.Helper()
	t, env := tr.t, tr.env
	wrong := func(status int, name string, args []string, more ...string) {
		t.Helper()
		r := must(t, status, tr.dir, append(env[:len(env):len(env)], more...), name, args...)
		tr.nameless(fmt.Sprintf("%s %q", name, args), r.stdout+r.stderr)
	}
	worker := []string{"--http", "", "--log-level", tr.level, "--drain"}
	// The secret in place of its file.
	wrong(2, "worker", worker, "ROLLCALL_TOKEN_FILE="+plantedToken)
	wrong(2, "worker", worker, "ROLLCALL_TOKEN_FILE=", "AZURE_TENANT_ID=t", "AZURE_CLIENT_ID=c", "AZURE_CLIENT_SECRET=",
		"AZURE_CLIENT_CERTIFICATE_PATH=-----BEGIN PRIVATE KEY-----\n"+plantedClient+"\n-----END PRIVATE KEY-----")
	wrong(2, "worker", worker, "ROLLCALL_TOKEN_FILE=", "AZURE_TENANT_ID=t", "AZURE_CLIENT_ID=c", "AZURE_CLIENT_SECRET=", "AZURE_FEDERATED_TOKEN_FILE="+plantedToken)
	// A certificate that is none, and a password for it.
	wrong(1, "worker", worker, "ROLLCALL_TOKEN_FILE=", "AZURE_TENANT_ID=t", "AZURE_CLIENT_ID=c", "AZURE_CLIENT_SECRET=", "AZURE_CLIENT_CERTIFICATE_PATH=roster.csv")
	// Entra ID cannot be reached.
	wrong(1, "worker", worker, "ROLLCALL_TOKEN_FILE=", "AZURE_TENANT_ID=t", "AZURE_CLIENT_ID=c", "HTTPS_PROXY=http://127.0.0.1:1")
	// Redis does not take the password, or cannot be reached.
	wrong(1, "batch", []string{"list"}, "ROLLCALL_REDIS=redis://rollcall:"+url.QueryEscape(plantedRedis)+"@127.0.0.1:1")
	// A webhook that cannot be used, and a secret in place of its file.
	wrong(2, "worker", worker, "ROLLCALL_NOTIFY_URL=hooks.test/"+plantedHook)
	wrong(2, "worker", worker, "ROLLCALL_NOTIFY_URL=https://hooks.test:port/"+plantedHook)
	wrong(1, "worker", worker, "ROLLCALL_NOTIFY_SECRET_FILE="+plantedHMAC)
	// A secret where a value belongs that is not one.
	wrong(1, "worker", worker, "ROLLCALL_GRAPH_URL=https://u:"+url.QueryEscape(plantedClient)+"@graph.test")
}

// proven makes sure that what was looked for was there to be found.
func (tr *trail) proven(e *echo, admin *redis.Client) {
	tr.t.Helper()
	if !e.token.Load() {
		tr.t.Error("Graph was never shown the planted token")
	}
	if who, err := admin.ACLLog(context.Background(), 10).Result(); err != nil || len(who) > 0 {
		tr.t.Errorf("Redis refused something: %+v, %v", who, err)
	}
	want := []string{
		"a report", "file report.csv", "file rejects.csv", "Redis: asynq t", "Redis: rows", "Redis: source, unpacked", "an error kept by the queue",
	}
	for _, place := range want {
		if !tr.named[place] {
			tr.t.Errorf("nobody was found in %q, where they should be: the test tests nothing; found in %v", place, tr.named)
		}
	}
	for _, s := range secrets {
		for _, form := range forms(s) {
			if mentions("x"+form+"x", secrets) != s {
				tr.t.Errorf("%q would not be found", form)
			}
		}
	}
	if aof, _ := filepath.Glob(filepath.Join(filepath.Dir(admin.Options().Addr), "appendonlydir", "*.aof")); len(aof) == 0 {
		tr.t.Error("Redis has no append-only file: the test looks at the wrong place")
	}
}
