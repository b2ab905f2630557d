//go:build endurance

package test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/redistest"
	"rollcall/internal/testutil"
)

var (
	chaosDuration = flag.Duration("chaos.duration", 0, "how long the chaos test makes trouble (0: 25s, and 10m with -long)")
	chaosSeed     = flag.Uint64("chaos.seed", 0, "its seed (0: a new one, which is printed)")
	chaosRows     = flag.Int("chaos.rows", 0, "rows in all (0: 84 for each second)")
)

const (
	chaosWorkers = 3
	chaosPerCall = 50
	chaosLimit   = 150 // requests a second
	chaosConfirm = 35 * time.Second
	// chaosEnd is what is left for the last rows once all troubles are mended.
	chaosEnd = 2*time.Minute + 30*time.Second
)

// TestChaos runs batches through real processes while workers, Redis, Graph and
// the connections between them fail by a schedule. In the end the ledger, the
// reports and the simulator must tell the same story, and a good one.
//
//	go test -tags endurance ./test -run 'Chaos$' -chaos.duration=10m -timeout 30m -v
//
// A seed repeats the troubles, not the processes' answers to them.
func TestChaos(t *testing.T) {
	t.Parallel()
	run := *chaosDuration
	switch {
	case run > 0:
	case *long:
		run = 10 * time.Minute
	default:
		run = 25 * time.Second
	}
	if deadline, ok := t.Deadline(); ok && time.Until(deadline) < run+chaosEnd {
		run = time.Until(deadline) - chaosEnd
		t.Logf("-timeout leaves time for %s of trouble only", run.Round(time.Second))
	}
	seed := *chaosSeed
	if seed == 0 {
		seed = rand.Uint64N(1 << 32) // short enough to be typed
	}
	rows := *chaosRows
	if rows == 0 {
		rows = int(run.Seconds() * 84)
	}
	t.Logf("seed %d: %s, %d workers, %d rows; repeat with -chaos.seed=%d", seed, run.Round(time.Second), chaosWorkers, rows, seed)
	plan := schedule(seed, run, chaosWorkers)
	for _, f := range plan {
		t.Log(f)
	}
	c := newChaos(t, rows, run)
	c.play(plan, run)
	c.mend()
	c.judge()
}

// chaos is a system whose parts can be made to fail.
type chaos struct {
	t      *testing.T
	dir    string
	server *redistest.Server
	away   bool // Redis is down
	admin  *redis.Client
	sim    *simulator
	proxy  map[string][]*toxiproxy.Proxy // by what is behind, then by worker; one more is enqueue's
	worker []*process
	down   []bool
	due    []chaosBatch // not enqueued yet
	busy   *process     // the enqueue of due[0]
	done   []chaosBatch
	tries  int // enqueues that failed or were killed
}

// chaosBatch is a file and its batch.
type chaosBatch struct {
	at         time.Duration
	roster, id string
}

// newChaos starts everything, and lays out files to enqueue over the run.
func newChaos(t *testing.T, rows int, run time.Duration) *chaos {
	t.Helper()
	server, addr := redistest.StartTCP(t)
	c := &chaos{t: t, dir: t.TempDir(), server: server, down: make([]bool, chaosWorkers), proxy: map[string][]*toxiproxy.Proxy{}}
	c.admin = c.server.Client(t)
	args := []string{"--latency", "30ms", "--ring", "0s-3s", "--limit", fmt.Sprintf("%d/s", chaosLimit), "--operation-life", "30s"}
	files := max(2, int(run.Seconds()/60))
	for i := range files {
		name := fmt.Sprintf("roster-%02d.csv", i)
		chaosRoster(t, c.dir, name, i, max(1, rows/files/chaosPerCall))
		c.due = append(c.due, chaosBatch{at: run * time.Duration(i) / time.Duration(files), roster: name})
		args = append(args, "--roster", name)
	}
	c.sim = startSim(t, c.dir, args...)
	for behind, upstream := range map[string]string{"redis": addr, "graph": strings.TrimPrefix(c.sim.url, "http://")} {
		for i := range chaosWorkers + 1 {
			c.proxy[behind] = append(c.proxy[behind], newProxy(t, fmt.Sprintf("%s-%d", behind, i), upstream))
		}
	}
	for i := range chaosWorkers {
		c.worker = append(c.worker, nil)
		c.startWorker(i)
	}
	return c
}

