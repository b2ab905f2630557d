package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	riverqueue "github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"rollcall/bench/internal/stand"
	"rollcall/bench/internal/work"
)

// change is a row as River's job.
type change struct{ work.Row }

// Kind names the job.
func (change) Kind() string { return "change" }

// river enqueues with River, a thousand rows at a time, into a PostgreSQL of its own.
func river(ctx context.Context, st *stand.Stand, rows []work.Row, _ string) (took time.Duration, err error) {
	pg, err := startPostgres(ctx, st)
	if err != nil {
		return 0, err
	}
	pool, err := pgxpool.New(ctx, pg)
	if err != nil {
		return 0, err
	}
	defer pool.Close()
	driver := riverpgxv5.New(pool)
	m, err := rivermigrate.New(driver, nil)
	if err != nil {
		return 0, err
	}
	if _, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return 0, err
	}
	client, err := riverqueue.NewClient[pgx.Tx](driver, &riverqueue.Config{})
	if err != nil {
		return 0, err
	}
	began := time.Now()
	for part := range slices.Chunk(rows, 1000) {
		many := make([]riverqueue.InsertManyParams, len(part))
		for i, r := range part {
			many[i].Args = change{r}
		}
		if _, err := client.InsertMany(ctx, many); err != nil {
			return 0, err
		}
	}
	return time.Since(began), nil
}

// startPostgres makes a server in the stand's directory, with Debian's settings but
// for its socket, and returns how to connect. It does not run as root.
func startPostgres(ctx context.Context, st *stand.Stand) (url string, err error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return "", fmt.Errorf("PostgreSQL is not installed (the Debian package postgresql)")
	}
	bin := filepath.Dir(found[len(found)-1])
	home := filepath.Join(st.Dir, "postgres")
	if err := os.Mkdir(home, 0o700); err != nil {
		return "", err
	}
	name, as := "root", []string{}
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if os.Getuid() == 0 {
		name = "postgres"
		as = []string{"setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"}
		if out, err := exec.CommandContext(ctx, "chown", "postgres:postgres", home).CombinedOutput(); err != nil {
			return "", fmt.Errorf("%w: %s", err, out)
		}
		if err := os.Chmod(st.Dir, 0o711); err != nil { //nolint:gosec // the user has to get through
			return "", err
		}
	}
	data := filepath.Join(home, "data")
	run := func(command string, args ...string) []string {
		return slices.Concat(as, []string{filepath.Join(bin, command)}, args)
	}
	line := run("initdb", "-D", data, "-A", "trust", "-E", "UTF8")
	if err := st.Run(ctx, nil, line[0], line[1:]...); err != nil {
		return "", err
	}
	line = run("postgres", "-D", data, "-k", home, "-h", "")
	if _, err := st.Start(ctx, nil, line[0], line[1:]...); err != nil {
		return "", err
	}
	url = "host=" + home + " user=" + name + " dbname=postgres"
	for range 100 {
		conn, err := pgx.Connect(ctx, url)
		if err == nil {
			return url, conn.Close(ctx)
		}
		time.Sleep(100 * time.Millisecond)
	}
	return "", fmt.Errorf("PostgreSQL does not answer")
}
