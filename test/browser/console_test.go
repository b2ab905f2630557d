package browser

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"rollcall/internal/testutil"
)

// requireEnv, set to 1, turns a missing browser into a failure.
const requireEnv = "ROLLCALL_REQUIRE_BROWSER"

// visitor is a browser with one window.
type visitor struct {
	t     *testing.T
	ctx   context.Context
	dir   string // of downloads
	begun bool
	mu    sync.Mutex
	seen  []string // URLs that were asked for
	bad   []string // what the page complained of
}

func visit(t *testing.T) *visitor {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		if os.Getenv(requireEnv) == "1" {
			t.Fatal("there is no browser: install chromium")
		}
		t.Skip("there is no browser: install chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.Flag("disable-dev-shm-usage", true))
	alloc, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(alloc)
	v := &visitor{t: t, ctx: ctx, dir: t.TempDir()}
	t.Cleanup(func() { cancel(); stop() })
	v.do(chromedp.Navigate("about:blank"))
	watch(v, network.RequestWillBeSent, func(e network.EventRequestWillBeSent) { v.seen = append(v.seen, e.Request.URL) })
	watch(v, runtime.ExceptionThrown, func(e runtime.EventExceptionThrown) { v.bad = append(v.bad, e.ExceptionDetails.Text) })
	watch(v, runtime.ConsoleAPICalled, func(e runtime.EventConsoleAPICalled) { v.bad = append(v.bad, fmt.Sprint("console.", e.Type)) })
	watch(v, log.EntryAdded, func(e log.EventEntryAdded) {
		if e.Entry.Source == "security" || e.Entry.Source == "javascript" {
			v.bad = append(v.bad, e.Entry.Text)
		}
	})
	call(v, network.Enable, network.EnableParams{})
	call(v, runtime.Enable, cdp.Empty{})
	call(v, log.Enable, cdp.Empty{})
	yes := true
	if _, err := chromedp.CallBrowser(ctx, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{Behavior: "allowAndName", DownloadPath: v.dir, EventsEnabled: &yes}); err != nil {
		t.Fatal(err)
	}
	return v
}

// watch notes events until the visitor leaves.
func watch[E any](v *visitor, of cdp.Event[E], note func(E)) {
	events := chromedp.Events(v.ctx, of)
	go func() {
		for e, err := range events {
			if err != nil {
				return
			}
			v.mu.Lock()
			note(e)
			v.mu.Unlock()
		}
	}()
}

func call[P, R any](v *visitor, command cdp.Command[P, R], params P) {
	v.t.Helper()
	if _, err := chromedp.Call(v.ctx, command, params); err != nil {
		v.t.Fatal(err)
	}
}

func (v *visitor) do(steps ...chromedp.Action[chromedp.Void]) {
	v.t.Helper()
	for _, step := range steps {
		if _, err := run(v, step); err != nil {
			v.t.Fatal(err)
		}
	}
}

// run bounds a step, but for the first: the browser, which it starts, would end with it.
func run[T any](v *visitor, a chromedp.Action[T]) (T, error) {
	if !v.begun {
		v.begun = true
		return chromedp.Run(v.ctx, a)
	}
	ctx, cancel := context.WithTimeout(v.ctx, testutil.WaitLimit)
	defer cancel()
	return chromedp.Run(ctx, a)
}

func (v *visitor) eval(js string) string {
	v.t.Helper()
	out, err := run(v, chromedp.Evaluate[string](`String(`+js+`)`))
	if err != nil {
		v.t.Fatal(err)
	}
	return out
}

func (v *visitor) text(selector string) string {
	v.t.Helper()
	return v.eval(`(document.querySelector(` + strconv.Quote(selector) + `) || {}).innerText`)
}

// until waits until the page says something, without loading it again.
func (v *visitor) until(what, selector string, ok func(text string) bool) {
	v.t.Helper()
	testutil.Eventually(v.t, what, func() bool { return ok(v.text(selector)) })
}

// onlyFrom makes sure that nothing was asked of anybody else, and that the page had
// nothing to complain of.
func (v *visitor) onlyFrom(origin string) {
	v.t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.seen) == 0 {
		v.t.Error("no request was seen")
	}
	for _, raw := range v.seen {
		if u, err := url.Parse(raw); err != nil || u.Scheme+"://"+u.Host != origin && u.Scheme != "about" {
			v.t.Errorf("asked for %s", raw)
		}
	}
	for _, b := range v.bad {
		v.t.Error("the page complains:", b)
	}
}

