package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"rollcall/bench/internal/stand"
)

// growth is what a row costs in batches of ten thousand to ten million.
func (b *bench) growth(ctx context.Context) error {
	var lines [][]string
	for n := 10_000; n <= b.most; n *= 10 {
		file, err := b.file(mixed, n)
		if err != nil {
			return err
		}
		var cost, cpu, peak, size []float64
		for range b.repeat {
			err := b.onStand(ctx, func(st *stand.Stand) error {
				before, err := memory(ctx, st)
				if err != nil {
					return err
				}
				p, err := st.RunFor(ctx, []string{"ROLLCALL_REDIS=" + st.RedisURL()}, st.Command("enqueue"), file)
				if err != nil {
					return err
				}
				cost = append(cost, p.Took().Seconds()*1e6/float64(n))
				cpu = append(cpu, p.CPU().Seconds()*1e6/float64(n))
				peak = append(peak, float64(p.Peak())/(1<<20))
				after, err := memory(ctx, st)
				size = append(size, float64(after-before)/float64(n))
				return err
			})
			if err != nil {
				return err
			}
		}
		lines = append(lines, []string{
			thousands(float64(n)), thousands(1e6 / median(cost)), fmt.Sprintf("%.2f", median(cost)), fmt.Sprintf("%.2f", median(cpu)),
			thousands(median(peak)), thousands(median(size)),
		})
	}
	table("Enqueue more and more rows, mixed", []string{"rows", "rows a second", "µs a row", "CPU µs a row", "peak MB", "bytes a row in Redis"}, lines)
	return nil
}

// away is how far Redis is in the part distance: a round trip takes twice as long.
const away = 1300 * time.Microsecond

// distance is enqueueing to a Redis across a network.
func (b *bench) distance(ctx context.Context) error {
	var lines [][]string
	for _, m := range []mix{deletes, invites} {
		file, err := b.file(m, b.rows)
		if err != nil {
			return err
		}
		var rates []float64
		for range b.repeat {
			err := b.onStand(ctx, func(st *stand.Stand) error {
				url, err := far(ctx, st.Redis)
				if err != nil {
					return err
				}
				p, err := st.RunFor(ctx, []string{"ROLLCALL_REDIS=redis://" + url + "/0"}, st.Command("enqueue"), file)
				if err != nil {
					return err
				}
				rates = append(rates, rate(b.rows, p.Took()))
				return nil
			})
			if err != nil {
				return err
			}
		}
		lines = append(lines, []string{string(m), thousands(median(rates)), spread(rates)})
	}
	table(fmt.Sprintf("Enqueue %s rows, Redis %s away", thousands(float64(b.rows)), 2*away), []string{"", "rows a second", "from, to"}, lines)
	return nil
}

// far is the address of a server that hands everything on, either way, after a
// while.
func far(ctx context.Context, to string) (addr string, err error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	context.AfterFunc(ctx, func() { _ = l.Close() })
	go func() {
		for {
			here, err := l.Accept()
			if err != nil {
				return
			}
			var d net.Dialer
			there, err := d.DialContext(ctx, "tcp", to)
			if err != nil {
				_ = here.Close()
				continue
			}
			go delayed(there, here)
			go delayed(here, there)
		}
	}()
	return l.Addr().String(), nil
}

// delayed copies with a delay, but as much at once as comes.
func delayed(to io.WriteCloser, from io.Reader) {
	type part struct {
		due  time.Time
		text []byte
	}
	parts := make(chan part, 4096)
	go func() {
		defer to.Close()
		for p := range parts {
			time.Sleep(time.Until(p.due))
			if _, err := to.Write(p.text); err != nil {
				for range parts {
				}
				return
			}
		}
	}()
	defer close(parts)
	for {
		text := make([]byte, 64<<10)
		n, err := from.Read(text)
		if n > 0 {
			parts <- part{time.Now().Add(away), text[:n]}
		}
		if err != nil {
			return
		}
	}
}
