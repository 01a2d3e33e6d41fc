package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/metricsql"
	"github.com/goccy/go-yaml"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"gatehouse/internal/api"
	"gatehouse/internal/dbtest"
	"gatehouse/internal/servertest"
)

// TestDashboardAndAlertsAskForWhatThereIs holds every metric and label of the dashboard and the alerts against a scrape of
// a server that has done a little of everything.
func TestDashboardAndAlertsAskForWhatThereIs(t *testing.T) {
	scraped := scrapeBusyServer(t)
	for where, expression := range allExpressions(t) {
		for _, s := range selectorsOf(t, expression) {
			known, ok := scraped[s.metric]
			if !ok {
				t.Errorf("%s: there is no metric %s", where, s.metric)
			}
			for _, label := range s.labels {
				if _, has := known[label]; ok && !has {
					t.Errorf("%s: %s has no label %s", where, s.metric, label)
				}
			}
		}
	}
}

// TestAlertsNameOperationsOfTheContract finds what a rename of an operation would silently break.
func TestAlertsNameOperationsOfTheContract(t *testing.T) {
	document, err := api.GetSpec()
	if err != nil {
		t.Fatal(err)
	}
	var operations []string
	for _, item := range document.Paths.Map() {
		for _, operation := range item.Operations() {
			operations = append(operations, operation.OperationID)
		}
	}
	for where, expression := range allExpressions(t) {
		for _, s := range selectorsOf(t, expression) {
			if !strings.HasPrefix(s.metric, "gatehouse_http_") || s.operations == "" {
				continue
			}
			for _, name := range strings.Split(s.operations, "|") {
				if !slices.Contains(operations, name) {
					t.Errorf("%s: the contract has no operation %s", where, name)
				}
			}
		}
	}
}

// selector is what an expression takes of a metric.
type selector struct {
	metric     string
	labels     []string // by which it chooses, groups or joins
	operations string   // that it chooses or leaves out
}

func selectorsOf(t *testing.T, expression string) (selectors []selector) {
	t.Helper()
	parsed, err := metricsql.Parse(expression)
	if err != nil {
		t.Fatalf("%v\n%s", err, expression)
	}
	take := func(part metricsql.Expr, labels []string) {
		metricsql.VisitAll(part, func(e metricsql.Expr) {
			if m, ok := e.(*metricsql.MetricExpr); ok {
				selectors = append(selectors, selectorFromExpr(m, labels))
			}
		})
	}
	take(parsed, nil)
	metricsql.VisitAll(parsed, func(e metricsql.Expr) {
		switch e := e.(type) {
		case *metricsql.AggrFuncExpr:
			for _, arg := range e.Args {
				take(arg, e.Modifier.Args)
			}
		case *metricsql.BinaryOpExpr:
			take(e, e.GroupModifier.Args)
		}
	})
	return selectors
}

func selectorFromExpr(m *metricsql.MetricExpr, labels []string) selector {
	s := selector{labels: slices.Clone(labels)}
	for _, filters := range m.LabelFilterss {
		for _, filter := range filters {
			switch filter.Label {
			case "__name__":
				s.metric = filter.Value
				continue
			case "operation":
				s.operations = filter.Value
			}
			s.labels = append(s.labels, filter.Label)
		}
	}
	return s
}

// scrape is what a server tells: by metric, its labels and their values.
type scrape map[string]map[string][]string

// ofPrometheus are labels that Prometheus itself gives to each series.
var ofPrometheus = []string{"job", "instance"}

// scrapeBusyServer lets a server with everything that has metrics do a little of all.
func scrapeBusyServer(t *testing.T) scrape {
	t.Helper()
	sms, redis, c := newSMSReceiver(t), dbtest.NewRedis(t), servertest.NewCertificate(t, publicName)
	p := start(t, slices.Concat([]string{
		"--mode", "production", "--public-url", publicURL, "--secret-file", newSecret(t, strings.Repeat("s3cret-", 6)),
		"--data-dir", t.TempDir(), "--tls-cert", c.File, "--tls-key", c.KeyFile, "--redirect-addr", "127.0.0.1:0", "--redis", redis.URL,
		"--backup-to", "file://" + t.TempDir(), "--backup-every", "1h",
	}, sms.args())...)
	app, who := newHTTPSClient(t, p, poolOf(c), true), someone{userPhone}
	code := sms.ask(t, app, who, "register")
	messageOf[string](t, app.postJSON("/users/regist", who.form("password", "demo123456", "code", code)))
	uploadAndLoad(t, app, who.logIn(t, app).bearer())
	app.get("/no/such/path").wantError(t, 404, 9004)

	admin, text := newAdmin(t, p), ""
	eventually(t, "the first backup is made", func() bool {
		text = admin.get("/metrics").body
		return !strings.Contains(text, "gatehouse_backup_last_success_timestamp_seconds 0\n")
	})
	if want := fmt.Sprintf("gatehouse_certificate_expiry_timestamp_seconds %v\n", float64(c.X509.NotAfter.Unix())); !strings.Contains(text, want) {
		t.Errorf("the scrape lacks %s", want)
	}
	told := readScrape(t, text)
	told["up"] = readScrape(t, "up 1\n")["up"] // Prometheus makes it
	return told
}

