//go:build integration

package test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/rogpeppe/go-internal/testscript"

	"rollcall/internal/redistest"
	"rollcall/internal/testutil"
)

// scriptCommands are what scripts can say besides testscript's own commands.
var scriptCommands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"redis":     cmdRedis,
	"sim":       cmdSim,
	"hook":      cmdHook,
	"exits":     cmdExits,
	"json":      cmdJSON,
	"setjson":   cmdSetJSON,
	"poll":      cmdPoll,
	"http":      cmdHTTP,
	"interrupt": cmdInterrupt,
	"exited":    cmdExited,
	"rows":      cmdRows,
}

type worldKey struct{}

// world is what a script has started.
type world struct {
	t      testing.TB
	server *redistest.Server
	rdb    *redis.Client // one connection, kept
	mark   int64
	sim    *simulator
	hook   *hook
	signal *exec.Cmd // what was interrupted last
}

// connections is how many connections Redis has taken in all.
func (w *world) connections(ts *testscript.TestScript) int64 {
	info, err := w.rdb.Info(context.Background(), "stats").Result()
	ts.Check(err)
	m := received.FindStringSubmatch(info)
	if m == nil {
		ts.Fatalf("Redis does not tell how many connections it has taken")
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	ts.Check(err)
	return n
}

var received = regexp.MustCompile(`total_connections_received:(\d+)`)

func worldOf(ts *testscript.TestScript) *world { return ts.Value(worldKey{}).(*world) }

func usage(ts *testscript.TestScript, bad bool, text string) {
	if bad {
		ts.Fatalf("usage: %s", text)
	}
}

// cmdRedis is 'redis start [arguments of redis-server]', 'redis stop', 'redis
// again'; and 'redis joined', which waits until a command has connected since
// 'redis mark': it then takes signals.
// It sets ROLLCALL_REDIS and REDIS_SOCKET; without redis-server the script is skipped.
func cmdRedis(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) == 0, "redis start [arg...] | stop | again | mark | joined")
	w := worldOf(ts)
	switch args[0] {
	case "start":
		w.server = redistest.StartServer(w.t, args[1:]...)
		w.rdb = w.server.Client(w.t)
		ts.Setenv("ROLLCALL_REDIS", w.server.URL())
		ts.Setenv("REDIS_SOCKET", strings.TrimPrefix(w.server.URL(), "unix://"))
	case "stop":
		w.server.Kill()
	case "again":
		w.server.Start()
	case "mark":
		w.mark = w.connections(ts)
	case "joined":
		testutil.Eventually(w.t, "a command connects to Redis", func() bool { return w.connections(ts) > w.mark })
	default:
		ts.Fatalf("no such word: %s", args[0])
	}
}

// cmdSim is 'sim start [flags of graphsim]', which sets GRAPH_URL and what a
// worker needs to use it, 'sim state', which prints the simulator's state, and
// 'sim faults JSON'.
func cmdSim(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) == 0, "sim start [flag...] | state | faults JSON")
	w := worldOf(ts)
	switch {
	case args[0] == "start":
		w.sim = startSim(w.t, ts.MkAbs("."), append([]string{"--latency", "0s", "--ring", "0s"}, args[1:]...)...)
		ts.Setenv("GRAPH_URL", w.sim.url)
		ts.Setenv("ROLLCALL_GRAPH_URL", w.sim.url)
		ts.Setenv("ROLLCALL_TOKEN_FILE", root+"/examples/simulator.token")
	case args[0] == "state":
		answer, err := w.sim.request("GET", "state", "")
		ts.Check(err)
		_, err = ts.Stdout().Write(answer)
		ts.Check(err)
	case args[0] == "faults" && len(args) == 2:
		_, err := w.sim.request("POST", "faults", args[1])
		ts.Check(err)
	default:
		ts.Fatalf("no such words: sim %s", strings.Join(args, " "))
	}
}

// cmdExits is 'exits STATUS COMMAND…': exec with an exact exit status.
func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) < 2, "exits STATUS COMMAND...")
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if got := status(ts, ts.Exec(args[1], args[2:]...)); got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

func status(ts *testscript.TestScript, err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	ts.Check(err)
	return -1
}

// cmdJSON is '[!] json FILE PATH [VALUE]': the JSON has that value, or any, at
// a path such as .errors.0.line.
func cmdJSON(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) < 2 || len(args) > 3, "json FILE PATH [VALUE]")
	got, found, err := lookup([]byte(ts.ReadFile(args[0])), args[1])
	ts.Check(err)
	holds := found && (len(args) == 2 || got == args[2])
	if holds == neg {
		ts.Fatalf("%s is %q (there: %v)", args[1], got, found)
	}
}

// cmdSetJSON is 'setjson VARIABLE FILE PATH'.
func cmdSetJSON(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 3, "setjson VARIABLE FILE PATH")
	got, found, err := lookup([]byte(ts.ReadFile(args[1])), args[2])
	ts.Check(err)
	if !found {
		ts.Fatalf("nothing at %s", args[2])
	}
	ts.Setenv(args[0], got)
}

