package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/callsync/callsync/config"
)

// write puts a configuration into a folder of its own.
func write(t *testing.T, source string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// problems loads a configuration that must be refused and returns what is said,
// without the folder.
func problems(t *testing.T, source string) []string {
	t.Helper()
	_, err := config.Load(write(t, source))
	var e *config.Error
	if !errors.As(err, &e) {
		t.Fatalf("got error %v, want a *config.Error", err)
	}
	var lines []string
	for _, p := range e.Problems {
		p.File = filepath.Base(p.File)
		lines = append(lines, p.String())
	}
	return lines
}

func TestExampleLoads(t *testing.T) {
	c, err := config.Load("../config.toml.example", config.WithoutSecrets())
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(c.Names(), " "); got != "hubspot" {
		t.Errorf("destinations: %q", got)
	}
	if len(c.Warnings) != 0 {
		t.Errorf("warnings: %q", c.Warnings)
	}
}

// The commented keys of the example are real keys too, so that uncommenting one
// never fails. Comments of prose start with an upper-case letter or have no
// key.
func TestExampleLoadsWithEveryKey(t *testing.T) {
	source, err := os.ReadFile("../config.toml.example")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(source)) {
		bare := strings.TrimPrefix(line, "# ")
		key, _, isKey := strings.Cut(bare, "=")
		isKey = isKey && !strings.Contains(strings.TrimSpace(key), " ")
		if isKey || strings.HasPrefix(bare, "[destinations.") {
			line = bare
		}
		lines = append(lines, line)
	}
	whole := strings.Join(lines, "")
	c, err := config.Load(write(t, whole), config.WithoutSecrets())
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(c.Names(), " "); got != "hubspot salesforce" {
		t.Errorf("destinations: %q", got)
	}
	if c.Destinations["salesforce"].OAuth == nil {
		t.Error("the salesforce oauth table was not read")
	}
	if got := c.Destinations["hubspot"].Options["transcript"]; got != true {
		t.Errorf("options.transcript is %v", got)
	}
}

func TestDefaultsAndPaths(t *testing.T) {
	path := write(t, "[receiver]\napi_keys = ['k']\n")
	dir := filepath.Dir(path)
	got, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	want := &config.Config{
		File: path,
		Receiver: config.Receiver{
			Listen: "127.0.0.1:8080", Path: "/webhooks/julian", MaxBody: 10 << 20,
			APIKeys:       []config.Secret{config.NewSecret("k")},
			HeaderTimeout: 10 * time.Second, BodyTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
		},
		Store:        config.Store{Path: filepath.Join(dir, "callsync.db")},
		Admin:        config.Admin{Listen: "unix:" + filepath.Join(dir, "callsync.sock")},
		Julian:       config.Julian{BaseURL: "https://julian.11x.ai/api/v1"},
		Alerts:       defaultAlerts,
		Destinations: map[string]config.Destination{},
		Warnings:     []string{path + ":1:1: no [destinations.…] table: calls are journalled and go nowhere"},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(sameSecret)); diff != "" {
		t.Error(diff)
	}
}

func sameSecret(a, b config.Secret) bool { return a == b }

var defaultAlerts = config.Alerts{
	GroupWait: 30 * time.Second, GroupInterval: 5 * time.Minute, RepeatInterval: 24 * time.Hour,
	OldestUnsynced: 15 * time.Minute, DiskFree: 1 << 30,
}

