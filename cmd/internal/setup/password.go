package setup

import (
	"net/url"
	"strings"

	"rollcall/cmd/internal/cli"
)

// redisPassFile is the variable that names the file with the password of Redis.
const redisPassFile = "ROLLCALL_REDIS_PASSWORD_FILE" //nolint:gosec // a name, no password

// addPassword puts the password of the file that the environment names, if it does,
// into a URL of Redis, which may name a user.
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