// cmdPoll is 'poll PATH VALUE COMMAND…': it runs the command until its JSON has
// that value there.
func cmdPoll(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) < 3, "poll PATH VALUE COMMAND...")
	testutil.Eventually(worldOf(ts).t, strings.Join(args, " "), func() bool {
		if ts.Exec(args[2], args[3:]...) != nil {
			return false
		}
		got, found, err := lookup([]byte(ts.ReadFile("stdout")), args[0])
		return err == nil && found && got == args[1]
	})
}

// lookup finds a value of a JSON text: text as it is, anything else as JSON.
func lookup(text []byte, path string) (string, bool, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return "", false, fmt.Errorf("not JSON: %w", err)
	}
	for name := range strings.SplitSeq(strings.TrimPrefix(path, "."), ".") {
		switch at := v.(type) {
		case map[string]any:
			inner, ok := at[name]
			if !ok {
				return "", false, nil
			}
			v = inner
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(at) {
				return "", false, nil
			}
			v = at[i]
		default:
			return "", false, nil
		}
	}
	if s, ok := v.(string); ok {
		return s, true, nil
	}
	out, err := json.Marshal(v)
	return string(out), true, err
}

// cmdHTTP is 'http STATUS URL [PATTERN]': it asks until the answer has the
// status, and then its body must match.
func cmdHTTP(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) < 2 || len(args) > 3, "http STATUS URL [PATTERN]")
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	var body []byte
	testutil.Eventually(worldOf(ts).t, strings.Join(args, " "), func() bool {
		resp, err := client.Get(args[1])
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
		return err == nil && resp.StatusCode == want
	})
	if len(args) == 3 && !regexp.MustCompile("(?m)"+args[2]).Match(body) {
		ts.Fatalf("no match for %q in:\n%s", args[2], body)
	}
}

// cmdInterrupt is what Ctrl-C does to the newest background command.
func cmdInterrupt(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 0, "interrupt")
	all := ts.BackgroundCmds()
	if len(all) == 0 {
		ts.Fatalf("nothing runs in the background")
	}
	w := worldOf(ts)
	w.signal = all[len(all)-1]
	ts.Check(w.signal.Process.Signal(os.Interrupt))
}

// cmdExited is 'exited STATUS', after 'wait': the exit status of what was
// interrupted.
func cmdExited(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 1, "exited STATUS")
	if got := strconv.Itoa(worldOf(ts).signal.ProcessState.ExitCode()); got != args[0] {
		ts.Fatalf("exit status %s, want %s", got, args[0])
	}
}

// cmdRows is 'rows FILE FIRST LAST LINE': it adds the line for each number, which
// stands for %d in it.
func cmdRows(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 4, "rows FILE FIRST LAST LINE")
	first, err := strconv.Atoi(args[1])
	ts.Check(err)
	last, err := strconv.Atoi(args[2])
	ts.Check(err)
	var b strings.Builder
	for n := first; n <= last; n++ {
		b.WriteString(strings.ReplaceAll(args[3], "%d", strconv.Itoa(n)) + "\n")
	}
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	ts.Check(err)
	_, err = f.WriteString(b.String())
	ts.Check(errors.Join(err, f.Close()))
}

// cmdHook is 'hook start [STATUS...]', which sets HOOK_URL; the first answers have
// those statuses, and 503 asks for a minute. 'hook took N' waits until it took N notices, and prints the last;
// it must not have taken more. 'hook tries N' is how often it was sent any, and
// 'hook signed SECRET' checks the signature of each.
func cmdHook(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) == 0 || args[0] != "start" && len(args) != 2, "hook start [STATUS...] | took N | tries N | signed SECRET")
	w := worldOf(ts)
	if args[0] == "start" {
		answers := make([]int, 0, len(args))
		for _, arg := range args[1:] {
			n, err := strconv.Atoi(arg)
			ts.Check(err)
			answers = append(answers, n)
		}
		w.hook = startHook(w.t, "/T0/pLanted", answers...)
		ts.Setenv("HOOK_URL", w.hook.url)
		return
	}
	switch want := args[1]; args[0] {
	case "took":
		least, err := strconv.Atoi(want)
		ts.Check(err)
		testutil.Eventually(w.t, "notices are received", func() bool {
			n, _, _ := w.hook.received()
			return n >= least
		})
		n, _, bodies := w.hook.received()
		if n != least {
			ts.Fatalf("%d notices were received, want %d:\n%s", n, least, strings.Join(bodies, "\n"))
		}
		if n > 0 {
			_, err := io.WriteString(ts.Stdout(), bodies[len(bodies)-1])
			ts.Check(err)
		}
	case "tries":
		if _, _, bodies := w.hook.received(); strconv.Itoa(len(bodies)) != want {
			ts.Fatalf("%d tries, want %s", len(bodies), want)
		}
	case "signed":
		_, headers, bodies := w.hook.received()
		for i, body := range bodies {
			mac := hmac.New(sha256.New, []byte(want))
			_, _ = io.WriteString(mac, body)
			if got := headers[i].Get("X-Rollcall-Signature"); got != "sha256="+hex.EncodeToString(mac.Sum(nil)) {
				ts.Fatalf("the signature of %s is %q", body, got)
			}
		}
	default:
		ts.Fatalf("no such word: %s", args[0])
	}
}
