package deploy

import (
	"bytes"
	"crypto/sha256"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/callsync/callsync/config"
)

func content(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestUnit holds the systemd unit to systemd's own judgement, and to what the
// documents say about it.
func TestUnit(t *testing.T) {
	unit := content(t, "callsync.service")
	for _, line := range []string{
		"Type=notify", "WatchdogSec=60s", "DynamicUser=yes", "ProtectSystem=strict", "NoNewPrivileges=yes",
		"StateDirectory=callsync", "RuntimeDirectory=callsync", "RestartPreventExitStatus=2",
	} {
		if !strings.Contains(unit, "\n"+line+"\n") {
			t.Errorf("the unit lacks %s", line)
		}
	}
	// The configuration in the operator's guide names credentials and folders.
	guide := content(t, "../docs/operations.md")
	for _, m := range regexp.MustCompile(`"cred:([a-z-]+)"`).FindAllStringSubmatch(guide, -1) {
		if !strings.Contains(unit, "\nLoadCredential="+m[1]+":") {
			t.Errorf("docs/operations.md names the credential %s, which the unit does not load", m[1])
		}
	}

	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	// It looks for the program and the man page, which need not be installed.
	dir := t.TempDir()
	unit = strings.ReplaceAll(unit, "/usr/local/bin/callsync", "/bin/true")
	unit = regexp.MustCompile(`(?m)^Documentation=.*\n`).ReplaceAllString(unit, "")
	file := filepath.Join(dir, "callsync.service")
	if err := os.WriteFile(file, []byte(unit), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(tool, "verify", file).CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	out, err := exec.Command(tool, "security", "--offline=true", "--no-pager", file).CombinedOutput()
	m := regexp.MustCompile(`exposure level for .*: ([0-9.]+)`).FindSubmatch(out)
	if m == nil {
		t.Skipf("this systemd-analyze does not rate units: %v %s", err, out)
	}
	if level, _ := strconv.ParseFloat(string(m[1]), 64); level >= 2 {
		t.Errorf("systemd rates the unit %v of 10; docs/security.md promises less than 2", level)
	}
}

// TestComposeConfiguration loads the configuration that the containers get.
func TestComposeConfiguration(t *testing.T) {
	cfg, err := config.Load("compose/callsync.toml", config.WithoutSecrets())
	if err != nil {
		t.Fatal(err)
	}
	compose, image := content(t, "compose.yaml"), content(t, "Dockerfile")
	for _, m := range regexp.MustCompile(`file:/run/secrets/([a-z-]+)"`).FindAllStringSubmatch(content(t, "compose/callsync.toml"), -1) {
		if !strings.Contains(compose, "./compose/secrets/"+m[1]+"\n") {
			t.Errorf("the compose file gives callsync no secret %s", m[1])
		}
	}
	if state := filepath.Dir(cfg.Store.Path); !strings.Contains(compose, "journal:"+state+"\n") || !strings.Contains(image, "VOLUME "+state+"\n") {
		t.Errorf("the journal's folder %s is no volume", state)
	}
	if _, port, _ := strings.Cut(cfg.Admin.Listen, ":"); !strings.Contains(content(t, "compose/prometheus.yml"), `"callsync:`+port+`"`) {
		t.Errorf("Prometheus does not look at port %s", port)
	}
	// Whatever is mounted is there.
	for _, m := range regexp.MustCompile(`- (\./[^:]+):`).FindAllStringSubmatch(compose, -1) {
		if _, err := os.Stat(m[1]); err != nil {
			t.Errorf("the compose file mounts %v", err)
		}
	}
}

// TestGoVersions finds a builder that is older than what go.mod asks for.
func TestGoVersions(t *testing.T) {
	m := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(content(t, "../go.mod"))
	if m == nil {
		t.Fatal("go.mod names no Go version")
	}
	if !strings.Contains(content(t, "Dockerfile"), "FROM golang:"+m[1]+" ") {
		t.Errorf("the Dockerfile does not build with Go %s", m[1])
	}
	for _, file := range []string{"../README.md", "../CONTRIBUTING.md"} {
		if !strings.Contains(content(t, file), "Go "+m[1]) {
			t.Errorf("%s does not ask for Go %s", file, m[1])
		}
	}
}

// TestReproducible builds twice, in two folders and the second time without what
// the cache holds, and compares the bytes. That takes minutes, so it is asked for.
func TestReproducible(t *testing.T) {
	if os.Getenv("CALLSYNC_REPRODUCIBLE") == "" {
		t.Skip("CALLSYNC_REPRODUCIBLE=1 builds twice")
	}
	commit, err := exec.Command("git", "rev-parse", "HEAD").Output()
	if err != nil {
		t.Fatal(err)
	}
	build := func(env ...string) [sha256.Size]byte {
		dir := t.TempDir()
		source, out := filepath.Join(dir, "source"), filepath.Join(dir, "callsync")
		if text, err := exec.Command("git", "clone", "-q", "--no-hardlinks", "..", source).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if text, err := exec.Command("git", "-C", source, "checkout", "-q", strings.TrimSpace(string(commit))).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		cmd := exec.Command("go", "build", "-buildvcs=true", "-trimpath", "-ldflags=-s -w", "-o", out, "./cmd/callsync")
		cmd.Dir = source
		cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0"), env...)
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		b, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte(dir)) {
			t.Error("the binary holds the folder it was built in")
		}
		version, err := exec.Command(out, "version").CombinedOutput()
		if err != nil || !bytes.Contains(version, []byte(runtime.Version())) || !bytes.Contains(version, commit[:12]) {
			t.Errorf("%s, %v", version, err)
		}
		return sha256.Sum256(b)
	}
	first, second := build(), build("GOCACHE="+t.TempDir())
	if first != second {
		t.Errorf("%x is not %x", first, second)
	}
	t.Logf("both builds are %x", first)
}

// TestGoreleaser holds the release to the flags that make it reproducible, and to
// files that are there.
func TestGoreleaser(t *testing.T) {
	text := content(t, "../.goreleaser.yaml")
	for _, want := range []string{"flags: [-trimpath]", "CGO_ENABLED=0", `mod_timestamp: "{{ .CommitTimestamp }}"`, "main: ./cmd/callsync"} {
		if !strings.Contains(text, want) {
			t.Errorf(".goreleaser.yaml lacks %s", want)
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^ +- (?:src: )?([A-Za-z][\w./*-]*)$`).FindAllStringSubmatch(text, -1) {
		if strings.HasPrefix(m[1], "dist/") {
			continue // made before the release
		}
		pattern := strings.TrimSuffix(m[1], "**/*")
		if there, err := filepath.Glob(filepath.Join("..", pattern)); err != nil || len(there) == 0 {
			t.Errorf(".goreleaser.yaml takes %s, which is not there (%v)", m[1], err)
		}
	}
}
