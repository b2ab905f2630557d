// Package redisconn opens the Redis that a --redis URL names: one server,
// Sentinel or Cluster, with or without TLS. It must not know what is kept
// there.
package redisconn

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// pingTimeout bounds the first contact; a Redis that does not answer within it
// is reported as not reachable.
const pingTimeout = 5 * time.Second

func init() {
	// go-redis writes connection trouble to standard error, once a connection;
	// callers see the same errors as return values.
	logging.Disable()
}

// Options are the settings that a URL names.
type Options struct {
	single    *redis.Options // or, where it is nil:
	universal redis.UniversalOptions
	cluster   bool
	shown     string
	// HasPassword tells that the URL itself carries a password, which other
	// users of the machine can read if it came by a flag.
	HasPassword bool
	// Replicas is how many replicas must have a write that others rely on, such
	// as the intent to ring somebody, before it counts as written.
	Replicas int
}

// String is the URL without user and password, fit for logs and errors.
func (o *Options) String() string { return o.shown }

// Parse reads a connection URL:
//
//	redis://[user:password@]host:port[/db]     rediss:// with TLS    unix:///path[?db=n]
//	redis-sentinel://[user:password@]host:port[,host:port…][/db]?master=NAME[&tls=true]
//	redis-cluster://[user:password@]host:port[,host:port…][?tls=true]
//
// Each can also have the option replicas=N, and sentinels that want a password of
// their own sentinel_user and sentinel_password.
//
// Its errors never repeat the URL, which may hold a password.
func Parse(raw string) (*Options, error) {
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return nil, errors.New("the Redis URL has no scheme: write redis://, rediss://, redis-sentinel:// or redis-cluster://")
	}
	if strings.Contains(rest, "#") { // nothing of what follows would count, a part of a password perhaps
		return nil, errUnreadable
	}
	rest, replicas, err := takeReplicas(rest)
	if err != nil {
		return nil, err
	}
	var o *Options
	switch scheme = strings.ToLower(scheme); scheme {
	case "redis", "rediss", "unix":
		o, err = parseSingle(scheme + "://" + rest)
	case "redis-sentinel":
		o, err = parseMany(scheme, rest, "26379")
	case "redis-cluster":
		o, err = parseMany(scheme, rest, "6379")
	default:
		err = errors.New("the Redis URL has an unknown scheme: write redis://, rediss://, redis-sentinel:// or redis-cluster://")
	}
	if err != nil {
		return nil, err
	}
	o.Replicas = replicas
	return o, nil
}

// takeReplicas takes the option that is ours off the end of a URL.
func takeReplicas(url string) (rest string, n int, err error) {
	at := strings.LastIndexByte(url, '?')
	if at < 0 {
		return url, 0, nil
	}
	var others []string
	for option := range strings.SplitSeq(url[at+1:], "&") {
		value, ours := strings.CutPrefix(option, "replicas=")
		if !ours {
			others = append(others, option)
			continue
		}
		if n, err = strconv.Atoi(value); err != nil || n < 0 || n > maxReplicas {
			return "", 0, fmt.Errorf("the Redis URL's option replicas must be a number from 0 to %d", maxReplicas)
		}
	}
	if rest = url[:at]; len(others) > 0 {
		rest += "?" + strings.Join(others, "&")
	}
	return rest, n, nil
}

const maxReplicas = 9

func parseSingle(raw string) (*Options, error) {
	o, err := redis.ParseURL(raw)
	if err != nil {
		return nil, errUnreadable
	}
	shown := "redis://" + o.Addr + "/" + strconv.Itoa(o.DB)
	switch {
	case o.Network == "unix":
		shown = "unix://" + o.Addr
	case o.TLSConfig != nil:
		shown = "rediss" + strings.TrimPrefix(shown, "redis")
	}
	return &Options{single: o, shown: shown, HasPassword: o.Password != ""}, nil
}

// errUnreadable stands for every error of the URL parsers: theirs quote the
// part they stumbled over, which may be one of a password.
var errUnreadable = errors.New("the Redis URL cannot be read: write redis://[user:password@]host:port[/db], with " +
	"percent signs for / ? # @ : % in user and password, such as %2F for /")

