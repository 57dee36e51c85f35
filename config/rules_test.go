package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/callsync/callsync/config"
)

// Each rule, with the line that breaks it added to a file that is good.
func TestRules(t *testing.T) {
	const receiver = "[receiver]\napi_keys = ['k']\n"
	const hubspot = "[destinations.hubspot]\ntype = 'hubspot'\n"
	tests := []struct{ source, want string }{
		{``, `1:1: receiver.api_keys: at least one key is needed: api_keys = ["env:JULIAN_API_KEY"]`},
		{"[receiver]\napi_keys = []", `2:1: receiver.api_keys: at least one key`},
		{"[receiver]\napi_keys = 'k'", `2:1: receiver.api_keys: must be a list of strings such as ["…"], is a string`},
		{"[receiver]\napi_keys = ['k', ' ']", `2:18: receiver.api_keys[1]: is empty`},
		{"receiver = 1", `1:1: receiver: must be a table [receiver], is a number`},
		{receiver + "listen = '8080'", `3:1: receiver.listen: must be host:port`},
		{receiver + "listen = '127.0.0.1:99999'", `3:1: receiver.listen: must be host:port`},
		{receiver + "listen = ':0'", `3:1: receiver.listen: port 0`},
		{receiver + "listen = ''", `3:1: receiver.listen: is empty`},
		{receiver + "path = 'hook'", `3:1: receiver.path: must be a path`},
		{receiver + "path = '/a?b'", `3:1: receiver.path: must be a path`},
		{receiver + "path = '/a/../b'", `3:1: receiver.path: must be a path`},
		{receiver + "max_body = '10 parsecs'", `3:1: receiver.max_body: "10 parsecs" is not a size`},
		{receiver + "max_body = '1GB'\nmax_body = '1'", `4:1: `},
		{receiver + "max_body = '2GiB'", `3:1: receiver.max_body: must be between 1KiB and 1GiB`},
		{receiver + "max_body = '9223372036854775807GiB'", `3:1: receiver.max_body: "9223372036854775807GiB" is not a size`},
		{receiver + "body_timeout = 30", `3:1: receiver.body_timeout: must be a duration in quotes such as "30s", is a number`},
		{receiver + "body_timeout = '30'", `3:1: receiver.body_timeout: "30" is not a duration`},
		{receiver + "body_timeout = '0s'", `3:1: receiver.body_timeout: must be between 1s and 1h`},
		{receiver + "tls_cert = 'c.pem'", `3:1: receiver.tls_cert: tls_cert and tls_key only work together`},
		{receiver + "tls_key = 'k.pem'", `3:1: receiver.tls_key: tls_cert and tls_key only work together`},
		{receiver + "[retention]\nbodies = '12h'", `4:1: retention.bodies: must be between 1d and 36525d`},
		{receiver + "[retention]\ndeliveries = '40000d'", `4:1: retention.deliveries: must be between 1d and 36525d`},
		{receiver + "[admin]\nlisten = '127.0.0.1:9180'", `4:1: admin.listen: a TCP address needs a token`},
		{receiver + "[admin]\nlisten = 'unix:'", `4:1: admin.listen: needs a path`},
		{receiver + "[admin]\nlisten = 'socket'", `4:1: admin.listen: must be host:port`},
		{receiver + "[julian]\nbase_url = 'http://julian.11x.ai'", `4:1: julian.base_url: plain http`},
		{receiver + "[alerts]\nurl = ['x']", `4:1: alerts.url: unknown key; did you mean urls?`},
		{receiver + "[alerts]\nurls = ['a', 'env:TEST_NOT_SET']", `4:14: alerts.urls[1]: the environment variable TEST_NOT_SET is not set`},
		{receiver + "[alerts]\nrepeat_interval = '0s'", `4:1: alerts.repeat_interval: must be between`},
		{receiver + "[alerts]\ndisk_free = '10KiB'", `4:1: alerts.disk_free: must be between 1MiB and`},
		{receiver + "[destinations.Hub]\ntype = 'x'", `3:15: destinations.Hub: a destination's name`},
		{receiver + "[destinations]\nhubspot = 1", `4:1: destinations.hubspot: must be a table [destinations.hubspot], is a number`},
		{receiver + "[destinations.hubspot]", `3:15: destinations.hubspot.type: is missing`},
		{receiver + hubspot + "base_url = 'ftp://x'", `5:1: destinations.hubspot.base_url: must start with https://`},
		{receiver + hubspot + "base_url = 'https://u:p@x'", `5:1: destinations.hubspot.base_url: must not hold a user`},
		{receiver + hubspot + "base_url = 'https://x?a=b'", `5:1: destinations.hubspot.base_url: must not have a query`},
		{receiver + hubspot + "base_url = 'api.hubapi.com'", `5:1: destinations.hubspot.base_url: must be an address`},
		{receiver + hubspot + "login_url = 'http://localhost.evil.com'", `5:1: destinations.hubspot.login_url: plain http`},
		{receiver + hubspot + "auto_setup = 'yes'", `5:1: destinations.hubspot.auto_setup: must be true or false, is a string`},
		{receiver + hubspot + "quota_share = 80", `5:1: destinations.hubspot.quota_share: must be more than 0 and at most 1`},
		{receiver + hubspot + "rate_per_second = nan", `5:1: destinations.hubspot.rate_per_second: must be more than 0`},
		{receiver + hubspot + "batch_size = 0", `5:1: destinations.hubspot.batch_size: must be more than 0`},
		{receiver + hubspot + "batch_size = 1.5", `5:1: destinations.hubspot.batch_size: must be a whole number, is a number`},
		{receiver + hubspot + "region = 'USA'", `5:1: destinations.hubspot.region: must be a two-letter country`},
		{receiver + hubspot + "api = 2026-03-01", `5:1: destinations.hubspot.api: must be a string, is a date or time`},
		{receiver + hubspot + "access_token = 't'\noauth = { client_id = 'x' }", `5:1: destinations.hubspot.access_token: access_token and an oauth table exclude each other`},
		{receiver + hubspot + "oauth = {}", `5:1: destinations.hubspot.oauth.client_id: is missing`},
		{receiver + hubspot + "oauth = { client_id = 'x', redirect_url = 'localhost' }", `5:28: destinations.hubspot.oauth.redirect_url: must be an address`},
		{receiver + hubspot + "oauth = { client_id = 'x', key_file = 'none.pem' }", `5:28: destinations.hubspot.oauth.key_file: cannot be read: no such file`},
		{receiver + hubspot + "oauth.client_idd = 'x'", `5:7: destinations.hubspot.oauth.client_idd: unknown key; did you mean client_id?`},
		{receiver + hubspot + "[destinations.hubspot.options]\na = [1]", `6:1: destinations.hubspot.options.a: must be a string, a number, true or false, is a list`},
		{receiver + "[[destinations]]\ntype = 'x'", `3:3: destinations: must be a table [destinations], is a list`},
		{receiver + `"weird key" = 1`, `3:1: receiver."weird key": unknown key`},
		{receiver + "x = ", `3:4: `},
		{"\xff", `1:1: `},
	}
	for _, tt := range tests {
		lines := problems(t, tt.source)
		if !strings.Contains(strings.Join(lines, "\n"), "config.toml:"+tt.want) {
			t.Errorf("%s\nis refused with\n%s\nwant %s", tt.source, strings.Join(lines, "\n"), tt.want)
		}
	}
}

