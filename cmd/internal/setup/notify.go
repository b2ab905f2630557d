package setup

import (
	"context"
	"log/slog"
	"time"

	"rollcall/cmd/internal/cli"
	"rollcall/internal/ledger"
	"rollcall/internal/notify"
)

// secretFile is the variable that names the file with the secret of notices.
const secretFile = "ROLLCALL_NOTIFY_SECRET_FILE"

// DeliverTime is how long a command that has nothing else to do waits until notices
// are received.
const DeliverTime = 30 * time.Second

// Target reads --notify-url and the secret that goes with it; nil without the flag.
// A URL that cannot be used is a mistake in usage.
func (f *WorkerFlags) Target(c *cli.Command, flags *cli.FlagSet, log *slog.Logger) (*notify.Target, error) {
	if *f.notifyURL == "" {
		return nil, nil
	}
	secret, err := readSecret(c.Env, secretFile)
	if err != nil {
		return nil, err
	}
	t, err := notify.NewTarget(*f.notifyURL, secret, "rollcall/"+cli.Version())
	if err != nil {
		return nil, cli.Usagef("--notify-url: %w", err)
	}
	if flags.Given("notify-url") {
		c.Printf("notice: a webhook's URL on the command line can be read by other users of this machine: set ROLLCALL_NOTIFY_URL instead\n")
	}
	if plain(*f.notifyURL) {
		log.Warn("notices cross the network in clear, and with them the webhook's URL, as --notify-url is http and not on this machine: use https", "host", t.Host())
	}
	if !t.Signs() {
		log.Warn("notices are not signed, so their receiver cannot tell them from forged ones: name a file with a secret in "+secretFile, "host", t.Host())
	}
	return t, nil
}

// Notifier starts to note what finishes, for the target; nil if that is nil.
func Notifier(ctx context.Context, l *ledger.Ledger, t *notify.Target, log *slog.Logger) (*notify.Notifier, error) {
	if t == nil {
		return nil, nil
	}
	return notify.Start(ctx, l, t, log)
}
