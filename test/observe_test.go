//go:build integration || endurance

package test

import (
	"bufio"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"rollcall/internal/testutil"
)

// observed is a worker whose metrics are looked at.
type observed struct {
	*process
	url string
}

var servesAt = regexp.MustCompile(`serving .*address"?[=:]"?(127\.0\.0\.1:\d+)`)

// observe starts a worker that serves /metrics on a free port.
func observe(t testing.TB, env []string, args ...string) *observed {
	t.Helper()
	p := start(t, t.TempDir(), env, "worker", append([]string{"--http", "127.0.0.1:0"}, args...)...)
	o := &observed{process: p}
	testutil.Eventually(t, "the worker serves", func() bool {
		if m := servesAt.FindStringSubmatch(p.err.String()); m != nil {
			o.url = "http://" + m[1]
		}
		return o.url != ""
	})
	return o
}

// exposition is what /metrics tells.
type exposition struct {
	types  map[string]string              // by name
	labels map[string]map[string]struct{} // names of labels, by name
	values map[string]float64             // by name and labels, as they are written
}

var sample = regexp.MustCompile(`^([a-z_:A-Z0-9]+)(\{.*\})? (\S+)( [0-9.]+)?$`)

var labelName = regexp.MustCompile(`(\w+)="(?:[^"\\]|\\.)*"`)

// scrape asks for the metrics.
func (o *observed) scrape(t testing.TB) exposition {
	t.Helper()
	resp, err := client.Get(o.url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
	e := exposition{map[string]string{}, map[string]map[string]struct{}{}, map[string]float64{}}
	lines := bufio.NewScanner(io.LimitReader(resp.Body, maxAnswer))
	for lines.Scan() {
		line := lines.Text()
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, typ, _ := strings.Cut(rest, " ")
			e.types[name], e.labels[name] = typ, map[string]struct{}{}
			continue
		}
		if strings.HasPrefix(line, "#") {
			continue
		}
		m := sample.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("no sample: %s", line)
		}
		value, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			t.Fatal(err)
		}
		e.values[m[1]+m[2]] = value
		name := m[1]
		if e.types[name] == "" { // of a histogram
			name = name[:strings.LastIndexByte(name, '_')]
		}
		for _, l := range labelName.FindAllStringSubmatch(m[2], -1) {
			if l[1] != "le" {
				e.labels[name][l[1]] = struct{}{}
			}
		}
	}
	if lines.Err() != nil {
		t.Fatal(lines.Err())
	}
	return e
}

// until waits until a metric is as wanted, and returns what there is then.
func (o *observed) until(t testing.TB, what string, wanted func(e exposition) bool) (e exposition) {
	t.Helper()
	testutil.Eventually(t, what, func() bool {
		e = o.scrape(t)
		return wanted(e)
	})
	return e
}

// moved waits until each of the metrics has been above 0, at some time.
func (o *observed) moved(t testing.TB, names ...string) {
	t.Helper()
	defer func() {
		if len(names) > 0 {
			t.Logf("these did not move: %s", strings.Join(names, " "))
		}
	}()
	testutil.Eventually(t, "all have moved", func() bool {
		e := o.scrape(t)
		names = slices.DeleteFunc(names, func(name string) bool { return e.values[name] > 0 })
		return len(names) == 0
	})
}
