package setup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"rollcall/cmd/internal/cli"
	"rollcall/internal/ledger"
	"rollcall/internal/notify"
)

// secretFile is the variable that names the file with the secret of notices.
const secretFile = "ROLLCALL_NOTIFY_SECRET_FILE"

// maxSecret caps the secret, in bytes.
const maxSecret = 4 << 10

// DeliverTime is how long a command that has nothing else to do waits until notices
// are received.
const DeliverTime = 30 * time.Second

// Target reads --notify-url and the secret that goes with it; nil without the flag.
// A URL that cannot be used is a mistake in usage.
func (f *WorkerFlags) Target(c *cli.Command, flags *cli.FlagSet, log *slog.Logger) (*notify.Target, error) {
	if *f.notifyURL == "" {
		return nil, nil
	}
	secret, err := readSecret(c.Env)
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

// readSecret reads the secret, nil if there is none. Errors repeat nothing of the
// variable, in which the secret itself may stand by mistake.
func readSecret(env func(string) string) ([]byte, error) {
	name := env(secretFile)
	if name == "" {
		return nil, nil
	}
	if err := checkFileNames(env, secretFile); err != nil {
		return nil, err
	}
	secret, err := readFile(name)
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathErr.Err // without the name
	}
	if err != nil {
		return nil, fmt.Errorf("the file that %s names cannot be read: %w", secretFile, err)
	}
	if line, ended := bytes.CutSuffix(secret, []byte("\n")); ended { // as editors and echo leave it
		secret = bytes.TrimSuffix(line, []byte("\r"))
	}
	switch {
	case len(secret) == 0:
		return nil, fmt.Errorf("the file that %s names is empty", secretFile)
	case len(secret) > maxSecret:
		return nil, fmt.Errorf("the file that %s names is larger than %d bytes", secretFile, maxSecret)
	}
	return secret, nil
}

func readFile(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, maxSecret+3)) // with its line end
}
