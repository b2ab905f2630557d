// Package console is the web page of a fleet: its batches, one batch with its rows,
// and the workers. It shows what the ledger and the fleet say of themselves, and does
// what 'batch retry' and 'batch cancel' do. It must not know how rows are carried
// out, nor Graph.
//
// Anybody who reaches it sees counts. Rows, which name people, and all that changes
// something need the console's token; without one they are nobody's.
package console

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"rollcall/internal/ledger"
	"rollcall/internal/report"
	"rollcall/internal/tasks"
)

// Config configures a console.
type Config struct {
	Queue *tasks.Queue
	// TokenFile names the file with the token that rows and changes need. It is read
	// anew each time, so that it can be changed. Empty: nobody has one.
	TokenFile string
	Log       *slog.Logger
}

// Console serves the pages. It is an http.Handler.
type Console struct {
	queue   *tasks.Queue
	ledger  *ledger.Ledger
	file    string
	log     *slog.Logger
	guesses *rate.Limiter
	room    chan struct{} // pages under way
	serve   http.Handler
}

//go:embed pages static
var files embed.FS

// policy lets pages use what comes from here, and nothing else; forms go here only.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// New returns a console. It is an error if the token's file cannot be read or is
// empty.
func New(cfg Config) (*Console, error) {
	c := &Console{
		queue: cfg.Queue, ledger: cfg.Queue.Ledger, file: cfg.TokenFile, log: cfg.Log,
		guesses: rate.NewLimiter(guessesPerSecond, guessesAtOnce), room: make(chan struct{}, pagesAtOnce),
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if c.file != "" {
		token, err := c.token()
		if err != nil {
			return nil, err
		}
		if len(token) < shortToken {
			c.log.Warn("the console's token is short: others may guess it; make one with: openssl rand -hex 32")
		}
	}
	static, err := fs.Sub(files, "static")
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /static/page.css", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		_, _ = w.Write([]byte(report.Style))
	})
	mux.Handle("GET /static/{file}", http.StripPrefix("/static/", http.FileServerFS(static)))
	mux.HandleFunc("GET /{$}", c.few(c.home))
	mux.HandleFunc("GET /fleet", c.few(c.fleet))
	mux.HandleFunc("GET /login", c.loginPage)
	mux.HandleFunc("POST /login", c.login)
	mux.HandleFunc("POST /logout", c.logout)
	mux.HandleFunc("GET /batch/{id}", c.few(c.batch))
	mux.HandleFunc("GET /batch/{id}/report", c.withToken(c.report))
	mux.HandleFunc("GET /batch/{id}/{action}", c.withToken(c.ask))
	mux.HandleFunc("POST /batch/{id}/{action}", c.withToken(c.act))
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		c.fail(w, r, http.StatusNotFound, "There is no such page.")
	})
	same := http.NewCrossOriginProtection()
	same.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.fail(w, r, http.StatusForbidden, "This was asked for by a page from elsewhere. Do it on this console's own page.")
	}))
	c.serve = same.Handler(mux)
	return c, nil
}

// ServeHTTP serves a page.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Security-Policy", policy)
	r.Body = http.MaxBytesReader(w, r.Body, mostForm)
	c.serve.ServeHTTP(w, r)
}

// few serves some pages at once, and lets others wait: whoever looks on, without a
// token too, must not take Redis' connections and the processor from the rows.
func (c *Console) few(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := bounded(r)
		defer cancel()
		select {
		case c.room <- struct{}{}:
			defer func() { <-c.room }()
			next(w, r)
		case <-ctx.Done():
			w.Header().Set("Retry-After", "10")
			c.fail(w, r, http.StatusServiceUnavailable, "Too many people look on at once: try again in a moment.")
		}
	}
}

const (
	// pagesAtOnce is how many pages are made at once.
	pagesAtOnce = 3
	// mostForm caps what is read of a form, in bytes.
	mostForm = 16 << 10
	// patience is how long a page may take at Redis.
	patience = 10 * time.Second
)

// frame is what every page has.
type frame struct {
	Title   string
	Token   bool // the console has a token
	Signed  bool // this visitor has it
	Said    string
	Refresh int // seconds until a page without script loads itself again; 0: never
	Here    string
	Back    string // where to go after signing in
	Page    any
	Status  int // 0 as 200
}

var pages = template.Must(template.New("").Funcs(functions).ParseFS(files, "pages/*.html"))

// render writes a page, or with ?live only the parts of it that change by themselves.
func (c *Console) render(w http.ResponseWriter, r *http.Request, name string, f frame) {
	f.Token, f.Signed, f.Here = c.file != "", c.signed(r), r.URL.Path
	if f.Back = f.Here; r.URL.RawQuery != "" {
		f.Back += "?" + r.URL.RawQuery
	}
	if live := name + "-live"; r.URL.Query().Has("live") && pages.Lookup(live) != nil {
		name = live
	}
	var b strings.Builder // whole or not at all
	if err := pages.ExecuteTemplate(&b, name, f); err != nil {
		c.log.Error("a page of the console could not be made", "page", name, "error", err)
		http.Error(w, "this page could not be made; the worker's log says why", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(cmp.Or(f.Status, http.StatusOK))
	_, _ = w.Write([]byte(b.String()))
}

// fail writes a page that says why there is no other.
func (c *Console) fail(w http.ResponseWriter, r *http.Request, status int, why string) {
	c.render(w, r, "failed", frame{Title: http.StatusText(status), Status: status, Page: why})
}

// failed writes what an error of the ledger means to who looks on.
func (c *Console) failed(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case r.Context().Err() != nil: // nobody is there any more
	case errors.Is(err, ledger.ErrNoBatch):
		c.fail(w, r, http.StatusNotFound, "There is no such batch: it has expired, or its id is wrong.")
	default:
		c.log.Warn("the console could not read Redis", "error", err)
		c.fail(w, r, http.StatusServiceUnavailable, "Redis does not answer, so nothing is known at the moment. Batches are not lost: workers go on when it is back.")
	}
}

func bounded(r *http.Request) (context.Context, context.CancelFunc) {
	return context.WithTimeout(r.Context(), patience)
}
