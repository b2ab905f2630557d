package console

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"
)

const (
	cookieName  = "rollcall"
	sessionLife = 12 * time.Hour
	// shortToken is the length in bytes below which a token is warned of.
	shortToken = 16
	// mostToken caps what is read of the token's file, in bytes.
	mostToken = 4 << 10
	// Wrong tokens that are compared with a short one, of all visitors together.
	guessesPerSecond, guessesAtOnce = 1, 5
)

// token reads the console's token.
func (c *Console) token() ([]byte, error) {
	f, err := os.Open(c.file)
	if err != nil {
		return nil, unreadable(err)
	}
	text, err := io.ReadAll(io.LimitReader(f, mostToken))
	err = errors.Join(err, f.Close())
	if err != nil {
		return nil, unreadable(err)
	}
	if text = bytes.TrimSpace(text); len(text) == 0 {
		return nil, errors.New("ROLLCALL_CONSOLE_TOKEN_FILE: the file is empty; make a token with: openssl rand -hex 32")
	}
	return text, nil
}

// unreadable does not repeat the file's name, which may be the token in its place.
func unreadable(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	return fmt.Errorf("ROLLCALL_CONSOLE_TOKEN_FILE must name a file with the console's token: %w", err)
}

// verdict is what comes of comparing a token.
type verdict uint8

const (
	wrong verdict = iota
	right
	tooOften // too many were wrong of late: it was not compared
)

// compare compares a token with the console's, in a time that tells nothing. Of a
// token so short that it can be guessed, only a few wrong ones are compared: that
// everybody can use them up is the price.
func (c *Console) compare(given string) verdict {
	if c.file == "" || given == "" {
		return wrong
	}
	want, err := c.token()
	if err != nil {
		c.log.Warn("nobody can sign in at the console", "error", err)
		return wrong
	}
	short := len(want) < shortToken
	if short && c.guesses.Tokens() < 1 {
		return tooOften
	}
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256(want)
	if subtle.ConstantTimeCompare(a[:], b[:]) == 1 {
		return right
	}
	if short {
		c.guesses.Allow()
	}
	return wrong
}

// seal is what makes a cookie that is valid until then hard to make.
func seal(token []byte, until int64) string {
	m := hmac.New(sha256.New, token)
	_, _ = fmt.Fprintf(m, "console session until %d", until)
	return hex.EncodeToString(m.Sum(nil))
}

// signed tells whether the visitor has the token: as who signed in, or in the header
// Authorization. A session ends with its time, and when the token is changed.
func (c *Console) signed(r *http.Request) bool {
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return c.compare(strings.TrimSpace(bearer)) == right
	}
	cookie, err := r.Cookie(cookieName)
	if err != nil || c.file == "" {
		return false
	}
	end, mark, _ := strings.Cut(cookie.Value, ".")
	until, err := strconv.ParseInt(end, 10, 64)
	if err != nil || time.Now().Unix() >= until {
		return false
	}
	token, err := c.token()
	return err == nil && hmac.Equal([]byte(mark), []byte(seal(token, until)))
}

// withToken serves only who has the token.
func (c *Console) withToken(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case c.signed(r):
			next(w, r)
		case c.file == "":
			c.fail(w, r, http.StatusForbidden, "This console has no token, so it shows counts and changes nothing. Workers that are started with ROLLCALL_CONSOLE_TOKEN_FILE, the name of a file with a token, show rows and take orders.")
		case r.Header.Get("Authorization") != "":
			w.Header().Set("WWW-Authenticate", "Bearer")
			c.fail(w, r, http.StatusUnauthorized, "The token in the header Authorization is not this console's.")
		default:
			w.Header().Set("WWW-Authenticate", "Bearer")
			c.fail(w, r, http.StatusUnauthorized, "Sign in with the console's token first.")
		}
	}
}

func (c *Console) loginPage(w http.ResponseWriter, r *http.Request) {
	if c.file == "" {
		c.withToken(nil)(w, r)
		return
	}
	c.render(w, r, "login", frame{Title: "Sign in", Page: back(r.URL.Query().Get("back"))})
}

func (c *Console) login(w http.ResponseWriter, r *http.Request) {
	to := back(r.PostFormValue("back"))
	switch c.compare(strings.TrimSpace(r.PostFormValue("token"))) {
	case tooOften:
		w.Header().Set("Retry-After", "2")
		c.fail(w, r, http.StatusTooManyRequests, "Too many tries to sign in: wait a few seconds.")
		return
	case wrong:
		c.render(w, r, "login", frame{Title: "Sign in", Status: http.StatusUnauthorized, Said: "That is not the console's token.", Page: to})
		return
	case right:
	}
	token, err := c.token()
	if err != nil {
		c.fail(w, r, http.StatusServiceUnavailable, "The console's token cannot be read at the moment.")
		return
	}
	until := time.Now().Add(sessionLife).Unix()
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure as far as the connection is
		Name: cookieName, Value: fmt.Sprintf("%d.%s", until, seal(token, until)), Path: "/",
		MaxAge: int(sessionLife.Seconds()), HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil,
	})
	http.Redirect(w, r, to, http.StatusSeeOther)
}

func (c *Console) logout(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, &http.Cookie{Name: cookieName, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil}) //nolint:gosec // see login
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// back is a page of this console to go back to; nobody is sent elsewhere.
func back(path string) string {
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsFunc(path, func(c rune) bool { return c == '\\' || unicode.IsControl(c) }) {
		return "/"
	}
	return path
}