// shots takes pictures of the page into the directory of ROLLCALL_SCREENSHOTS, wide
// and narrow, light and dark, and makes sure that nothing is wider than the screen.
func (v *visitor) shots(name string) {
	v.t.Helper()
	for _, width := range []int64{1280, 390} {
		for _, scheme := range []string{"light", "dark"} {
			call(v, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 900, DeviceScaleFactor: 1, Mobile: width < 500})
			call(v, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
			if wide := v.eval(`document.documentElement.scrollWidth`); wide != strconv.FormatInt(width, 10) {
				v.t.Errorf("%s is %s pixels wide on a screen of %d", name, wide, width)
			}
			dir := os.Getenv("ROLLCALL_SCREENSHOTS")
			if dir == "" {
				continue
			}
			png, err := run(v, chromedp.FullScreenshot(100))
			if err != nil {
				v.t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%d-%s.png", name, width, scheme)), png, 0o600); err != nil {
				v.t.Fatal(err)
			}
		}
	}
	call(v, emulation.ClearDeviceMetricsOverride, cdp.Empty{})
	call(v, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{})
}

// count reads a number as pages write it.
func count(text string) int {
	n, err := strconv.Atoi(strings.ReplaceAll(strings.TrimSpace(text), ",", ""))
	if err != nil {
		return -1
	}
	return n
}

// TestConsole: a run of 5,000 rows is seen to go on, its failures are found, its
// report is had, and a second batch is cancelled: by who has the token.
func TestConsole(t *testing.T) {
	f := startFleet(t, []string{roster(1, 5000), roster(2, 5000)}, true, "--ring", "1s-4s", "--limit", "400/s", "--page-size", "100")
	v := visit(t)
	first := f.enqueue("roster-1.csv")
	second := f.enqueue("--queue", "low", "roster-2.csv")

	v.do(chromedp.Navigate(f.console + "/"))
	v.until("both batches are listed", "#batches", func(s string) bool { return strings.Contains(s, first) && strings.Contains(s, second) })
	v.shots("home")
	v.do(chromedp.Navigate(f.console + "/batch/" + first))
	v.eval("window.stays = true")
	pending := func() int { return count(v.text("#progress .pending dd")) }
	was := pending()
	v.until("the number of pending rows falls twice", "#progress .pending dd", func(s string) bool {
		if n := count(s); n > 0 && n < was {
			was = n
			return n < 4000
		}
		return false
	})
	v.until("the rate and the time left are told", "#progress", func(s string) bool {
		return strings.Contains(s, "rows a second") && strings.Contains(s, " left")
	})
	if v.eval("window.stays") != "true" {
		t.Error("the page was loaded again")
	}

	// Without the token there are counts, and no names.
	if body := v.eval("document.body.innerText"); strings.Contains(body, "Person") || strings.Contains(body, "refuses-") || !strings.Contains(body, "Sign in") {
		t.Errorf("without the token:\n%s", body)
	}
	v.shots("batch-unsigned")
	for _, path := range []string{"/report?format=csv", "/cancel", "/retry"} {
		if status, body := f.get("/batch/" + second + path); status != 401 || strings.Contains(body, "Person") {
			t.Errorf("%s without the token: %d", path, status)
		}
	}
	refused := v.eval(`(() => { const r = new XMLHttpRequest(); r.open("POST", "/batch/` + second + `/cancel", false); r.send(); return r.status })()`)
	if refused != "401" {
		t.Errorf("a write without the token: %s", refused)
	}

	// A wrong token, then the right one, by the keyboard alone.
	v.do(chromedp.Click("header a.sign"), chromedp.WaitReady("#token"), chromedp.SendKeys("#token", "wrong\r"))
	v.until("the wrong token is refused", "main", func(s string) bool { return strings.Contains(s, "not the console's token") })
	v.do(chromedp.SendKeys("#token", token+"\r"))
	v.until("the rows are shown", "#rows", func(s string) bool { return strings.Contains(s, "What happened") })

	v.until("there are failures", "#progress .failed dd", func(s string) bool { return count(s) > 10 })
	// Rows that are shown stay as they are: the page is asked for until they have failed.
	page := f.console + "/batch/" + first
	testutil.Eventually(t, "only failed rows are shown", func() bool {
		v.do(chromedp.Navigate(page + "?outcome=failed"))
		s := v.text("#found")
		return strings.Contains(s, "declined") && strings.Contains(s, "malformed-511") && !strings.Contains(s, "joined") && !strings.Contains(s, "removed")
	})
	v.do(chromedp.SetValue("#text", "malformed-511"), chromedp.Click(".filter button"))
	v.until("the one row is found", "#found", func(s string) bool { return strings.Contains(s, "malformed-511") && strings.Contains(s, "1 row among") })
	if do := v.text("#reasons"); !strings.Contains(do, "batch retry "+first) {
		t.Errorf("what to do is not said: %s", do)
	}

	// The second batch is cancelled; it was asked first whether to.
	v.do(chromedp.Navigate(f.console+"/batch/"+second), chromedp.Click("#orders .danger"), chromedp.WaitVisible("form button.danger"))
	v.shots("ask")
	v.do(chromedp.Click("form button.danger"), chromedp.WaitVisible("#progress"))
	v.until("the second batch is cancelled", "main", func(s string) bool { return strings.Contains(s, "The batch is cancelled") })
	v.until("the second batch has ended", "#progress", func(s string) bool {
		return strings.Contains(s, "cancelled") && count(v.text("#progress .pending dd")) == 0
	})

	v.do(chromedp.Navigate(f.console + "/batch/" + first))
	v.until("the first batch is finished", "#progress", func(s string) bool { return strings.Contains(s, "finished") })
	v.shots("batch")
	v.do(chromedp.Navigate(f.console + "/batch/" + first + "?outcome=failed"))
	v.shots("failed")
	if body := v.download(`#orders a[href$="format=csv"]`); strings.Count(body, "\n") != 5001 || strings.Contains(body, ",pending,") {
		t.Errorf("the report has %d lines", strings.Count(body, "\n"))
	}
	if body := v.download(`#orders a[href$="format=html"]`); !strings.Contains(body, "What to do") {
		t.Error("the page for a ticket says nothing of what to do")
	}

	v.do(chromedp.Navigate(f.console + "/fleet"))
	v.until("both workers are told of", "#workers", func(s string) bool { return strings.Count(s, "working") == 2 })
	v.shots("fleet")
	v.onlyFrom(f.console)
}