// readScrape reads the text form of metrics, those of histograms with the names that they have in expressions.
func readScrape(t *testing.T, text string) scrape {
	t.Helper()
	parse := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parse.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatalf("read a scrape: %v", err)
	}
	told := scrape{}
	for name, family := range families {
		known := map[string][]string{}
		for _, label := range ofPrometheus {
			known[label] = nil
		}
		for _, metric := range family.Metric {
			for _, label := range metric.Label {
				known[label.GetName()] = append(known[label.GetName()], label.GetValue())
			}
		}
		told[name] = known
		if family.GetType() == dto.MetricType_HISTOGRAM || family.GetType() == dto.MetricType_SUMMARY {
			told[name+"_sum"], told[name+"_count"] = known, known
			told[name+"_bucket"] = maps.Clone(known)
			told[name+"_bucket"]["le"] = nil
		}
	}
	return told
}

// allExpressions are those of the dashboard and the alerts, by where they are.
func allExpressions(t *testing.T) map[string]string {
	t.Helper()
	all := dashboardExpressions(t)
	maps.Copy(all, alertExpressions(t))
	if len(all) < 60 {
		t.Fatalf("there are %d expressions only", len(all))
	}
	return all
}

type dashboard struct {
	Templating struct{ List []struct{ Name string } }
	Panels     []panel
}

type panel struct {
	Type, Title, Description string
	Targets                  []struct{ Expr string }
}

var grafanaVariable = regexp.MustCompile(`\$\{?(\w+)\}?`)

func dashboardExpressions(t *testing.T) map[string]string {
	t.Helper()
	var d dashboard
	readFile(t, "deploy/grafana/gatehouse.json", json.Unmarshal, &d)
	stand := map[string]string{"__rate_interval": "5m"}
	for _, v := range d.Templating.List {
		stand[v.Name] = ".*"
	}
	expressions := map[string]string{}
	for _, p := range d.Panels {
		if p.Type == "row" {
			continue
		}
		if p.Description == "" || len(p.Targets) == 0 {
			t.Errorf("panel %q lacks a description or an expression", p.Title)
		}
		for i, target := range p.Targets {
			expressions[fmt.Sprintf("panel %q, %d", p.Title, i)] = grafanaVariable.ReplaceAllStringFunc(target.Expr, func(name string) string {
				value, ok := stand[strings.Trim(name, "${}")]
				if !ok {
					t.Errorf("panel %q: there is no variable %s", p.Title, name)
				}
				return value
			})
		}
	}
	return expressions
}

type alertRules struct {
	Groups []struct {
		Rules []struct {
			Alert, Expr         string
			Labels, Annotations map[string]string
		}
	}
}

func alertExpressions(t *testing.T) map[string]string {
	t.Helper()
	var rules alertRules
	readFile(t, "deploy/prometheus/alerts.yml", func(b []byte, v any) error { return yaml.Unmarshal(b, v) }, &rules)
	expressions := map[string]string{}
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			expressions["alert "+rule.Alert] = rule.Expr
			if rule.Annotations["summary"] == "" || rule.Annotations["description"] == "" || rule.Labels["severity"] == "" {
				t.Errorf("alert %s lacks a summary, a description or a severity", rule.Alert)
			}
		}
	}
	return expressions
}

func readFile(t *testing.T, name string, unmarshal func([]byte, any) error, into any) {
	t.Helper()
	content, err := os.ReadFile(name)
	if err == nil {
		err = unmarshal(content, into)
	}
	if err != nil {
		t.Fatalf("read %s: %v", name, err)
	}
}

// TestPromtool checks the syntax with Prometheus' own tool, and plays what it would see.
func TestPromtool(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil && !dbtest.NoSkip() {
		fmt.Fprintln(os.Stderr, "SKIP: no promtool, so whether alerts fire is NOT tested: install prometheus (Debian)")
		t.Skip("SKIP: no promtool")
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"check", "config", "prometheus.yml"}, {"test", "rules", "alerts_test.yml"}, {"check", "rules", dashboardAsRules(t)},
	} {
		check := exec.Command(promtool, args...)
		check.Dir = "deploy/prometheus"
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// dashboardAsRules writes the expressions of the dashboard as what promtool checks.
func dashboardAsRules(t *testing.T) (file string) {
	t.Helper()
	var rules []map[string]string
	for _, expression := range dashboardExpressions(t) {
		rules = append(rules, map[string]string{"record": "panel:expression", "expr": expression})
	}
	content, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "dashboard.yml")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
