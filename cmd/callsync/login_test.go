package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/callsync/callsync/crm/sandbox/hubspotsim"
)

// TestLogin plays the person in the browser: it follows the address that login
// prints, and the token must then open the account.
func TestLogin(t *testing.T) {
	account := hubspotsim.New(hubspotsim.Options{OAuth: hubspotsim.OAuthClient{ID: "app", Secret: "app-secret"}})
	server := httptest.NewServer(account)
	defer server.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "config.toml")
	text := `[receiver]
api_keys = ["k"]
[destinations.hubspot]
type      = "hubspot"
base_url  = "` + server.URL + `"
login_url = "` + server.URL + `"
[destinations.hubspot.oauth]
client_id     = "app"
client_secret = "app-secret"
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r, w := io.Pipe()
	code := make(chan int, 1)
	var stderr strings.Builder
	go func() {
		code <- run(t.Context(), []string{"login", "--no-browser", "--config", file}, strings.NewReader(""), w, &stderr)
		w.Close()
	}()
	var printed strings.Builder
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		printed.WriteString(line + "\n")
		if !strings.HasPrefix(line, "http") {
			continue
		}
		// An answer that belongs to no login of ours changes nothing.
		visit(t, redirectIn(t, line)+"?code=stolen&state=guessed", http.StatusBadRequest)
		visit(t, line, http.StatusOK)
	}
	if c := <-code; c != exitDone {
		t.Fatalf("exit code %d: %s", c, stderr.String())
	}
	info, err := os.Stat(filepath.Join(dir, "callsync.hubspot.token"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the token's file has mode %o", info.Mode().Perm())
	}
	token, err := tokenFile(filepath.Join(dir, "callsync.hubspot.token")).Load()
	if err != nil || token.RefreshToken == "" {
		t.Fatal(token, err)
	}
	if strings.Contains(printed.String(), token.AccessToken) || strings.Contains(printed.String(), token.RefreshToken) {
		t.Error("the token was printed")
	}
	var out strings.Builder
	if c := run(context.Background(), []string{"setup", "--yes", "--config", file}, strings.NewReader(""), &out, &stderr); c != exitDone {
		t.Fatalf("with the token: exit code %d: %s", c, stderr.String())
	}
}

// redirectIn is where an authorization address sends the browser back to.
func redirectIn(t *testing.T, address string) string {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	return req.URL.Query().Get("redirect_uri")
}

func visit(t *testing.T, address string, want int) {
	t.Helper()
	resp, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != want {
		t.Fatalf("the browser ended at %d, not %d", resp.StatusCode, want)
	}
}