// chaosRoster writes a file whose calls have people to remove by participant id
// and by user, people to ring, and one invite that Graph refuses; the last call
// has ended.
func chaosRoster(t testing.TB, dir, name string, file, calls int) {
	t.Helper()
	writeFile(t, dir, name, func(w io.Writer) {
		_, _ = fmt.Fprintln(w, "action,call_id,participant_id,user_id")
		for p := range chaosPerCall {
			for c := range calls {
				call := fmt.Sprintf("call-%02d-%04d", file, c)
				if c == calls-1 && calls > 1 {
					call = "ended-" + call
				}
				switch {
				case p%2 == 1 && p < 40:
					_, _ = fmt.Fprintf(w, "delete,%s,p-%d,\n", call, p)
				case p%2 == 1:
					_, _ = fmt.Fprintf(w, "delete,%s,,here-%d\n", call, p)
				case p == 20:
					_, _ = fmt.Fprintf(w, "invite,%s,,malformed-%d\n", call, p)
				default:
					_, _ = fmt.Fprintf(w, "invite,%s,,u-%d\n", call, p)
				}
			}
		}
	})
}

func (c *chaos) redisURL(i int) string { return "redis://" + c.proxy["redis"][i].Listen + "/0" }

func (c *chaos) startWorker(i int) {
	env := []string{"ROLLCALL_REDIS=" + c.redisURL(i), tokenEnv(), "ROLLCALL_GRAPH_URL=http://" + c.proxy["graph"][i].Listen}
	c.worker[i] = start(c.t, c.dir, env, "worker", "--http", "", "--concurrency", "24", "--confirm-timeout", chaosConfirm.String())
	c.down[i] = false
}

// play makes trouble and mends it, and enqueues meanwhile. All of it happens
// here, one after the other.
func (c *chaos) play(plan []trouble, run time.Duration) {
	type event struct {
		at time.Duration
		do func()
	}
	var events []event
	for _, f := range plan {
		var mend func()
		events = append(events, event{f.at, func() { mend = c.begin(f) }}, event{f.at + f.length, func() {
			if mend != nil {
				mend()
			}
		}})
	}
	slices.SortStableFunc(events, func(a, b event) int { return int(a.at - b.at) })
	begun := time.Now()
	clock := time.NewTicker(20 * time.Millisecond) // the troubles' own
	defer clock.Stop()
	for len(events) > 0 || time.Since(begun) < run {
		for len(events) > 0 && events[0].at <= time.Since(begun) {
			events[0].do()
			events = events[1:]
		}
		c.enqueue(time.Since(begun))
		c.supervise()
		<-clock.C
	}
}

// enqueue sees to it that the files which are due are enqueued, however often
// that fails.
func (c *chaos) enqueue(now time.Duration) {
	switch {
	case len(c.due) == 0 || c.due[0].at > now:
	case c.busy == nil:
		c.busy = start(c.t, c.dir, []string{"ROLLCALL_REDIS=" + c.redisURL(chaosWorkers)}, "enqueue", "--output", "json", c.due[0].roster)
	case !c.busy.running():
		r := c.busy.wait()
		c.busy = nil
		if r.status != 0 {
			if r.status != 1 && r.status != -1 {
				c.t.Errorf("enqueue: exit status %d\n%s", r.status, r.stderr)
			}
			c.tries++
			return
		}
		var st batchStatus
		r.json(c.t, &st)
		c.due[0].id = st.Batch
		c.done, c.due = append(c.done, c.due[0]), c.due[1:]
	}
}

