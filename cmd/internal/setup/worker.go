package setup

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/pflag"

	"rollcall/cmd/internal/cli"
	"rollcall/internal/graph"
	"rollcall/internal/tasks"
)

// WorkerFlags are the flags that say how a worker works.
type WorkerFlags struct {
	graphURL, cloud          *string
	concurrency, maxAttempts *int
	rate                     *float64
	confirm                  *bool
	confirmTimeout           *time.Duration
	logFormat, logLevel      *string
	notifyURL                *string
	Shutdown                 *time.Duration
}

// NewWorkerFlags declares them, except --tenant-id, which is declared by the
// command.
func NewWorkerFlags(fs *cli.FlagSet) *WorkerFlags {
	return &WorkerFlags{
		graphURL:       fs.String("graph-url", "", "where Graph is"),
		cloud:          fs.String("cloud", string(graph.Global), "global, usgov or dod"),
		concurrency:    fs.Int("concurrency", tasks.DefaultConcurrency, "tasks at once"),
		rate:           fs.Float64("rate", 0, "requests a second of the whole fleet"),
		maxAttempts:    fs.Int("max-attempts", tasks.DefaultMaxAttempts, "tries of a row"),
		confirm:        fs.Bool("confirm", true, "confirm invites on the roster"),
		confirmTimeout: fs.Duration("confirm-timeout", tasks.DefaultConfirmTimeout, "how long to wait for that"),
		logFormat:      fs.Choice("log-format", "text", "text or json", "text", "json"),
		logLevel:       fs.Choice("log-level", "info", "least level", "debug", "info", "warn", "error"),
		notifyURL:      fs.String("notify-url", "", "webhook to tell of finished batches"),
		Shutdown:       fs.Duration("shutdown-timeout", tasks.DefaultShutdownTimeout, "time to finish requests under way"),
	}
}

// Names are the flags that say how a worker works.
func (f *WorkerFlags) Names() []string {
	return []string{"graph-url", "cloud", "concurrency", "max-attempts", "rate", "confirm", "confirm-timeout", "shutdown-timeout"}
}

// Check makes sure of the values that can be wrong by themselves.
func (f *WorkerFlags) Check() error {
	if _, err := graph.ParseCloud(*f.cloud); err != nil {
		return cli.Usagef("--cloud: %w", err)
	}
	switch {
	case *f.concurrency < 1 || *f.concurrency > 10_000:
		return cli.Usagef("--concurrency must be from 1 to 10000")
	case *f.maxAttempts < 1 || *f.maxAttempts > 1000:
		return cli.Usagef("--max-attempts must be from 1 to 1000")
	case !(*f.rate >= 0 && *f.rate <= 1e6):
		return cli.Usagef("--rate must be from 0 (no ceiling) to 1000000 requests a second")
	case *f.confirmTimeout <= 0:
		return cli.Usagef("--confirm-timeout must be more than 0")
	case *f.Shutdown <= 0:
		return cli.Usagef("--shutdown-timeout must be more than 0")
	}
	return nil
}

// Rate is --rate, in requests a second; 0 if there is none.
func (f *WorkerFlags) Rate() float64 { return *f.rate }

// Confirms tells whether invites are confirmed on the roster.
func (f *WorkerFlags) Confirms() bool { return *f.confirm }

// Logger returns the logger that the flags ask for; it writes to standard error.
func (f *WorkerFlags) Logger(c *cli.Command) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(*f.logLevel)) // one of the choices
	o := &slog.HandlerOptions{Level: level}
	if *f.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(c.Stderr, o))
	}
	return slog.New(slog.NewTextHandler(c.Stderr, o))
}

// Config makes the worker's configuration. tenant is --tenant-id.
func (f *WorkerFlags) Config(ctx context.Context, c *cli.Command, rdb redis.UniversalClient, tenant string, log *slog.Logger) (tasks.WorkerConfig, error) {
	cloud, err := graph.ParseCloud(*f.cloud) // Check has accepted it
	if err != nil {
		return tasks.WorkerConfig{}, err
	}
	cfg := f.base(rdb, cmp.Or(tenant, c.Env("AZURE_TENANT_ID")), log)
	cfg.Graph = graph.Config{BaseURL: *f.graphURL, Cloud: cloud}
	if err := checkFileNames(c.Env, "ROLLCALL_TOKEN_FILE", "AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_FEDERATED_TOKEN_FILE"); err != nil {
		return cfg, err
	}
	if file := c.Env("ROLLCALL_TOKEN_FILE"); file != "" {
		cfg.App = "token-file"
		cfg.Graph.Tokens = graph.FileTokens(file)
		cfg.Graph.AllowPlainHTTP = true
		if plain(*f.graphURL) {
			log.Warn("the token crosses the network in clear, as --graph-url is http and not on this machine: use https for any token that matters")
		}
	} else {
		if cfg.Tenant == "" {
			return cfg, cli.Usagef("the worker needs a tenant and credentials: set AZURE_TENANT_ID (or --tenant-id), AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or ROLLCALL_TOKEN_FILE\nTo try it without a tenant, use the simulator: 'worker --help' ends with an example")
		}
		cfg.App = cmp.Or(c.Env("AZURE_CLIENT_ID"), "managed-identity")
		cfg.Graph.Tokens = graph.AzureTokens(cloud, cloud.Origin())
	}
	// Found out now rather than at the first row, hours later.
	if _, err := cfg.Graph.Tokens.Token(ctx, cfg.Tenant, false); err != nil {
		return cfg, fmt.Errorf("no token for Graph: %w", err)
	}
	return cfg, nil
}

// checkFileNames refuses secrets that stand where the name of their file belongs:
// the error about a file that is not there would show them.
func checkFileNames(env func(string) string, names ...string) error {
	for _, name := range names {
		// A token begins with {" in base64; a certificate has lines, or is long.
		if v := env(name); strings.HasPrefix(v, "eyJ") || strings.Contains(v, "\n") || len(v) > 1024 {
			return cli.Usagef("%s must name a file; it seems to hold what should be in that file", name)
		}
	}
	return nil
}

// plain tells whether a URL leads over a network without TLS.
func plain(raw string) bool {
	u, err := url.Parse(raw)
	if err != nil || !strings.EqualFold(u.Scheme, "http") {
		return false
	}
	addr, err := netip.ParseAddr(u.Hostname())
	return !strings.EqualFold(u.Hostname(), "localhost") && (err != nil || !addr.IsLoopback())
}

// Simulated makes the configuration of a worker against a simulator.
func (f *WorkerFlags) Simulated(rdb redis.UniversalClient, s *Simulator, log *slog.Logger) tasks.WorkerConfig {
	cfg := f.base(rdb, "simulated", log)
	cfg.App = "simulated"
	cfg.Graph = graph.Config{BaseURL: s.URL, Tokens: s}
	return cfg
}

func (f *WorkerFlags) base(rdb redis.UniversalClient, tenant string, log *slog.Logger) tasks.WorkerConfig {
	return tasks.WorkerConfig{
		Redis: rdb, Tenant: tenant, Concurrency: *f.concurrency, Rate: *f.rate,
		MaxAttempts: *f.maxAttempts, AcceptOnly: !*f.confirm, ConfirmTimeout: *f.confirmTimeout,
		ShutdownTimeout: *f.Shutdown, Version: cli.Version(), Log: log,
	}
}

// TenantFlag declares --tenant-id.
func TenantFlag(fs *pflag.FlagSet) *string {
	return fs.String("tenant-id", "", "tenant of rows that name none")
}
