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
	sentinels := func(name string) string { return map[string]string{sentinelPassFile: file}[name] }
	for raw, want := range map[string]string{
		"redis://h:1/0":                   "redis://:a%2Fb%40c%3Ad%25@h:1/0",
		"rediss://user@h:1/0":             "rediss://user:a%2Fb%40c%3Ad%25@h:1/0",
		"unix:///run/redis.sock?db=1":     "unix://:a%2Fb%40c%3Ad%25@/run/redis.sock?db=1",
		"redis-cluster://a,b:2?tls=true":  "redis-cluster://:a%2Fb%40c%3Ad%25@a,b:2?tls=true",
		"redis-sentinel://u@a,b?master=m": "redis-sentinel://u:a%2Fb%40c%3Ad%25@a,b?master=m",
		"127.0.0.1:6379":                  "127.0.0.1:6379",
	} {
		if got, err := addPasswords(env, raw); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", raw, got, err, want)
		}
	}
	if got, err := addPasswords(env, "redis://u:p@h"); err == nil {
		t.Errorf("two passwords: %s", got)
	}
	if got, err := addPasswords(sentinels, "redis-sentinel://u:p@a,b/1?master=m"); err != nil || got != "redis-sentinel://u:p@a,b/1?master=m&sentinel_password=a%2Fb%40c%3Ad%25" {
		t.Errorf("of the sentinels: %s, %v", got, err)
	}
	for _, raw := range []string{"redis://h", "redis-sentinel://a?master=m&sentinel_password=x"} {
		if got, err := addPasswords(sentinels, raw); err == nil {
			t.Errorf("a password of the sentinels for %s: %s", raw, got)
		}
	}
	if got, err := addPasswords(sentinels, "Redis-Sentinel://a?master=m"); err != nil || got != "Redis-Sentinel://a?master=m&sentinel_password=a%2Fb%40c%3Ad%25" {
		t.Errorf("of the sentinels: %s, %v", got, err)
	}
	none := func(string) string { return "" }
	if got, err := addPasswords(none, "redis://h"); err != nil || got != "redis://h" {
		t.Errorf("without a file: %s, %v", got, err)
	}
}
