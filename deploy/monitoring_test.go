// Package deploy holds what is installed beside callsync. Its tests hold that to
// what callsync is.
package deploy

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/callsync/callsync/admin"
)

const (
	rulesFile     = "prometheus/callsync.rules.yml"
	ruleTestsFile = "prometheus/callsync.rules_test.yml"
	dashboardFile = "grafana/callsync.json"
)

// metrics are the names callsync has, watched journal and loops included.
func metrics(t *testing.T) []string {
	t.Helper()
	m := admin.NewMetrics()
	admin.New(admin.Options{Metrics: m})
	return m.Names()
}

var metricName = regexp.MustCompile(`\bcallsync_[a-z0-9_]+`)

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A misspelt or renamed metric makes an alert that never fires, without an error
// anywhere.
func TestMetricsExist(t *testing.T) {
	names := metrics(t)
	for _, file := range []string{rulesFile, ruleTestsFile, dashboardFile} {
		found := metricName.FindAllString(read(t, file), -1)
		if len(found) < 10 {
			t.Errorf("%s names %d metrics", file, len(found))
		}
		for _, name := range found {
			if !slices.Contains(names, name) {
				t.Errorf("%s: there is no metric %s", file, name)
			}
		}
	}
	// Nothing that is counted is nowhere to be seen.
	shown := read(t, dashboardFile) + read(t, rulesFile)
	for _, name := range names {
		base := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_sum"), "_count"), "_bucket")
		if strings.HasPrefix(name, "callsync_") && name != "callsync_start_timestamp_seconds" && !strings.Contains(shown, base) {
			t.Errorf("neither the dashboard nor the rules show %s", name)
		}
	}
}

// The document lists the metrics there are, and no others.
func TestDocumentListsMetrics(t *testing.T) {
	var listed, want []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(callsync_[a-z_]+)` \\|").FindAllStringSubmatch(read(t, "../docs/monitoring.md"), -1) {
		listed = append(listed, row[1])
	}
	for _, name := range metrics(t) {
		name = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_sum"), "_count"), "_bucket")
		if strings.HasPrefix(name, "callsync_") {
			want = append(want, name)
		}
	}
	slices.Sort(listed)
	if want = slices.Compact(want); !slices.Equal(listed, want) {
		t.Errorf("docs/monitoring.md lists\n%q, there are\n%q", listed, want)
	}
}

// Every alert is made to fire by its tests, and to keep quiet.
func TestEveryAlertIsTested(t *testing.T) {
	quiet, firing, ok := strings.Cut(read(t, ruleTestsFile), "everything is wrong")
	if !ok {
		t.Fatal("the tests have lost their two parts")
	}
	alerts := regexp.MustCompile(`(?m)^\s+- alert: (\w+)$`).FindAllStringSubmatch(read(t, rulesFile), -1)
	if len(alerts) < 10 {
		t.Fatalf("%d alerts", len(alerts))
	}
	for _, a := range alerts {
		name := regexp.MustCompile(`alertname: ` + a[1] + `\b`)
		if !name.MatchString(quiet) || !name.MatchString(firing) {
			t.Errorf("%s is not tested both ways", a[1])
		}
	}
}

type dashboard struct {
	UID    string `json:"uid"`
	Panels []struct {
		ID      int    `json:"id"`
		Type    string `json:"type"`
		Title   string `json:"title"`
		GridPos struct{ H, W, X, Y int }
		Targets []struct {
			Expr string `json:"expr"`
		} `json:"targets"`
	} `json:"panels"`
	Templating struct {
		List []struct {
			Name string `json:"name"`
		} `json:"list"`
	} `json:"templating"`
}

func loadDashboard(t *testing.T) dashboard {
	t.Helper()
	var d dashboard
	if err := json.Unmarshal([]byte(read(t, dashboardFile)), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

var variable = regexp.MustCompile(`\$\{?([A-Za-z_]+)`)

func TestDashboard(t *testing.T) {
	d := loadDashboard(t)
	variables := []string{"__rate_interval", "__all"}
	for _, v := range d.Templating.List {
		variables = append(variables, v.Name)
	}
	for _, m := range variable.FindAllStringSubmatch(read(t, dashboardFile), -1) {
		if !slices.Contains(variables, m[1]) {
			t.Errorf("there is no variable %s", m[0])
		}
	}
	ids := map[int]bool{}
	taken := map[[2]int]string{}
	for _, p := range d.Panels {
		if p.ID == 0 || ids[p.ID] || p.Title == "" {
			t.Errorf("panel %d %q: its id is not its own, or it has no title", p.ID, p.Title)
		}
		ids[p.ID] = true
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %q shows nothing", p.Title)
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("panel %q has no room, or lies on %q", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
	if d.UID == "" || len(ids) < 20 {
		t.Errorf("dashboard %q has %d panels", d.UID, len(ids))
	}
}

// TestPromtool has Prometheus' own tool read the rules, run their tests, and
// read every query of the dashboard. $PROMTOOL is the command to run; without
// it, promtool is used if it is installed.
func TestPromtool(t *testing.T) {
	command := strings.Fields(os.Getenv("PROMTOOL"))
	if len(command) == 0 {
		path, err := exec.LookPath("promtool")
		if err != nil {
			t.Skip("promtool is not installed; .ci/run fetches it")
		}
		command = []string{path}
	}
	// The dashboard's queries as rules, which is what promtool can read.
	var b strings.Builder
	b.WriteString("groups:\n  - name: dashboard\n    rules:\n")
	n := 0
	for _, p := range loadDashboard(t).Panels {
		for _, target := range p.Targets {
			expr, err := json.Marshal(strings.ReplaceAll(target.Expr, "$__rate_interval", "5m"))
			if err != nil {
				t.Fatal(err)
			}
			n++
			fmt.Fprintf(&b, "      - record: dashboard:query%d\n        expr: %s\n", n, expr)
		}
	}
	queries := filepath.Join(t.TempDir(), "dashboard.yml")
	if err := os.WriteFile(queries, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"check", "rules", rulesFile},
		{"test", "rules", ruleTestsFile},
		{"check", "rules", queries},
		{"check", "config", "--syntax-only", "compose/prometheus.yml"},
	} {
		out, err := exec.Command(command[0], append(slices.Clone(command[1:]), args...)...).CombinedOutput()
		if err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}
