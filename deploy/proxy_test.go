package deploy

import (
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestNginx lets nginx judge what docs/operations.md gives it.
func TestNginx(t *testing.T) {
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		t.Skip("nginx is not installed")
	}
	m := regexp.MustCompile("(?s)```nginx\n(.*?)```").FindStringSubmatch(content(t, "../docs/operations.md"))
	if m == nil {
		t.Fatal("docs/operations.md has no block for nginx")
	}
	dir := t.TempDir()
	certificate, key := certificateIn(t, dir)
	server := m[1]
	for what, with := range map[string]string{
		"/etc/letsencrypt/live/calls.example.com/fullchain.pem": certificate,
		"/etc/letsencrypt/live/calls.example.com/privkey.pem":   key,
		"listen 443": "listen 127.0.0.1:18443",
	} {
		if !strings.Contains(server, what) {
			t.Errorf("the block has no %s", what)
		}
		server = strings.ReplaceAll(server, what, with)
	}
	conf := filepath.Join(dir, "nginx.conf")
	text := "pid " + dir + "/pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n"
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		text += kind + "_temp_path " + dir + "/" + kind + ";\n"
	}
	if err := os.WriteFile(conf, []byte(text+server+"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(nginx, "-t", "-c", conf).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// certificateIn writes a certificate and its key into a folder.
func certificateIn(t *testing.T, dir string) (certificate, key string) {
	t.Helper()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	pair := server.TLS.Certificates[0]
	private, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("certificate.pem", "CERTIFICATE", pair.Certificate[0]), write("key.pem", "PRIVATE KEY", private)
}