func TestLoopbackMayBePlain(t *testing.T) {
	for _, host := range []string{"127.0.0.1:1", "127.9.9.9", "localhost:8000", "[::1]:1", "LOCALHOST"} {
		source := "[receiver]\napi_keys=['k']\n[destinations.a]\ntype='x'\nbase_url='http://" + host + "'\nlogin_url='http://" + host + "/'\n"
		if _, err := config.Load(write(t, source)); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
}

func TestWithTypes(t *testing.T) {
	source := "[receiver]\napi_keys=['env:K']\n[destinations.a]\ntype='hubspott'\n[destinations.b]\ntype='hubspot'\n"
	path := write(t, source)
	if _, err := config.Load(path, config.WithoutSecrets()); err != nil {
		t.Error(err)
	}
	_, err := config.Load(path, config.WithoutSecrets(), config.WithTypes([]string{"hubspot", "salesforce"}))
	want := path + `:4:1: destinations.a.type: there is no connector "hubspott"; did you mean "hubspot"?`
	if err == nil || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
}

func TestWithAlertURLs(t *testing.T) {
	t.Setenv("TEST_ALERT", "slak://hook:secret@webhook")
	path := write(t, "[receiver]\napi_keys=['k']\n[destinations.a]\ntype='x'\n[alerts]\nurls = ['ntfy://a/b', 'env:TEST_ALERT']\n")
	check := config.WithAlertURLs(func(url string) error {
		if strings.HasPrefix(url, "slak:") {
			return errors.New("names no service")
		}
		return nil
	})
	_, err := config.Load(path, check)
	if want := path + ":6:23: alerts.urls[1]: names no service"; err == nil || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
	if _, err := config.Load(path, check, config.WithoutSecrets()); err != nil {
		t.Errorf("without secrets: %v", err)
	}
}

func TestReadableSecretsWarn(t *testing.T) {
	t.Setenv("TEST_SECRET", "x")
	const from = "[receiver]\napi_keys=['env:TEST_SECRET']\n[destinations.a]\ntype='x'\naccess_token="
	for _, tt := range []struct {
		value string
		mode  os.FileMode
		warn  bool
	}{{"'literal'", 0o600, false}, {"'literal'", 0o644, true}, {"'env:TEST_SECRET'", 0o644, false}} {
		path := write(t, from+tt.value)
		if err := os.Chmod(path, tt.mode); err != nil {
			t.Fatal(err)
		}
		c, err := config.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		want := 0
		if tt.warn {
			want = 1
		}
		if len(c.Warnings) != want || tt.warn && !strings.Contains(c.Warnings[0], ":5:1: destinations.a.access_token: a secret stands") {
			t.Errorf("%s with mode %o: %q", tt.value, tt.mode, c.Warnings)
		}
	}
}

func TestMissingFile(t *testing.T) {
	if _, err := config.Load(filepath.Join(t.TempDir(), "none.toml")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func TestParseDuration(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"30s": 30 * time.Second, "36h": 36 * time.Hour, "30d": 720 * time.Hour, "1d12h": 36 * time.Hour, "1.5h": 90 * time.Minute, "0s": 0,
		"": -1, "d": -1, "30": -1, "-1d": -1, "-1h": -1, "1d-1h": -1, "1.5d": -1, "1dd": -1, "999999d": -1, "65535d": 65535 * 24 * time.Hour,
	} {
		got, err := config.ParseDuration(s)
		if want < 0 && err == nil || want >= 0 && (err != nil || got != want) {
			t.Errorf("%q: %v, %v", s, got, err)
		}
	}
}

func TestParseSize(t *testing.T) {
	for s, want := range map[string]int64{
		"0": 0, "512": 512, "512B": 512, "1KiB": 1024, "10MiB": 10 << 20, "10 MiB": 10 << 20, "1GiB": 1 << 30, "2kB": 2000, "2MB": 2e6, "1GB": 1e9,
		"": -1, "MiB": -1, "-1": -1, "1.5MiB": -1, "1TiB": -1, "1iB": -1, "99999999999GiB": -1, "0x10": -1, "1_000": -1,
	} {
		got, err := config.ParseSize(s)
		if want < 0 && err == nil || want >= 0 && (err != nil || got != want) {
			t.Errorf("%q: %v, %v", s, got, err)
		}
	}
}

// Whatever a file holds, loading it ends in a configuration or in problems that
// have a place in it.
func FuzzLoad(f *testing.F) {
	example, err := os.ReadFile("../config.toml.example")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(example)
	f.Add([]byte("[receiver]\napi_keys=['k',[{a=1}]]\n[destinations]\nx.y={z=[1]}\n[[destinations.q]]\n"))
	path := filepath.Join(f.TempDir(), "config.toml")
	f.Fuzz(func(t *testing.T, source []byte) {
		if err := os.WriteFile(path, source, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := config.Load(path, config.WithoutSecrets())
		if err == nil {
			if c.Receiver.MaxBody <= 0 || len(c.Receiver.APIKeys) == 0 {
				t.Fatalf("accepted: %+v", c)
			}
			return
		}
		var e *config.Error
		if !errors.As(err, &e) || len(e.Problems) == 0 {
			t.Fatalf("%T: %v", err, err)
		}
		lines := strings.Count(string(source), "\n") + 1
		for _, p := range e.Problems {
			if p.Line < 1 || p.Line > lines || p.Column < 1 || p.Text == "" {
				t.Fatalf("%+v in %d lines", p, lines)
			}
		}
	})
}
