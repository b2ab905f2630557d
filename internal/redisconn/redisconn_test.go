package redisconn_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/redisconn"
	"rollcall/internal/redistest"
)

func TestParse(t *testing.T) {
	for url, shown := range map[string]string{
		"redis://127.0.0.1:6379/0":  "redis://127.0.0.1:6379/0",
		"redis://host":              "redis://host:6379/0",
		"redis://u:secret@host:1/3": "redis://host:1/3",
		"rediss://u:secret@host:1":  "rediss://host:1/0",
		"REDIS://host":              "redis://host:6379/0",
		"unix:///tmp/s?db=2":        "unix:///tmp/s",
		"redis-sentinel://:secret@a,b:2,[::1]:3/4?master=m": "redis-sentinel://a,b:2,[::1]:3/4?master=m",
		"redis-cluster://u:se@cret@a:1,b":                   "redis-cluster://a:1,b",
		"redis-cluster://a?tls=true":                        "redis-cluster://a",
		"redis-sentinel://a?master=m&tls=1":                 "redis-sentinel://a?master=m",
		"redis-sentinel://a?master=m&replicas=1":            "redis-sentinel://a?master=m",
		"redis-sentinel://x@a?master=m&sentinel_password=s": "redis-sentinel://a?master=m",
		"redis://host/1?replicas=2":                         "redis://host:6379/1",
	} {
		o, err := redisconn.Parse(url)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		if o.String() != shown {
			t.Errorf("%s is shown as %s, want %s", url, o, shown)
		}
		if o.HasPassword != strings.Contains(url, "@") {
			t.Errorf("%s has a password: %t", url, o.HasPassword)
		}
		_ = o.Client().Close()
	}
}

func TestParseReplicas(t *testing.T) {
	for url, want := range map[string]int{
		"redis://h": 0, "redis://h?replicas=2": 2, "rediss://u:p@h/0?replicas=1&protocol=2": 1,
		"redis-cluster://a,b?tls=1&replicas=1": 1, "redis-sentinel://a/0?replicas=3&master=m": 3,
	} {
		if o, err := redisconn.Parse(url); err != nil || o.Replicas != want {
			t.Errorf("%s: %+v, %v", url, o, err)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for url, says := range map[string]string{
		"":                                       "scheme",
		"localhost:6379":                         "scheme",
		"http://u:secret@host":                   "unknown scheme",
		"redis://u:secret@host:port":             "cannot be read",
		"redis://u:secret@host/x":                "cannot be read",
		"redis://u:sec%ret@host":                 "cannot be read",
		"redis-sentinel://u:secret@a,b":          "master",
		"redis-sentinel://u:secret@a/x?master=m": "number",
		"redis-cluster://u:secret@":              "host",
		"redis-cluster://u:secret@a,,b":          "host",
		"redis-cluster://u:secret@a/3":           "only number 0",
		"redis-cluster://u:secret@a?master=m":    "unknown option",
		"redis-cluster://u:secret@a?replicas=x":  "number from 0",
		"redis://u:secret@a?replicas=-1":         "number from 0",
	} {
		_, err := redisconn.Parse(url)
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "sec%") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// FuzzParse has a password in its place, and it must not come up anywhere.
func FuzzParse(f *testing.F) {
	for _, s := range [][3]string{
		{"redis", "u", "h:1/2?x=y"}, {"rediss", "", "h"}, {"unix", "u", "/s?db=2"}, {"redis-sentinel", "u", "a,b:2/1?master=m"},
		{"redis-cluster", "u:x", "[::1]:1,b?tls=true"}, {"redis-cluster", "", "@/?"}, {"", "", ""}, {"redis-sentinel", "u", "a?master=%zz"},
		{"redis", "u%", "h:port/x"}, {"REDIS-SENTINEL", "a,u", "b,[::1]:3/4?master=m&tls=1"}, {"redis-cluster", "u", "a,,b/3#x"},
	} {
		f.Add(s[0], s[1], s[2])
	}
	f.Fuzz(func(t *testing.T, scheme, user, rest string) {
		const secret = "pa55word"
		o, err := redisconn.Parse(scheme + "://" + user + ":" + secret + "@" + rest)
		if err != nil {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the password is in an error: %v", err)
			}
			return
		}
		// Behind one of these it is in the path, which nobody would call its place.
		if strings.ContainsAny(scheme+user, "/?#") {
			return
		}
		if !o.HasPassword || strings.Contains(o.String(), secret) || strings.Contains(fmt.Sprintf("%v %+v", o, o), secret) {
			t.Errorf("the password is shown, or was not found (%t): %s", !o.HasPassword, o)
		}
		if o.String() == "" {
			t.Error("shown as nothing")
		}
		_ = o.Client().Close()
	})
}

func TestOpen(t *testing.T) {
	nobody := filepath.Join(t.TempDir(), "redis.sock")
	for name, open := range map[string]func(context.Context, string) (redis.UniversalClient, error){
		"Open": redisconn.Open, "Try": redisconn.Try,
	} {
		t.Run(name, func(t *testing.T) {
			t.Run("nobody there", func(t *testing.T) {
				_, err := open(t.Context(), "unix://u:secret@"+nobody)
				if err == nil || !strings.Contains(err.Error(), "--redis") || strings.Contains(err.Error(), "secret") {
					t.Errorf("%v", err)
				}
			})
			t.Run("unreadable", func(t *testing.T) {
				if _, err := open(t.Context(), "localhost:6379"); err == nil || !strings.Contains(err.Error(), "scheme") {
					t.Errorf("%v", err)
				}
			})
			t.Run("interrupted", func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				if _, err := open(ctx, "unix://"+nobody); !errors.Is(err, context.Canceled) {
					t.Errorf("%v", err)
				}
			})
			t.Run("there", func(t *testing.T) {
				server := redistest.StartServer(t)
				rdb, err := open(t.Context(), server.URL())
				if err != nil {
					t.Fatal(err)
				}
				if err := rdb.ConfigSet(t.Context(), "requirepass", "secret").Err(); err != nil {
					t.Fatal(err)
				}
				_ = rdb.Close()
				_, err = open(t.Context(), server.URL())
				if err == nil || !strings.Contains(err.Error(), "NOAUTH") || !strings.Contains(err.Error(), "ROLLCALL_REDIS_PASSWORD_FILE") {
					t.Errorf("without the password: %v", err)
				}
			})
		})
	}
}

func TestCheckPolicy(t *testing.T) {
	t.Run("miniredis has none", func(t *testing.T) {
		if err := redisconn.CheckPolicy(t.Context(), redistest.Mini(t)); err != nil && !errors.Is(err, redisconn.ErrPolicyUnknown) {
			t.Errorf("%v", err)
		}
	})
	t.Run("redis", func(t *testing.T) {
		rdb := redistest.StartServer(t).Client(t)
		for policy, ok := range map[string]bool{"noeviction": true, "allkeys-lru": false, "volatile-ttl": false} {
			if err := rdb.ConfigSet(t.Context(), "maxmemory-policy", policy).Err(); err != nil {
				t.Fatal(err)
			}
			err := redisconn.CheckPolicy(t.Context(), rdb)
			if (err == nil) != ok || err != nil && (!strings.Contains(err.Error(), policy) || errors.Is(err, redisconn.ErrPolicyUnknown)) {
				t.Errorf("%s: %v", policy, err)
			}
		}
	})
}
