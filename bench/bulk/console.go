package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"rollcall/bench/internal/stand"
)

// console are the pages about a large batch that has finished, with some rows that
// failed: what one answer takes, and what it takes until a search is over.
func (b *bench) console(ctx context.Context) error {
	file, err := b.file(deletes, b.rows)
	if err != nil {
		return err
	}
	return b.onStand(ctx, func(st *stand.Stand) error {
		if err := st.StartSim(ctx, "--roster", file, "--latency", "0s", "--fault", "delete.internal=0.0002"); err != nil {
			return err
		}
		env, err := token(st)
		if err != nil {
			return err
		}
		const secret = "a token of this measurement alone"
		name := filepath.Join(st.Dir, "console")
		if err := os.WriteFile(name, []byte(secret), 0o600); err != nil {
			return err
		}
		if err := st.Run(ctx, env, st.Command("enqueue"), file); err != nil {
			return err
		}
		env = append(env, "ROLLCALL_CONSOLE_TOKEN_FILE="+name)
		worker, err := st.Start(ctx, env, st.Command("worker"), "--graph-url", st.Sim.URL, "--http", "127.0.0.1:0", "--max-attempts", "1")
		if err != nil {
			return err
		}
		address := regexp.MustCompile(`address=(\S+)`)
		for !address.MatchString(worker.Said()) {
			if err := errors.Join(worker.Running(), sleep(ctx, 20*time.Millisecond)); err != nil {
				return err
			}
		}
		for {
			s, err := statusOf(ctx, st)
			if err != nil {
				return err
			}
			if s.Pending == 0 {
				fmt.Printf("\noutcomes: %v\n", s.Outcomes)
				break
			}
			if err := sleep(ctx, 2*time.Second); err != nil {
				return err
			}
		}
		id, err := st.RunFor(ctx, env, st.Command("batch"), "list")
		if err != nil {
			return err
		}
		batch := strings.Fields(strings.SplitN(id.Said(), "\n", 2)[1])[0]
		v := &visitor{addr: "http://" + address.FindStringSubmatch(worker.Said())[1], token: secret}
		var lines [][]string
		for _, page := range []struct{ name, path string }{
			{"batches", "/"},
			{"the batch", "/batch/" + batch},
			{"its live part", "/batch/" + batch + "?live"},
			{"rows from the middle", fmt.Sprintf("/batch/%s?from=%d", batch, b.rows/2)},
			{"failed rows", "/batch/" + batch + "?outcome=failed"},
			{"an outcome that none has", "/batch/" + batch + "?outcome=superseded"},
			{"a text that none has", "/batch/" + batch + "?text=nobody+has+this"},
			{"a call that none is", "/batch/" + batch + "?call=nobody"},
			{"fleet", "/fleet"},
		} {
			var took, whole []float64
			answers := 0
			for range 2*b.repeat + 1 {
				began := time.Now()
				answers = 0
				for path := page.path; path != ""; answers++ {
					one := time.Now()
					if path, err = v.get(ctx, path); err != nil {
						return err
					}
					took = append(took, ms(time.Since(one)))
					if !strings.Contains(page.name, "none") {
						path = ""
					}
				}
				whole = append(whole, ms(time.Since(began)))
			}
			lines = append(lines, []string{page.name, thousands(median(took)) + " ms", thousands(slices.Max(took)) + " ms", fmt.Sprint(answers), thousands(median(whole)) + " ms"})
		}
		var took []float64
		for range b.repeat {
			p, err := st.RunFor(ctx, env, st.Command("batch"), "report", "--format", "html")
			if err != nil {
				return err
			}
			took = append(took, ms(p.Took()))
		}
		lines = append(lines, []string{"batch report --format html", thousands(median(took)) + " ms", thousands(slices.Max(took)) + " ms", "", ""})
		table(fmt.Sprintf("Pages about a batch of %s rows", thousands(float64(b.rows))), []string{"", "an answer, median", "slowest", "answers to the end", "in all"}, lines)
		return nil
	})
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// visitor looks at the console with its token.
type visitor struct{ addr, token string }

// get reads a page, and gives the address of where its search goes on.
func (v *visitor) get(ctx context.Context, path string) (next string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.addr+path, nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+v.token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 16<<20))
	if err != nil || res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: status %d, %w", path, res.StatusCode, err)
	}
	_, rest, ok := strings.Cut(string(body), `rel="next" href="`)
	if !ok {
		return "", nil
	}
	next, _, _ = strings.Cut(rest, `"`)
	return strings.ReplaceAll(strings.TrimSuffix(next, "#rows"), "&amp;", "&"), nil
}
