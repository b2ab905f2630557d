package console

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
	"rollcall/internal/roster"
	"rollcall/internal/tasks"
	"rollcall/internal/testutil"
)

const secret = "0123456789abcdef0123456789abcdef"

// site is a console, and a Redis behind it.
type site struct {
	t    *testing.T
	q    *tasks.Queue
	rdb  *redis.Client
	file string // of the token
	http *http.Transport
	jar  []*http.Cookie
}

func open(t *testing.T, rdb *redis.Client, token string) *site {
	t.Helper()
	s := &site{t: t, q: tasks.NewQueue(rdb), rdb: rdb}
	if token != "" {
		s.file = filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(s.file, []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := New(Config{Queue: s.q, TokenFile: s.file})
	if err != nil {
		t.Fatal(err)
	}
	s.http = &http.Transport{DialContext: testutil.NewServer(t, c).Dial}
	t.Cleanup(s.http.CloseIdleConnections)
	return s
}

// batch makes one of n invites, of which the first few get outcomes.
func (s *site) batch(n int) ledger.Batch {
	s.t.Helper()
	var file strings.Builder
	file.WriteString("action,call_id,user_id,display_name\n")
	for i := 1; i <= n; i++ {
		_, _ = fmt.Fprintf(&file, "invite,call-%d,user-%d,Ann <b>%d</b>\n", i/100, i, i)
	}
	name := filepath.Join(s.t.TempDir(), "roster.csv")
	if err := os.WriteFile(name, []byte(file.String()), 0o600); err != nil {
		s.t.Fatal(err)
	}
	in, err := roster.Open([]string{name}, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	defer in.Close()
	sum, err := in.Check(s.t.Context(), roster.Options{})
	if err != nil {
		s.t.Fatal(err)
	}
	b, _, err := s.q.Enqueue(s.t.Context(), tasks.Request{Input: in, Summary: sum, Queue: "default", Expire: time.Hour, Keep: time.Hour})
	if err != nil {
		s.t.Fatal(err)
	}
	s.record(b, 1, ledger.Row{Outcome: ledger.Joined, Attempts: 1, Status: 200})
	s.record(b, 2, ledger.Row{Outcome: ledger.Declined, Attempts: 1, Status: 200, Code: "487", Detail: "user-2 did not answer"})
	s.record(b, 3, ledger.Row{Outcome: ledger.Rejected, Attempts: 1, Status: 403, Code: "7505", Detail: "user-3 must not be rung"})
	return b
}

func (s *site) record(b ledger.Batch, n int64, r ledger.Row) {
	s.t.Helper()
	_, turn, err := s.q.Ledger.Begin(s.t.Context(), b, "t/x", []ledger.RowRef{{N: n, Keys: []string{fmt.Sprint("user:", n)}}})
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := turn.Record(s.t.Context(), ledger.Settlement{N: n, Row: r}); err != nil {
		s.t.Fatal(err)
	}
	if err := turn.End(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// ask asks as a browser does, which keeps cookies and follows no redirect here.
func (s *site) ask(method, path string, form url.Values, header ...string) (int, http.Header, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, "http://console.test"+path, strings.NewReader(form.Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	for _, c := range s.jar {
		req.AddCookie(c)
	}
	res, err := s.http.RoundTrip(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, c := range res.Cookies() {
		s.jar = slices.DeleteFunc(s.jar, func(old *http.Cookie) bool { return old.Name == c.Name })
		if c.MaxAge >= 0 {
			s.jar = append(s.jar, c)
		}
	}
	return res.StatusCode, res.Header, string(body)
}

func (s *site) get(path string, header ...string) (int, string) {
	s.t.Helper()
	status, _, body := s.ask(http.MethodGet, path, nil, header...)
	return status, body
}

// signIn gives the site's visitor the token.
func (s *site) signIn() {
	s.t.Helper()
	status, h, _ := s.ask(http.MethodPost, "/login", url.Values{"token": {secret}, "back": {"/fleet"}})
	if status != http.StatusSeeOther || h.Get("Location") != "/fleet" || len(s.jar) != 1 {
		s.t.Fatalf("signing in: %d, to %q", status, h.Get("Location"))
	}
	if c := s.jar[0]; !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || strings.Contains(c.Value, secret) {
		s.t.Errorf("the cookie is %v", c)
	}
}

// personal are words that only who has the token may see.
var personal = regexp.MustCompile(`user-\d|Ann|call-\d|did not answer|must not be rung`)

func TestConsole(t *testing.T) {
	redistest.Suite(t, map[string]func(t *testing.T, rdb *redis.Client){
		"read only":       testReadOnly,
		"token":           testToken,
		"guesses":         testGuesses,
		"session is over": testOver,
		"from elsewhere":  testElsewhere,
		"orders":          testOrders,
		"filter":          testFilter,
		"trouble":         testTrouble,
		"crowd":           testCrowd,
	})
}

// testReadOnly: without a token there are counts, no names, and no way to change
// anything.
func testReadOnly(t *testing.T, rdb *redis.Client) {
	s := open(t, rdb, "")
	b := s.batch(300)
	for _, path := range []string{"/", "/batch/" + b.ID, "/batch/" + b.ID + "?outcome=failed&text=user-2", "/fleet", "/batch/" + b.ID + "?live"} {
		status, body := s.get(path)
		if status != http.StatusOK || personal.MatchString(strings.ReplaceAll(body, "call-id", "")) {
			t.Errorf("%s: %d, with %q", path, status, personal.FindString(body))
		}
		if strings.Contains(path, "batch/") && !strings.Contains(body, "297") {
			t.Errorf("%s does not count the pending rows", path)
		}
	}
	if _, body := s.get("/batch/" + b.ID); !strings.Contains(body, "7505") || !strings.Contains(body, "Calls.InitiateGroupCall.All") {
		t.Error("why rows failed and what to do is not said")
	}
	for _, path := range []string{"/report", "/retry", "/cancel"} {
		if status, body := s.get("/batch/" + b.ID + path); status != http.StatusForbidden || !strings.Contains(body, "ROLLCALL_CONSOLE_TOKEN_FILE") {
			t.Errorf("%s: %d", path, status)
		}
		if status, _, _ := s.ask(http.MethodPost, "/batch/"+b.ID+path, url.Values{}); status != http.StatusForbidden {
			t.Errorf("POST %s: %d", path, status)
		}
	}
	if status, _, _ := s.ask(http.MethodPost, "/login", url.Values{"token": {""}}); status != http.StatusUnauthorized || len(s.jar) > 0 {
		t.Errorf("signing in without a token: %d, %v", status, s.jar)
	}
}

// testToken: rows and orders are for who has the token, in a session or a header,
// as long as it is the token.
func testToken(t *testing.T, rdb *redis.Client) {
	s := open(t, rdb, secret)
	b := s.batch(300)
	row, bearer := "/batch/"+b.ID, []string{"Authorization", "Bearer " + secret}
	if status, body := s.get(row); status != http.StatusOK || personal.MatchString(body) {
		t.Errorf("%d before signing in, with %q", status, personal.FindString(body))
	}
	for _, header := range [][]string{nil, {"Authorization", "Bearer wrong"}, {"Authorization", "Bearer"}, {"Cookie", "rollcall=99999999999.00"}, {"Cookie", "rollcall=" + secret}} {
		if status, _ := s.get(row+"/report", header...); status != http.StatusUnauthorized {
			t.Errorf("%v: %d", header, status)
		}
	}
	if _, body := s.get(row + "/report?only=failed"); !strings.Contains(body, "/login?back="+strings.ToLower(url.QueryEscape(row+"/report?only=failed"))) {
		t.Error("signing in leads to another report than was asked for")
	}
	if status, body := s.get(row+"/report?only=failed", bearer...); status != http.StatusOK || strings.Count(body, "\n") != 3 || !strings.Contains(body, "user-3 must") {
		t.Errorf("with the header: %d\n%s", status, body)
	}
	if status, _, _ := s.ask(http.MethodPost, "/login", url.Values{"token": {"wrong"}}); status != http.StatusUnauthorized || len(s.jar) > 0 {
		t.Errorf("a wrong token: %d", status)
	}
	s.signIn()
	status, body := s.get(row)
	if status != http.StatusOK || !strings.Contains(body, "Ann &lt;b&gt;7&lt;/b&gt;") || !strings.Contains(body, "user-2 did not answer") || strings.Contains(body, "<b>7") {
		t.Errorf("signed in: %d", status)
	}
	// A new token ends the sessions of the old one.
	if err := os.WriteFile(s.file, []byte("another token, as long as the first\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, _ := s.get(row + "/report"); status != http.StatusUnauthorized {
		t.Errorf("with a session of the old token: %d", status)
	}
	if err := os.WriteFile(s.file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if status, _ := s.get(row+"/report", "Authorization", "Bearer "); status != http.StatusUnauthorized {
		t.Errorf("with an empty token: %d", status)
	}
}

// testGuesses: a short token cannot be guessed by trying; a long one needs no such
// limit, which anybody could use up.
func testGuesses(t *testing.T, rdb *redis.Client) {
	for token, want := range map[string]int{"short": http.StatusTooManyRequests, secret: http.StatusSeeOther} {
		s := open(t, rdb, token)
		for range 10 {
			s.ask(http.MethodPost, "/login", url.Values{"token": {"guess"}})
			s.get("/batch/x/report", "Authorization", "Bearer guess")
		}
		if status, _, _ := s.ask(http.MethodPost, "/login", url.Values{"token": {token}}); status != want {
			t.Errorf("after many guesses of a token of %d bytes: %d", len(token), status)
		}
		testutil.Advance(t, 2*time.Second) // Graph asks for this wait
		if status, _, _ := s.ask(http.MethodPost, "/login", url.Values{"token": {token}}); status != http.StatusSeeOther {
			t.Errorf("a moment after many guesses of a token of %d bytes: %d", len(token), status)
		}
	}
}

// testOver: a session ends with its time, and with who signs out.
func testOver(t *testing.T, rdb *redis.Client) {
	s := open(t, rdb, secret)
	s.signIn()
	testutil.Advance(t, sessionLife-time.Second)
	if status, _ := s.get("/batch/nosuchbatch/report"); status != http.StatusNotFound {
		t.Errorf("with a session that is nearly over: %d", status)
	}
	testutil.Advance(t, time.Second)
	if status, _ := s.get("/batch/nosuchbatch/report"); status != http.StatusUnauthorized {
		t.Errorf("with a session that is over: %d", status)
	}
	s.signIn()
	if status, h, _ := s.ask(http.MethodPost, "/logout", url.Values{}); status != http.StatusSeeOther || !strings.Contains(h.Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("signing out: %d, %q", status, h.Get("Set-Cookie"))
	}
}

// testElsewhere checks that requests from pages of other origins change nothing.
func testElsewhere(t *testing.T, rdb *redis.Client) {
	s := open(t, rdb, secret)
	b := s.batch(20)
	s.signIn()
	for _, header := range [][]string{
		{"Origin", "https://evil.test"}, {"Origin", "null"}, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"},
	} {
		if status, _, _ := s.ask(http.MethodPost, "/batch/"+b.ID+"/cancel", url.Values{}, header...); status != http.StatusForbidden {
			t.Errorf("%v: %d", header, status)
		}
	}
	if st, err := s.q.Ledger.Status(t.Context(), b.ID); err != nil || st.State != ledger.Running {
		t.Errorf("the batch is %s, %v", st.State, err)
	}
	status, h, body := s.ask(http.MethodGet, "/batch/"+b.ID, nil)
	csp := h.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
		if status != http.StatusOK || !strings.Contains(csp, want) || strings.Contains(csp, "unsafe") {
			t.Errorf("the policy is %q", csp)
		}
	}
	if found := regexp.MustCompile(`(?i) style=| on[a-z]+="|<script>|<style|https?://`).FindString(body); found != "" {
		t.Errorf("the page has %q", found)
	}
	for path, want := range map[string]string{"//evil.test": "/", "https://evil.test": "/", "/\\evil.test": "/", "": "/", "/fleet": "/fleet", "/batch/x?outcome=failed": "/batch/x?outcome=failed"} {
		if got := back(path); got != want {
			t.Errorf("back to %q from %q", got, path)
		}
	}
}

// testOrders: a batch is cancelled and retried, after it was asked whether to.
func testOrders(t *testing.T, rdb *redis.Client) {
	s := open(t, rdb, secret)
	b := s.batch(300)
	s.signIn()
	do := func(action string, form url.Values) (int, string) {
		status, h, _ := s.ask(http.MethodPost, "/batch/"+b.ID+"/"+action, form)
		return status, h.Get("Location")
	}
	if status, body := s.get("/batch/" + b.ID + "/retry?only=failed"); status != http.StatusOK || !strings.Contains(body, "Retry 2 rows") {
		t.Errorf("%d\n%s", status, body)
	}
	if status, to := do("retry", url.Values{"only": {"failed"}}); status != http.StatusSeeOther || to != "/batch/"+b.ID {
		t.Errorf("retry: %d, %s", status, to)
	}
	for _, want := range []bool{true, false} { // it is said once
		if _, body := s.get("/batch/" + b.ID); strings.Contains(body, "2 rows are pending again") != want {
			t.Errorf("that it is done is said: %v", !want)
		}
	}
	if status, body := s.get("/batch/" + b.ID + "/cancel"); status != http.StatusOK || !strings.Contains(body, "299 rows are pending") {
		t.Errorf("%d\n%s", status, body)
	}
	if status, to := do("cancel", url.Values{}); status != http.StatusSeeOther || to != "/batch/"+b.ID {
		t.Errorf("cancel: %d, %s", status, to)
	}
	if st, err := s.q.Ledger.Status(t.Context(), b.ID); err != nil || st.State != ledger.Stopped || st.Outcomes[ledger.Cancelled] != 299 {
		t.Errorf("%+v, %v", st, err)
	}
	if status, _ := do("cancel", url.Values{}); status != http.StatusConflict {
		t.Errorf("cancel of what has ended: %d", status)
	}
	rdb.HIncrBy(t.Context(), "rollcall:{b:"+b.ID+"}:meta", "created", -(1000 * time.Hour).Milliseconds())
	if status, _ := do("retry", url.Values{"only": {"cancelled"}}); status != http.StatusConflict {
		t.Errorf("retry of what newer changes may be forgotten of: %d", status)
	}
	if status, _ := do("retry", url.Values{"only": {"done"}}); status != http.StatusBadRequest {
		t.Errorf("retry of what is done: %d", status)
	}
	if status, _ := do("delete", url.Values{}); status != http.StatusNotFound {
		t.Errorf("an order that is none: %d", status)
	}
}

// testFilter: rows are found by outcome, call and text, a page at a time.
func testFilter(t *testing.T, rdb *redis.Client) {
	s := open(t, rdb, secret)
	b := s.batch(300)
	s.signIn()
	rows := regexp.MustCompile(`<th role="rowheader" scope="row" class="n"`)
	for query, want := range map[string]int{
		"": 50, "from=290": 11, "from=900": 1, "outcome=failed": 2, "outcome=declined": 1, "outcome=pending&from=280": 21, "outcome=bad": 50,
		"call=CALL-2&from=280": 20, "text=user-29": 11, "text=ann+%3Cb%3E7%3C": 1, "text=nobody": 0, "outcome=failed&text=user-2": 1,
	} {
		status, body := s.get("/batch/" + b.ID + "?" + query)
		if n := len(rows.FindAllString(body, -1)); status != http.StatusOK || n != want {
			t.Errorf("%q: %d, %d rows, want %d", query, status, n, want)
		}
	}
	_, body := s.get("/batch/" + b.ID + "?outcome=pending")
	if next := regexp.MustCompile(`rel="next" href="([^"]+)"`).FindStringSubmatch(body); next == nil || !strings.Contains(next[1], "from=54") || !strings.Contains(next[1], "outcome=pending") {
		t.Errorf("the next page is %q", next)
	}
}

// testTrouble checks that errors are shown without internal details.
func testTrouble(t *testing.T, rdb *redis.Client) {
	s := open(t, rdb, secret)
	for path, want := range map[string]int{"/batch/nosuchbatch": 404, "/batch/%2e%2e": 404, "/nothing": 404, "/batch/nosuchbatch?live": 404, "/static/nothing": 404, "/static/console.css": 200, "/static/page.css": 200} {
		if status, _ := s.get(path); status != want {
			t.Errorf("%s: %d, want %d", path, status, want)
		}
	}
	s.rdb.Close()
	if status, body := s.get("/"); status != http.StatusServiceUnavailable || !strings.Contains(body, "Redis does not answer") || strings.Contains(body, "closed") {
		t.Errorf("%d\n%s", status, body)
	}
	for _, file := range []string{filepath.Join(t.TempDir(), "none"), t.TempDir()} {
		if _, err := New(Config{Queue: s.q, TokenFile: file}); err == nil || !strings.Contains(err.Error(), "ROLLCALL_CONSOLE_TOKEN_FILE") || strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// testCrowd: however many look on, few pages are made at once, and those who wait are
// told in time.
func testCrowd(t *testing.T, rdb *redis.Client) {
	c, err := New(Config{Queue: tasks.NewQueue(rdb)})
	if err != nil {
		t.Fatal(err)
	}
	for range pagesAtOnce {
		c.room <- struct{}{}
	}
	for _, path := range []string{"/?all", "/fleet", "/batch/x"} {
		began := time.Now()
		w := httptest.NewRecorder()
		c.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || time.Since(began) != patience {
			t.Errorf("%s in a crowd: %d after %s", path, w.Code, time.Since(began))
		}
	}
	<-c.room
	w := httptest.NewRecorder()
	c.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/?all", nil))
	if w.Code != http.StatusOK || len(c.room) != pagesAtOnce-1 {
		t.Errorf("after the crowd: %d, %d pages under way", w.Code, len(c.room))
	}
}
