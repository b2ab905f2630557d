package graph

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestBaseURL(t *testing.T) {
	for _, tt := range []struct {
		raw   string
		cloud Cloud
		plain bool
		want  string // "" for an error
	}{
		{"", "", false, "https://graph.microsoft.com/v1.0"},
		{"", USGov, false, "https://graph.microsoft.us/v1.0"},
		{"", DoD, false, "https://dod-graph.microsoft.us/v1.0"},
		{"http://127.0.0.1:8089", "", false, "http://127.0.0.1:8089/v1.0"},
		{"http://localhost:8089/", "", false, "http://localhost:8089/v1.0"},
		{"http://[::1]:8089/beta/", "", false, "http://[::1]:8089/beta"},
		{"https://Proxy.Example/graph/v1.0", "", false, "https://proxy.example/graph/v1.0"},
		{"http://graphsim:8089", "", false, ""},
		{"http://graphsim:8089", "", true, "http://graphsim:8089/v1.0"},
		{"ftp://graphsim", "", true, ""},
		{"graphsim:8089", "", true, ""},
		{"https://", "", false, ""},
		{"https://user:secret@host", "", false, ""},
		{"https://user:secret@host:port", "", false, ""},
		{"https://host?x=1", "", false, ""},
	} {
		c, err := New(Config{BaseURL: tt.raw, Cloud: tt.cloud, AllowPlainHTTP: tt.plain, Tokens: tokenFunc(staticToken)})
		switch {
		case err != nil:
			if tt.want != "" || strings.Contains(err.Error(), "secret") {
				t.Errorf("New(%q): %v", tt.raw, err)
			}
		case c.base.String() != tt.want:
			t.Errorf("New(%q) = %s, want %s", tt.raw, c.base, tt.want)
		}
	}
	if _, err := New(Config{}); err == nil {
		t.Error("no token source must be an error")
	}
	if _, err := New(Config{Tokens: tokenFunc(staticToken), Timeout: -time.Second}); err == nil {
		t.Error("a negative timeout must be an error")
	}
}

func TestParseCloud(t *testing.T) {
	for name, want := range map[string]Cloud{"": Global, "Global": Global, "USGOV": USGov, " dod ": DoD} {
		if got, err := ParseCloud(name); got != want || err != nil {
			t.Errorf("ParseCloud(%q) = %q, %v", name, got, err)
		}
	}
	for _, name := range []string{"china", "21Vianet", "mars"} {
		if _, err := ParseCloud(name); !errors.Is(err, ErrCloud) {
			t.Errorf("ParseCloud(%q): %v", name, err)
		}
	}
}