func parseMany(scheme, rest, defaultPort string) (*Options, error) {
	authority, tail := rest, ""
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		authority, tail = rest[:i], rest[i:]
	}
	hosts := authority
	userinfo := ""
	if i := strings.LastIndex(authority, "@"); i >= 0 {
		userinfo, hosts = authority[:i+1], authority[i+1:]
	}
	// net/url does not take a list of hosts: it reads everything else.
	u, err := url.Parse(scheme + "://" + userinfo + "host" + tail)
	if err != nil {
		return nil, errUnreadable
	}
	o := &Options{cluster: scheme == "redis-cluster", shown: scheme + "://" + hosts + u.Path}
	for h := range strings.SplitSeq(hosts, ",") {
		if h = strings.TrimSpace(h); h == "" {
			return nil, errors.New("the Redis URL names no host, or an empty one: write host:port,host:port")
		}
		if _, _, err := net.SplitHostPort(h); err != nil {
			h = net.JoinHostPort(strings.Trim(h, "[]"), defaultPort)
		}
		o.universal.Addrs = append(o.universal.Addrs, h)
	}
	if u.User != nil {
		o.universal.Username = u.User.Username()
		o.universal.Password, o.HasPassword = u.User.Password()
	}
	if db := strings.Trim(u.Path, "/"); db != "" {
		if o.universal.DB, err = strconv.Atoi(db); err != nil || o.universal.DB < 0 {
			return nil, errors.New("the Redis URL's path must be the number of a database")
		}
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, errUnreadable
	}
	for name, values := range query {
		switch v := values[0]; {
		case name == "master" && !o.cluster:
			o.universal.MasterName = v
		case name == "sentinel_user" && !o.cluster:
			o.universal.SentinelUsername = v
		case name == "sentinel_password" && !o.cluster:
			o.universal.SentinelPassword = v
			o.HasPassword = true
		case name == "tls":
			if v == "true" || v == "1" {
				o.universal.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
			}
		default:
			return nil, errors.New("the Redis URL has an unknown option: it takes tls, replicas and, with Sentinel, master, sentinel_user and sentinel_password")
		}
	}
	switch {
	case o.cluster && o.universal.DB != 0:
		return nil, errors.New("the Redis URL names a database, but Redis Cluster has only number 0")
	case !o.cluster && o.universal.MasterName == "":
		return nil, errors.New("the Redis URL needs ?master=NAME, the name Sentinel knows the master by")
	case !o.cluster:
		o.shown += "?master=" + o.universal.MasterName
	}
	return o, nil
}

// Open connects and makes sure that Redis answers. The error says which
// address was tried and what to do.
func Open(ctx context.Context, rawURL string) (redis.UniversalClient, error) {
	o, err := Parse(rawURL)
	if err != nil {
		return nil, err
	}
	return o.open(ctx)
}

// Try is Open for those who can do without Redis: one server that refuses the
// connection is not asked again.
func Try(ctx context.Context, rawURL string) (redis.UniversalClient, error) {
	o, err := Parse(rawURL)
	if err != nil {
		return nil, err
	}
	if o.single != nil {
		once := *o
		single := *o.single
		single.MaxRetries, single.DialerRetries = -1, 1
		once.single = &single
		rdb, err := once.open(ctx)
		if err != nil {
			return nil, err
		}
		_ = rdb.Close()
	}
	return o.open(ctx)
}

func (o *Options) open(ctx context.Context) (redis.UniversalClient, error) {
	rdb := o.Client()
	pctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	if err := rdb.Ping(pctx).Err(); err != nil {
		_ = rdb.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if explained := Explain(err); explained != err { //nolint:errorlint // whether it is another
			return nil, fmt.Errorf("Redis at %s: %w", o, explained)
		}
		return nil, fmt.Errorf("cannot reach Redis at %s: %w\nStart it, or name another with --redis or ROLLCALL_REDIS; nothing was changed", o, err)
	}
	return rdb, nil
}

// Client returns a client for the URL without contacting Redis.
func (o *Options) Client() redis.UniversalClient {
	// A feature of one vendor's service; elsewhere it is a refused command for
	// every connection.
	notices := &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	if o.single != nil {
		single := *o.single
		single.ClientName, single.ContextTimeoutEnabled, single.MaintNotificationsConfig = clientName, true, notices
		return redis.NewClient(&single)
	}
	u := o.universal
	u.ClientName, u.ContextTimeoutEnabled, u.MaintNotificationsConfig = clientName, true, notices
	if o.cluster {
		// A cluster named by one address is still a cluster.
		return redis.NewClusterClient(u.Cluster())
	}
	return redis.NewUniversalClient(&u)
}

// clientName is how connections appear in Redis' CLIENT LIST.
const clientName = "rollcall"
