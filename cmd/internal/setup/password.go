package setup

import (
	"net/url"
	"strings"

	"rollcall/cmd/internal/cli"
)

// Variables that name the file with the password of Redis, and with that of the
// sentinels.
const (
	redisPassFile    = "ROLLCALL_REDIS_PASSWORD_FILE"          //nolint:gosec // a name, no password
	sentinelPassFile = "ROLLCALL_REDIS_SENTINEL_PASSWORD_FILE" //nolint:gosec // likewise
)

// addPasswords puts the passwords of the files that the environment names, if it does,
// into a URL of Redis, which may name users.
func addPasswords(env func(string) string, raw string) (string, error) {
	raw, err := addPassword(env, raw)
	if err != nil {
		return "", err
	}
	password, err := readSecret(env, sentinelPassFile)
	if err != nil || password == nil {
		return raw, err
	}
	before, query, _ := strings.Cut(raw, "?")
	scheme, _, _ := strings.Cut(raw, "://")
	options, err := url.ParseQuery(query)
	switch {
	case !strings.EqualFold(scheme, "redis-sentinel"):
		return "", cli.Usagef("%s is set, and the Redis URL names no sentinels (redis-sentinel://): leave it out", sentinelPassFile)
	case err != nil:
		return raw, nil // which is complained of as it is
	case options.Has("sentinel_password"):
		return "", cli.Usagef("the Redis URL has a sentinel_password, and %s names another: leave one out", sentinelPassFile)
	}
	options.Set("sentinel_password", string(password))
	return before + "?" + options.Encode(), nil
}

func addPassword(env func(string) string, raw string) (string, error) {
	password, err := readSecret(env, redisPassFile)
	if err != nil || password == nil {
		return raw, err
	}
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return raw, nil // which is complained of as it is
	}
	authority, tail := rest, ""
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		authority, tail = rest[:i], rest[i:]
	}
	user, hosts := "", authority
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		user, hosts = authority[:i], authority[i+1:]
	}
	if strings.Contains(user, ":") {
		return "", cli.Usagef("the Redis URL has a password, and %s names another: leave one out", redisPassFile)
	}
	return scheme + "://" + user + url.UserPassword("", string(password)).String() + "@" + hosts + tail, nil
}