// download follows a link to a file and gives what is in it.
func (v *visitor) download(selector string) string {
	v.t.Helper()
	done := make(chan string, 1)
	ctx, cancel := context.WithCancel(v.ctx)
	defer cancel()
	events := chromedp.BrowserEvents(ctx, browser.DownloadProgress)
	go func() {
		for e, err := range events {
			if err != nil {
				return
			}
			if e.State == browser.DownloadProgressStateCompleted {
				done <- e.GUID
				return
			}
		}
	}()
	v.do(chromedp.Click(selector))
	select {
	case id := <-done:
		body, err := os.ReadFile(filepath.Join(v.dir, id))
		if err != nil {
			v.t.Fatal(err)
		}
		return string(body)
	case <-time.After(testutil.WaitLimit):
		v.t.Fatalf("%s was not downloaded", selector)
		return ""
	}
}

// TestSearchOn: what a search over many parts says in the end is of all of them, and
// whoever was at its link by keyboard still is somewhere.
func TestSearchOn(t *testing.T) {
	f := startFleet(t, []string{roster(1, 50)}, true)
	var b strings.Builder
	b.WriteString("action,call_id,user_id,display_name\n")
	for i := range 400_000 {
		name := "someone"
		if i == 1 || i == 200_001 {
			name = "needle"
		}
		_, _ = fmt.Fprintf(&b, "invite,call-%d,user-%d,%s\n", i/100, i, name)
	}
	f.write("big.csv", b.String())
	id := f.enqueue("--queue", "low", "big.csv")
	v := visit(t)
	v.do(chromedp.Navigate(f.console+"/login?back=/batch/"+id), chromedp.WaitReady("#token"), chromedp.SendKeys("#token", token+"\r"))
	v.until("the rows are shown", "#rows", func(s string) bool { return strings.Contains(s, "What happened") })
	v.do(chromedp.Navigate(f.console + "/batch/" + id + "?text=needle"))
	v.eval(`(document.querySelector("#found a[rel=next]") || document.body).focus()`)
	v.until("the search ends", "#found", func(s string) bool { return strings.Contains(s, "That is all") })
	if s := v.text("#found"); !strings.Contains(s, "2 rows among rows 1 to 400,000") {
		t.Errorf("found is %s", s)
	}
	if tag := v.eval(`document.activeElement.id || document.activeElement.tagName`); tag != "found" {
		t.Errorf("the focus is at %s", tag)
	}
	v.onlyFrom(f.console)
}