// begin makes trouble and returns what ends it; nil if nothing does, or if what
// should fail is down already.
func (c *chaos) begin(f trouble) (mend func()) {
	behind, what, _ := strings.Cut(f.kind, ".")
	switch f.kind {
	case "kill", "stop":
		return c.endWorker(f)
	case "freeze":
		p := c.worker[f.who].cmd.Process
		_ = p.Signal(syscall.SIGSTOP)
		return func() { _ = p.Signal(syscall.SIGCONT) }
	case "enqueue":
		if c.busy != nil {
			_ = c.busy.cmd.Process.Kill()
		}
	case "redis.crash", "redis.pause", "redis.kick":
		return c.redisFails(f)
	case "graph.fault":
		const worst = 0.04
		names := []string{"unavailable", "internal", "unauthorized", "reset", "slow", "lost", "gateway", "cut"}
		faults := map[string]float64{}
		for i, name := range names {
			faults[name] = worst * f.amount * float64(1+(i+f.who)%4) / 2
		}
		c.set(map[string]any{"faults": faults})
		return func() { c.set(map[string]any{"faults": map[string]float64{}}) }
	case "graph.limit":
		c.set(map[string]any{"limit": map[string]any{"rate": 20 + 2*chaosLimit*f.amount}})
		return func() { c.set(map[string]any{"limit": map[string]any{"rate": chaosLimit}}) }
	default:
		return c.connectionsFail(c.proxy[behind], what, f)
	}
	return nil
}

func (c *chaos) endWorker(f trouble) (mend func()) {
	if c.down[f.who] {
		return nil
	}
	c.down[f.who] = true
	p := c.worker[f.who]
	if f.kind == "kill" {
		p.signal(os.Kill)
	} else {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
	}
	return func() {
		_ = p.cmd.Process.Signal(syscall.SIGCONT) // it may be frozen
		r := p.wait()
		c.startWorker(f.who)
		if f.kind == "stop" {
			c.endedWell(r)
		}
	}
}

// endedWell makes sure that a worker ended because it was told to, or because it
// had found no Redis to begin with, or one that was only starting.
func (c *chaos) endedWell(r result) {
	noRedis := strings.Contains(r.stderr, "cannot reach Redis") || strings.Contains(r.stderr, "Redis is starting")
	if r.status != 0 && r.status != 130 && !(r.status == 1 && noRedis) {
		c.t.Errorf("a worker ended with exit status %d\n%s", r.status, last(r.stderr, 2000))
	}
}

// supervise starts workers again that have ended by themselves.
func (c *chaos) supervise() {
	for i, p := range c.worker {
		if !c.down[i] && !p.running() {
			c.endedWell(p.wait())
			c.startWorker(i)
		}
	}
}

func (c *chaos) redisFails(f trouble) (mend func()) {
	if c.away {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), longest)
	defer cancel()
	switch f.kind {
	case "redis.crash":
		c.away = true
		c.server.Kill()
		return func() {
			c.server.Start()
			c.away = false
		}
	case "redis.pause":
		c.admin.Do(ctx, "client", "pause", f.length.Milliseconds(), "all")
	case "redis.kick":
		c.admin.ScriptFlush(ctx)
		c.admin.Do(ctx, "client", "kill", "type", "normal", "skipme", "yes")
	}
	return nil
}

func (c *chaos) connectionsFail(all []*toxiproxy.Proxy, what string, f trouble) (mend func()) {
	p := all[f.who]
	if what == "cut" {
		p.Stop()
		return func() {
			if err := p.Start(); err != nil && !strings.Contains(err.Error(), "already started") {
				c.t.Error(err)
			}
		}
	}
	name := fmt.Sprintf("%s-%d", what, f.at)
	text := map[string]string{
		"hole": `"type":"timeout","stream":"upstream","attributes":{"timeout":0}`,
		"slow": fmt.Sprintf(`"type":"latency","attributes":{"latency":%d,"jitter":%d}`, int(300*f.amount), int(100*f.amount)),
		"torn": fmt.Sprintf(`"type":"limit_data","stream":"upstream","attributes":{"bytes":%d}`, 300+int(20_000*f.amount)),
		"deaf": fmt.Sprintf(`"type":"limit_data","stream":"downstream","attributes":{"bytes":%d}`, 300+int(20_000*f.amount)),
	}[what]
	toxic(c.t, p, name, text)
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), longest)
		defer cancel()
		if err := p.Toxics.RemoveToxic(ctx, name); err != nil {
			c.t.Error(err)
		}
	}
}

// set changes the simulator.
func (c *chaos) set(what map[string]any) {
	body, err := json.Marshal(what)
	if err == nil {
		_, err = c.sim.request("POST", "faults", string(body))
	}
	if err != nil {
		c.t.Error(err)
	}
}

