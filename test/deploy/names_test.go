package deploy

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

// alertRules are the rules as Prometheus reads them.
func alertRules(t *testing.T) []rulefmt.Rule {
	t.Helper()
	groups, errs := rulefmt.ParseFile(filepath.Join(root, prometheusDir, "rules.yml"), false, model.UTF8Validation, parser.NewParser(parser.Options{}), promslog.NewNopLogger())
	for _, err := range errs {
		t.Fatal(err)
	}
	var all []rulefmt.Rule
	for _, g := range groups.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) == 0 {
		t.Fatal("there are no rules")
	}
	return all
}

// TestRunbook wants an entry in the runbook for each alert, and an alert for each entry.
func TestRunbook(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "runbook.md"))
	if err != nil {
		t.Fatal(err)
	}
	entries := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^## (Rollcall\w+)$`).FindAllStringSubmatch(string(text), -1) {
		entries[m[1]] = true
	}
	for _, r := range alertRules(t) {
		if !entries[r.Alert] {
			t.Errorf("the runbook has no entry for %s", r.Alert)
		}
		delete(entries, r.Alert)
		if got, want := r.Annotations["runbook_url"], "docs/runbook.md#"+strings.ToLower(r.Alert); got != want {
			t.Errorf("%s: runbook_url is %q, want %q", r.Alert, got, want)
		}
		if s := r.Labels["severity"]; s != "critical" && s != "warning" {
			t.Errorf("%s: severity is %q", r.Alert, s)
		}
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s: no summary or no description", r.Alert)
		}
	}
	for name := range entries {
		t.Errorf("the runbook has an entry for %s, which is no alert", name)
	}
}

// TestMetricsExist compares the metrics that rules and dashboard name with those that
// are documented.
func TestMetricsExist(t *testing.T) {
	exist := metrics(t)
	for _, r := range alertRules(t) {
		for name := range namesIn(t, r.Expr) {
			if !exist(name) {
				t.Errorf("%s names %s, which does not exist", r.Alert, name)
			}
		}
	}
	named := map[string]bool{}
	for _, q := range queries(t) {
		for name := range namesIn(t, q) {
			named[name] = true
			if !exist(name) {
				t.Errorf("the dashboard names %s, which does not exist: %s", name, q)
			}
		}
	}
	if len(named) < 20 {
		t.Errorf("the dashboard names %d metrics", len(named))
	}
}

// metrics tells which metrics exist: those of docs/metrics.md, and what Prometheus and
// its client have in any case.
func metrics(t *testing.T) func(name string) bool {
	t.Helper()
	all := map[string]bool{
		"up": true, "ALERTS": true, "go_goroutines": true, "process_cpu_seconds_total": true, "process_resident_memory_bytes": true,
	}
	text, err := os.ReadFile(filepath.Join(root, "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range regexp.MustCompile(`\brollcall_[a-z_]+`).FindAllString(string(text), -1) {
		all[name] = true
	}
	return func(name string) bool {
		base := name
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			base = strings.TrimSuffix(base, suffix)
		}
		return all[name] || all[base]
	}
}

// namesIn are the metrics that an expression names.
func namesIn(t *testing.T, expr string) map[string]bool {
	t.Helper()
	e, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	names := map[string]bool{}
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		s, ok := n.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		name := s.Name
		for _, m := range s.LabelMatchers {
			if m.Name == model.MetricNameLabel && m.Type == labels.MatchEqual {
				name = m.Value
			}
		}
		if name == "" {
			t.Errorf("%s selects without a name", expr)
		}
		names[name] = true
		return nil
	})
	return names
}

// queries are the queries of the dashboard, with its variables put in.
func queries(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "deploy", "grafana", "rollcall.json"))
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		UID, Title  string
		Annotations struct {
			List []struct{ Expr string }
		}
		Templating struct {
			List []struct {
				Definition string
			}
		}
		Panels []struct {
			ID      int
			Type    string
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	if dashboard.UID == "" || dashboard.Title == "" {
		t.Error("the dashboard has no uid or no title")
	}
	var all []string
	put := strings.NewReplacer("$__rate_interval", "5m", "$job", ".+")
	add := func(expr string) {
		if expr = put.Replace(expr); strings.Contains(expr, "$") {
			t.Errorf("a variable that is not known: %s", expr)
		}
		all = append(all, expr)
	}
	for _, a := range dashboard.Annotations.List {
		add(a.Expr)
	}
	for _, v := range dashboard.Templating.List {
		if m := regexp.MustCompile(`^label_values\(([a-z_]+), \w+\)$`).FindStringSubmatch(v.Definition); m != nil {
			add(m[1])
		}
	}
	ids := map[int]bool{}
	type cell struct{ x, y int }
	taken := map[cell]string{}
	for _, p := range dashboard.Panels {
		if ids[p.ID] {
			t.Errorf("two panels have the id %d", p.ID)
		}
		ids[p.ID] = true
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %q asks nothing", p.Title)
		}
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := cell{p.GridPos.X + x, p.GridPos.Y + y}
				if taken[at] != "" || at.x >= 24 {
					t.Fatalf("panel %q lies over %q, or beside the page", p.Title, taken[at])
				}
				taken[at] = p.Title
			}
		}
		for _, q := range p.Targets {
			add(q.Expr)
		}
	}
	return all
}
