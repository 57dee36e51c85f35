package receiver

import (
	"bytes"
	"context"
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
)

// issue writes a self-signed certificate with a serial number, last modified at
// a time.
func issue(t *testing.T, c Certificate, serial int64, modified time.Time) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{
		c.KeyFile:  {Type: "PRIVATE KEY", Bytes: pkcs8},
		c.CertFile: {Type: "CERTIFICATE", Bytes: der},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, modified, modified); err != nil {
			t.Fatal(err)
		}
	}
}

func files(t *testing.T) Certificate {
	dir := t.TempDir()
	return Certificate{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
}

func TestServeTLS(t *testing.T) {
	c := files(t)
	issue(t, c, 1, time.Now())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	server := NewServer(New(nil, Options{}), Timeouts{}, nil)
	secure, err := c.Config()
	if err != nil {
		t.Fatal(err)
	}
	go func() { done <- Serve(ctx, server, l, secure, time.Minute) }()

	pool := x509.NewCertPool()
	pemCert, err := os.ReadFile(c.CertFile)
	if err != nil {
		t.Fatal(err)
	}
	pool.AppendCertsFromPEM(pemCert)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	res, err := client.Get("https://" + l.Addr().String() + "/")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 404 {
		t.Errorf("answered %d", res.StatusCode)
	}
	old := &tls.Config{RootCAs: pool, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	if conn, err := tls.Dial("tcp", l.Addr().String(), old); err == nil {
		conn.Close()
		t.Error("TLS 1.1 is spoken")
	}
	client.CloseIdleConnections()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestCertificateThatCannotBeUsed(t *testing.T) {
	missing, swapped := files(t), files(t)
	issue(t, swapped, 1, time.Now())
	swapped.CertFile, swapped.KeyFile = swapped.KeyFile, swapped.CertFile
	for _, c := range []Certificate{missing, swapped} {
		secure, err := c.Config()
		if err == nil || secure != nil || !strings.Contains(err.Error(), c.CertFile) || !strings.Contains(err.Error(), c.KeyFile) {
			t.Errorf("%v, %v: want an error that names both files", secure, err)
		}
	}
	if secure, err := (Certificate{}).Config(); secure != nil || err != nil {
		t.Errorf("no certificate: %v, %v", secure, err)
	}
}

func TestCertificateRenewal(t *testing.T) {
	c := files(t)
	start := time.Now().Truncate(time.Second)
	issue(t, c, 1, start)
	k := &keeper{files: c}
	if err := k.load(); err != nil {
		t.Fatal(err)
	}
	serial := func(after time.Duration) int64 {
		leaf, err := x509.ParseCertificate(k.current(start.Add(after)).Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		return leaf.SerialNumber.Int64()
	}
	if got := serial(0); got != 1 {
		t.Fatalf("serial %d", got)
	}
	issue(t, c, 2, start.Add(time.Hour))
	if got := serial(time.Second); got != 1 {
		t.Errorf("the file is looked at again after a second: serial %d", got)
	}
	if got := serial(2 * time.Minute); got != 2 {
		t.Errorf("the renewed certificate is not taken up: serial %d", got)
	}
	if err := os.WriteFile(c.CertFile, bytes.Repeat([]byte("x"), 10), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := serial(4 * time.Minute); got != 2 {
		t.Errorf("a torn file replaces the certificate: serial %d", got)
	}
	issue(t, c, 3, start.Add(2*time.Hour))
	if got := serial(6 * time.Minute); got != 3 {
		t.Errorf("after a torn file nothing is taken up: serial %d", got)
	}
}