// mend waits until what is left to do is done; all troubles are over by now.
func (c *chaos) mend() {
	from := time.Now()
	testutil.Eventually(c.t, "everything is enqueued", func() bool {
		c.enqueue(1 << 62)
		return len(c.due) == 0
	})
	for _, b := range c.done {
		watch := start(c.t, c.dir, []string{"ROLLCALL_REDIS=" + c.server.URL()}, "batch", "watch", b.id)
		testutil.Eventually(c.t, "batch "+b.id+" is finished", func() bool {
			c.supervise()
			return !watch.running()
		})
	}
	c.t.Logf("finished %.1f s after the last trouble; %d enqueues had failed", time.Since(from).Seconds(), c.tries)
}

func (c *chaos) status(b chaosBatch) (st batchStatus) {
	must(c.t, 0, c.dir, []string{"ROLLCALL_REDIS=" + c.server.URL()}, "batch", "status", "--output", "json", b.id).json(c.t, &st)
	return st
}

// judge compares the files, the ledger, the reports and the simulator.
func (c *chaos) judge() {
	state := c.sim.state(c.t)
	outcomes := map[string]int{}
	wrong := 0
	for _, b := range c.done {
		roster := readTableFile(c.t, filepath.Join(c.dir, b.roster))
		st := c.status(b)
		st.whole(c.t, len(roster.rows)) // unaccounted
		r := must(c.t, 0, c.dir, []string{"ROLLCALL_REDIS=" + c.server.URL()}, "batch", "report", b.id)
		report := readTable(c.t, strings.NewReader(r.stdout))
		for o, n := range reported(c.t, report, roster) { // lost
			if outcomes[o] += n; st.Outcomes[o] != n {
				c.t.Errorf("batch %s: %d rows are %s in the report, %d in the ledger", b.id, n, o, st.Outcomes[o])
			}
		}
		for _, row := range report.rows {
			if why := c.untrue(report, row, state); why != "" {
				if wrong++; wrong <= 10 {
					c.t.Errorf("batch %s row %s (%s %s %s%s) is %s (%s): %s", b.id, report.cell(row, "row"), report.cell(row, "action"), report.cell(row, "call_id"),
						report.cell(row, "participant_id"), report.cell(row, "user_id"), report.cell(row, "outcome"), report.cell(row, "detail"), why)
				}
			}
		}
	}
	rungNoneAgain(c.t, state) // repeated
	// How late a request comes into a wait depends on what held it up: TestThrottledFleet
	// says what must not be sent.
	late := 0
	for _, r := range c.sim.requests(c.t) {
		if r.Throttled && time.Duration(r.Since) > time.Second {
			late++
		}
	}
	c.t.Logf("%d rows: %v; wrong %d; rung again %d, overlaps %d; requests %v, %v; inside a pause for more than a second: %d", sum(outcomes), outcomes, wrong,
		state.Counters.RungAgain, state.Counters.Overlaps, state.Counters.ByKind, state.Counters.ByStatus, late)
}

func sum(counts map[string]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

// untrue tells what is wrong with a row's outcome.
func (c *chaos) untrue(report table, row []string, state simState) string {
	outcome := report.cell(row, "outcome")
	id, user := report.cell(row, "call_id"), report.cell(row, "user_id")
	call := state.Calls[id]
	want := ""
	switch {
	case strings.HasPrefix(id, "ended-"):
		want = "call_ended"
	case strings.HasPrefix(user, "malformed-"):
		want = "rejected"
	}
	if want != "" && outcome != want && outcome != "exhausted" { // the trouble may have used up its attempts
		return "want " + want
	}
	if want != "" {
		return ""
	}
	if report.cell(row, "action") == "delete" {
		there := slices.ContainsFunc(call.Participants, func(p simParticipant) bool {
			return p.ID == report.cell(row, "participant_id") || user != "" && p.Identity == user
		})
		if gone := outcome == "removed" || outcome == "already_removed"; gone == there || !gone && outcome != "exhausted" {
			return fmt.Sprintf("that they are there is %t", there)
		}
		return ""
	}
	came := slices.Contains(call.Joined, "user:"+user)
	switch outcome {
	case "joined", "already_present":
		if !came {
			return "they have not joined"
		}
	case "invited", "unresolved": // says that it is not known
	case "exhausted", "declined":
		if came {
			return "they have joined"
		}
	default:
		return "nothing calls for that"
	}
	return ""
}