func TestWholeFile(t *testing.T) {
	t.Setenv("TEST_OLD_KEY", "old")
	path := write(t, `
[receiver]
listen = ":8443"
path = "/in"
api_keys = ["env:TEST_OLD_KEY", "file:new.key"]
max_body = "2MiB"
tls_cert = "c.pem"
tls_key = "/etc/k.pem"
header_timeout = "1s"
body_timeout = "2s"
idle_timeout = "3s"
[store]
path = "data/j.db"
[admin]
listen = "127.0.0.1:9180"
token = "literal"
[julian]
base_url = "http://127.0.0.1:9/api/"
api_key = "j"
[alerts]
urls = ["env:TEST_OLD_KEY", "ntfy://ntfy.sh/t"]
group_wait = "0s"
group_interval = "1m"
repeat_interval = "2d"
oldest_unsynced = "1h"
disk_free = "500MiB"
[destinations.eu]
type = "hubspot"
mapping = "m.toml"
base_url = "https://api.hubapi.com/"
login_url = "https://app.hubspot.com"
api = "2026-03"
auto_setup = true
search_lag = "45s"
rate_per_second = 10
search_per_second = 2.5
quota_share = 0.5
batch_size = 50
region = "gb"
token_file = "t"
[destinations.eu.options]
transcript = true
limit = 3
[destinations.eu.oauth]
client_id = "id"
client_secret = "secret"
username = "u"
key_file = "k.pem"
redirect_url = "http://127.0.0.1:1/cb"
scopes = ["a", "b"]
`)
	dir := filepath.Dir(path)
	for name, content := range map[string]string{"new.key": "new\n", "k.pem": "PEM\nPEM\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	want := &config.Config{
		File: path,
		Receiver: config.Receiver{
			Listen: ":8443", Path: "/in", MaxBody: 2 << 20,
			APIKeys: []config.Secret{config.NewSecret("old"), config.NewSecret("new")},
			TLSCert: filepath.Join(dir, "c.pem"), TLSKey: "/etc/k.pem",
			HeaderTimeout: time.Second, BodyTimeout: 2 * time.Second, IdleTimeout: 3 * time.Second,
		},
		Store:  config.Store{Path: filepath.Join(dir, "data/j.db")},
		Admin:  config.Admin{Listen: "127.0.0.1:9180", Token: config.NewSecret("literal")},
		Julian: config.Julian{BaseURL: "http://127.0.0.1:9/api", APIKey: config.NewSecret("j")},
		Alerts: config.Alerts{
			URLs:          []config.Secret{config.NewSecret("old"), config.NewSecret("ntfy://ntfy.sh/t")},
			GroupInterval: time.Minute, RepeatInterval: 48 * time.Hour, OldestUnsynced: time.Hour, DiskFree: 500 << 20,
		},
		Destinations: map[string]config.Destination{"eu": {
			Name: "eu", Type: "hubspot", Mapping: filepath.Join(dir, "m.toml"),
			BaseURL: "https://api.hubapi.com", LoginURL: "https://app.hubspot.com",
			TokenFile: filepath.Join(dir, "t"), API: "2026-03", AutoSetup: true,
			SearchLag: 45 * time.Second, RatePerSecond: 10, SearchPerSecond: 2.5,
			QuotaShare: 0.5, BatchSize: 50, Region: "GB",
			Options: map[string]any{"transcript": true, "limit": int64(3)},
			OAuth: &config.OAuth{
				ClientID: "id", ClientSecret: config.NewSecret("secret"), Username: "u",
				KeyFile: filepath.Join(dir, "k.pem"), PrivateKey: config.NewSecret("PEM\nPEM\n"),
				RedirectURL: "http://127.0.0.1:1/cb", Scopes: []string{"a", "b"},
			},
		}},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(sameSecret)); diff != "" {
		t.Error(diff)
	}
	if network, address := got.Admin.Address(); network != "tcp" || address != "127.0.0.1:9180" {
		t.Errorf("admin address: %s %s", network, address)
	}
}

// Everything that is wrong is said at once, in the file's order, and where.
func TestProblemsAreReportedTogether(t *testing.T) {
	got := problems(t, `[receiver]
listn = "x"
max_body = 10
api_keys = ["env:TEST_NOT_SET", 3]
[destinations.hubspot]
type = "hubspot"
base_url = "http://api.hubapi.com"
oauth = { client_id = "ü", nope = 1 }
[destinations.other]
[recever]
`)
	want := []string{
		`config.toml:2:1: receiver.listn: unknown key; did you mean listen?`,
		`config.toml:3:1: receiver.max_body: must be a size in quotes such as "10MiB", is a number`,
		`config.toml:4:13: receiver.api_keys[0]: the environment variable TEST_NOT_SET is not set`,
		`config.toml:4:33: receiver.api_keys[1]: must be a string, is a number`,
		`config.toml:7:1: destinations.hubspot.base_url: plain http would send tokens and personal data in the clear; use https (http is for loopback only)`,
		`config.toml:8:28: destinations.hubspot.oauth.nope: unknown key`,
		`config.toml:9:15: destinations.other.type: is missing: type = "hubspot" or "salesforce"`,
		`config.toml:10:2: recever: unknown key; did you mean receiver?`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
