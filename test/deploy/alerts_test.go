package deploy

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/rules"
	"sigs.k8s.io/yaml"
)

// testFile is what is read of promtool's files of tests; what else they could hold is
// an error.
type testFile struct {
	RuleFiles          []string       `json:"rule_files"`
	EvaluationInterval model.Duration `json:"evaluation_interval"`
	Tests              []ruleTest     `json:"tests"`
}

type ruleTest struct {
	Name        string         `json:"name"`
	Interval    model.Duration `json:"interval"`
	InputSeries []struct {
		Series string `json:"series"`
		Values string `json:"values"`
	} `json:"input_series"`
	AlertRuleTest []alertTest `json:"alert_rule_test"`
}

type alertTest struct {
	EvalTime  model.Duration `json:"eval_time"`
	Alertname string         `json:"alertname"`
	ExpAlerts []alert        `json:"exp_alerts"`
}

type alert struct {
	Labels      map[string]string `json:"exp_labels"`
	Annotations map[string]string `json:"exp_annotations"`
}

func (a alert) String() string {
	return labels.FromMap(a.Labels).String() + " " + labels.FromMap(a.Annotations).String()
}

const prometheusDir = "deploy/prometheus"

// TestAlerts runs rules_test.yml as 'promtool test rules' does, with Prometheus'
// storage, engine and rules. Each alert must fire in one test, and not in another.
func TestAlerts(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, prometheusDir, "rules_test.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var file testFile
	if err := yaml.UnmarshalStrict(text, &file); err != nil {
		t.Fatal(err)
	}
	fires, quiet := map[string]bool{}, map[string]bool{}
	for _, test := range file.Tests {
		for _, a := range test.AlertRuleTest {
			fires[a.Alertname] = fires[a.Alertname] || len(a.ExpAlerts) > 0
			quiet[a.Alertname] = quiet[a.Alertname] || len(a.ExpAlerts) == 0
		}
		t.Run(test.Name, func(t *testing.T) { runRuleTest(t, file, test) })
	}
	for _, r := range alertRules(t) {
		if !fires[r.Alert] || !quiet[r.Alert] {
			t.Errorf("%s: tested that it fires: %t, that it does not: %t", r.Alert, fires[r.Alert], quiet[r.Alert])
		}
	}
}

func runRuleTest(t *testing.T, file testFile, test ruleTest) {
	var load strings.Builder
	fmt.Fprintf(&load, "load %s\n", test.Interval)
	for _, s := range test.InputSeries {
		fmt.Fprintf(&load, "  %s %s\n", s.Series, s.Values)
	}
	loader, err := promqltest.NewLazyLoader(load.String(), promqltest.LazyLoaderOpts{EnableAtModifier: true, EnableNegativeOffset: true})
	if err != nil {
		t.Fatal(err)
	}
	defer loader.Close()
	every := time.Duration(file.EvaluationInterval)
	loader.SubqueryInterval = every
	manager := rules.NewManager(&rules.ManagerOptions{
		QueryFunc:  rules.EngineQueryFunc(loader.QueryEngine(), loader.Storage()),
		Appendable: loader.Storage(),
		Context:    t.Context(),
		NotifyFunc: func(context.Context, string, ...*rules.Alert) {},
		Logger:     promslog.NewNopLogger(),
		Parser:     parser.NewParser(parser.Options{}),
	})
	var files []string
	for _, name := range file.RuleFiles {
		files = append(files, filepath.Join(root, prometheusDir, name))
	}
	groups, errs := manager.LoadGroups(every, labels.EmptyLabels(), "", nil, false, files...)
	for _, err := range errs {
		t.Fatal(err)
	}
	var last time.Duration
	for _, a := range test.AlertRuleTest {
		last = max(last, time.Duration(a.EvalTime))
	}
	for at := time.Duration(0); at <= last; at += every {
		loader.WithSamplesTill(time.Unix(0, 0).Add(at), func(err error) {
			if err != nil {
				t.Fatal(err)
			}
			for _, g := range groups {
				g.Eval(loader.Context(), time.Unix(0, 0).Add(at))
				for _, r := range g.Rules() {
					if err := r.LastError(); err != nil {
						t.Fatalf("%s at %s: %v", r.Name(), at, err)
					}
				}
			}
		})
		for _, a := range test.AlertRuleTest {
			if time.Duration(a.EvalTime) == at {
				compareAlerts(t, a, groups)
			}
		}
	}
}

func compareAlerts(t *testing.T, want alertTest, groups map[string]*rules.Group) {
	t.Helper()
	var got, wanted []string
	for _, g := range groups {
		for _, r := range g.AlertingRules() {
			if r.Name() != want.Alertname {
				continue
			}
			for _, a := range r.ActiveAlerts() {
				if a.State == rules.StateFiring {
					l := a.Labels.Map()
					delete(l, labels.AlertName)
					got = append(got, alert{l, a.Annotations.Map()}.String())
				}
			}
		}
	}
	for _, a := range want.ExpAlerts {
		wanted = append(wanted, a.String())
	}
	slices.Sort(got)
	slices.Sort(wanted)
	if !slices.Equal(got, wanted) {
		t.Errorf("%s at %s is\n  %s\nwant\n  %s", want.Alertname, want.EvalTime, strings.Join(got, "\n  "), strings.Join(wanted, "\n  "))
	}
}
