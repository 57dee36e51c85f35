package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/callsync/callsync/crm/sandbox"
)

// TestDoors tries a daemon's doors: deliveries come in by TLS 1.2 and newer and
// by nothing older, and what lies on the disk is its owner's alone.
func TestDoors(t *testing.T) {
	s := newServed(t, "hubspot")
	dir := filepath.Dir(s.config)
	pool := certify(t, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	config, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	overwrite(t, s.config, []byte(strings.Replace(string(config), "[receiver]\n", "[receiver]\ntls_cert = \"cert.pem\"\ntls_key = \"key.pem\"\n", 1)))
	s.start()
	url := s.webhook()
	for version, works := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: version, MaxVersion: version}}
		req, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(oneOfEach(t)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Api-Key", testKey)
		req.Header.Set("Content-Type", "application/json")
		resp, err := transport.RoundTrip(req)
		if err == nil {
			resp.Body.Close()
		}
		if ok := err == nil && resp.StatusCode == http.StatusOK; ok != works {
			t.Errorf("%s works: %t (%v)", tls.VersionName(version), ok, err)
		}
		transport.CloseIdleConnections()
	}
	if resp, err := http.Get(strings.Replace(url, "https:", "http:", 1)); err == nil {
		resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("without TLS the answer is %s", resp.Status)
		}
	}
	s.settle(time.Minute)
	s.command("backup", filepath.Join(dir, "backup.db"))
	for _, name := range []string{"callsync.sock", "callsync.db", "backup.db"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("%s has mode %o", name, mode)
		}
	}
	s.stop()
}

// certify writes a certificate for this machine, and returns who trusts it.
func certify(t *testing.T, certFile, keyFile string) *x509.CertPool {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	overwrite(t, certFile, cert)
	overwrite(t, keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	return pool
}

// TestTimeOut lets a CRM commit a creation and then say nothing, until callsync
// no longer listens. Each connector has its own patience, so that this takes
// minutes: it is done where everything is.
func TestTimeOut(t *testing.T) {
	if os.Getenv("CALLSYNC_LARGE") == "" {
		t.Skip("CALLSYNC_LARGE is not set")
	}
	for kind, operation := range map[string]string{"hubspot": "calls batch create", "salesforce": "collections create"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := newServed(t, kind)
			if _, err := s.account.AddFault(sandbox.Fault{Operation: operation, When: sandbox.Hang, Times: 1}); err != nil {
				t.Fatal(err)
			}
			s.start()
			s.take(1, 0, "some words")
			s.take(1, 1, "other words")
			s.settle(5 * time.Minute)
			s.stop()
			if n := s.account.Faults()[0].Struck; n != 1 {
				t.Fatalf("%s was left alone: the test proves nothing", operation)
			}
			s.hasOnce(map[int][]string{1: {"some words", "other words"}})
		})
	}
}
