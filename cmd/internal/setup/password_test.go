package setup

import (
	"os"
	"path/filepath"
	"testing"
)

func TestAddPassword(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("a/b@c:d%\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := func(name string) string { return map[string]string{redisPassFile: file}[name] }
	for raw, want := range map[string]string{
		"redis://h:1/0":                   "redis://:a%2Fb%40c%3Ad%25@h:1/0",
		"rediss://user@h:1/0":             "rediss://user:a%2Fb%40c%3Ad%25@h:1/0",
		"unix:///run/redis.sock?db=1":     "unix://:a%2Fb%40c%3Ad%25@/run/redis.sock?db=1",
		"redis-cluster://a,b:2?tls=true":  "redis-cluster://:a%2Fb%40c%3Ad%25@a,b:2?tls=true",
		"redis-sentinel://u@a,b?master=m": "redis-sentinel://u:a%2Fb%40c%3Ad%25@a,b?master=m",
		"127.0.0.1:6379":                  "127.0.0.1:6379",
	} {
		if got, err := addPassword(env, raw); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", raw, got, err, want)
		}
	}
	if got, err := addPassword(env, "redis://u:p@h"); err == nil {
		t.Errorf("two passwords: %s", got)
	}
	none := func(string) string { return "" }
	if got, err := addPassword(none, "redis://h"); err != nil || got != "redis://h" {
		t.Errorf("without a file: %s, %v", got, err)
	}
}
