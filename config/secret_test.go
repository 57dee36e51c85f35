package config_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/callsync/callsync/config"
)

func TestSecretSources(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"newline": "from file\r\n", "bare": "from file", "spaces": " s \n", "empty": "\n", "lines": "a\nb\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("TEST_SECRET", "from env")
	t.Setenv("TEST_EMPTY", "")
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	tests := []struct{ ref, want, err string }{
		{"env:TEST_SECRET", "from env", ""},
		{"env:TEST_MISSING", "", "the environment variable TEST_MISSING is not set"},
		{"env:TEST_EMPTY", "", "the environment variable TEST_EMPTY is empty"},
		{"env:", "", "names no variable"},
		{"file:" + dir + "/newline", "from file", ""},
		{"file:" + dir + "/bare", "from file", ""},
		{"file:" + dir + "/spaces", " s ", ""},
		{"file:" + dir + "/empty", "", "is empty"},
		{"file:" + dir + "/lines", "", "line breaks"},
		{"file:" + dir + "/missing", "", "no such file"},
		{"file:", "", "names no file"},
		{"cred:bare", "from file", ""},
		{"cred:missing", "", "no such file"},
		{"cred:../" + filepath.Base(dir) + "/bare", "", "must name a credential"},
		{"literal:with colon", "literal:with colon", ""},
		{"tab\tinside", "", "control characters"},
	}
	for _, tt := range tests {
		c, err := config.Load(write(t, fmt.Sprintf("[receiver]\napi_keys = [%q]\n", tt.ref)))
		switch {
		case tt.err != "":
			if err == nil || !strings.Contains(err.Error(), tt.err) || !strings.Contains(err.Error(), "config.toml:2:13: receiver.api_keys[0]: ") {
				t.Errorf("%s: error %v, want %q", tt.ref, err, tt.err)
			}
		case err != nil:
			t.Errorf("%s: %v", tt.ref, err)
		case c.Receiver.APIKeys[0].Reveal() != tt.want:
			t.Errorf("%s: %q, want %q", tt.ref, c.Receiver.APIKeys[0].Reveal(), tt.want)
		}
	}
	if err := os.Unsetenv("CREDENTIALS_DIRECTORY"); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(write(t, "[receiver]\napi_keys = ['cred:x']\n")); err == nil || !strings.Contains(err.Error(), "LoadCredential=x") {
		t.Errorf("without a credentials directory: %v", err)
	}
}

func TestWithoutSecrets(t *testing.T) {
	c, err := config.Load(write(t, `
[receiver]
api_keys = ["env:TEST_NOT_SET", "literal"]
[destinations.a]
type = "x"
access_token = "file:missing"
[destinations.b]
type = "x"
oauth = { client_id = "id", client_secret = "cred:missing", key_file = "missing.pem" }
`), config.WithoutSecrets())
	if err != nil {
		t.Fatal(err)
	}
	if n := len(c.Receiver.APIKeys); n != 2 || !c.Receiver.APIKeys[1].IsZero() || !c.Destinations["a"].AccessToken.IsZero() {
		t.Errorf("offline secrets are not empty: %d keys", n)
	}
	if filepath.Base(c.Destinations["b"].OAuth.KeyFile) != "missing.pem" {
		t.Error("the key file's path is lost")
	}
}

// A secret is in nothing that is printed, and in no error about it.
func TestSecretsDoNotPrint(t *testing.T) {
	const value = "hunter2hunter2"
	s := config.NewSecret(value)
	c := config.Config{Julian: config.Julian{APIKey: s}, Receiver: config.Receiver{APIKeys: []config.Secret{s}}}
	var printed []string
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		printed = append(printed, fmt.Sprintf(verb, s), fmt.Sprintf(verb, &s), fmt.Sprintf(verb, c), fmt.Sprintf(verb, &c))
	}
	asJSON, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	printed = append(printed, string(asJSON), fmt.Sprint(s), s.String())
	var log strings.Builder
	for _, h := range []slog.Handler{slog.NewJSONHandler(&log, nil), slog.NewTextHandler(&log, nil)} {
		slog.New(h).Info("m", "secret", s, "pointer", &s, "config", c)
	}
	printed = append(printed, log.String())
	_, err = config.Load(write(t, "[receiver]\napi_keys = ['"+value+"\u0001']\nmax_body = 1\n"))
	printed = append(printed, fmt.Sprint(err))
	_, err = config.Load(write(t, "[julian]\napi_key = \""+value+"\\u0001\"\n[admin]\ntoken = ['"+value+"']\nlisten='x'\n[receiver]\napi_keys = { a = '"+value+"' }"))
	printed = append(printed, fmt.Sprint(err))
	for _, p := range printed {
		if strings.Contains(p, value) || strings.Contains(p, fmt.Sprintf("%x", value)) || strings.Contains(p, fmt.Sprintf("%X", value)) {
			t.Errorf("printed: %s", p)
		}
	}
	if s.String() != "***" || s.Reveal() != value || (config.Secret{}).String() != "" {
		t.Error("a secret does not say that it is there")
	}
}
