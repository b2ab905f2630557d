package graph

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

func TestFileTokens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	source := FileTokens(path)
	stamp := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	write := func(text string, at time.Time) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
		source.looked = time.Time{} // some time ago
	}
	read := func(fresh bool, want string) {
		t.Helper()
		if got, err := source.Token(t.Context(), "any", fresh); got != want || err != nil {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	if _, err := source.Token(t.Context(), "", false); err == nil {
		t.Error("a missing file must be an error")
	}
	write(" one\n", stamp)
	read(false, "one")
	write(" two\n", stamp)
	read(false, "one") // the same time and size: not read
	read(true, "two")
	write("three", stamp.Add(time.Second))
	read(false, "three")
	for i, bad := range []string{"", " \n", "a b", "a\nb", strings.Repeat("x", maxTokenFile+1)} {
		write(bad, stamp.Add(time.Duration(i+2)*time.Second))
		if _, err := source.Token(t.Context(), "", false); err == nil || strings.Contains(err.Error(), "a b") {
			t.Errorf("%.10q: %v", bad, err)
		}
	}
}

// entra is the identity platform: it refuses every secret but "right", quoting
// it, and counts the tokens it gives.
type entra struct{ given int }

func (e *entra) Do(r *http.Request) (*http.Response, error) {
	answer := func(status int, v any) (*http.Response, error) {
		body, _ := json.Marshal(v)
		return &http.Response{StatusCode: status, Status: http.StatusText(status), Request: r, Body: io.NopCloser(strings.NewReader(string(body))),
			Header: http.Header{"Content-Type": {"application/json"}}}, nil
	}
	origin := "https://" + r.URL.Host + "/" + strings.Split(r.URL.Path, "/")[1]
	switch {
	case strings.Contains(r.URL.Path, "discovery/instance"):
		return answer(200, map[string]any{"tenant_discovery_endpoint": "https://login.microsoftonline.com/t/v2.0/.well-known/openid-configuration", "metadata": []any{map[string]any{
			"preferred_network": "login.microsoftonline.com", "preferred_cache": "login.microsoftonline.com", "aliases": []string{"login.microsoftonline.com"}}}})
	case strings.HasSuffix(r.URL.Path, "openid-configuration"):
		return answer(200, map[string]any{"issuer": origin + "/v2.0", "authorization_endpoint": origin + "/oauth2/v2.0/authorize", "token_endpoint": origin + "/oauth2/v2.0/token"})
	}
	body, _ := io.ReadAll(r.Body)
	if !strings.Contains(string(body), "client_secret=right") {
		return answer(401, map[string]any{"error": "invalid_client", "error_description": "AADSTS7000215: wrong: " + string(body)})
	}
	if !strings.Contains(string(body), "graph.microsoft.com%2F.default") {
		return answer(400, map[string]any{"error": "invalid_scope"})
	}
	e.given++
	return answer(200, map[string]any{"token_type": "Bearer", "expires_in": 3600, "access_token": "token-" + string(rune('0'+e.given))})
}

func TestAzureTokens(t *testing.T) {
	const tenant = "11111111-2222-3333-4444-555555555555"
	env := map[string]string{"AZURE_CLIENT_ID": "app", "AZURE_CLIENT_SECRET": "right"}
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	platform := new(entra)
	s := AzureTokens(Global, "")
	s.env = func(name string) string { return env[name] }
	s.now = func() time.Time { return now }
	s.options.Transport = platform
	s.options.Retry = policy.RetryOptions{MaxRetries: -1}
	read := func(fresh bool, want string) {
		t.Helper()
		if got, err := s.Token(t.Context(), tenant, fresh); got != want || err != nil {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	if _, err := s.Token(t.Context(), "", false); err == nil || !strings.Contains(err.Error(), "AZURE_TENANT_ID") {
		t.Errorf("no tenant: %v", err)
	}
	read(false, "token-1")
	read(false, "token-1")
	read(true, "token-1") // just made
	now = now.Add(refreshEvery)
	read(true, "token-2")
	read(true, "token-2")
	read(false, "token-2")

	env["AZURE_CLIENT_SECRET"] = "hush-hush"
	s.credentials = map[string]*credential{}
	_, err := s.Token(t.Context(), tenant, false)
	if err == nil || strings.Contains(err.Error(), "hush") || !strings.Contains(err.Error(), "AADSTS7000215") || strings.Contains(err.Error(), "\n") {
		t.Errorf("wrong secret: %v", err)
	}
	env["AZURE_CLIENT_ID"] = ""
	s.credentials = map[string]*credential{}
	if _, err := s.Token(t.Context(), tenant, false); err == nil || !strings.Contains(err.Error(), "AZURE_CLIENT_ID") {
		t.Errorf("no client: %v", err)
	}
	delete(env, "AZURE_CLIENT_SECRET")
	env["AZURE_CLIENT_ID"] = "app"
	env["AZURE_CLIENT_CERTIFICATE_PATH"] = filepath.Join(t.TempDir(), "missing.pem")
	if _, err := s.Token(t.Context(), tenant, false); err == nil || !strings.Contains(err.Error(), "AZURE_CLIENT_CERTIFICATE_PATH") {
		t.Errorf("no certificate: %v", err)
	}
}
