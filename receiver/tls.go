package receiver

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"
)

// A Certificate names the PEM files of a TLS certificate; the zero value means
// plain HTTP.
type Certificate struct{ CertFile, KeyFile string }

// certificateAge is how long a certificate is used before its file is looked at
// again, so that a renewed one needs no restart.
const certificateAge = time.Minute

// A keeper serves a certificate and reads it anew when its file has changed. A
// pair that cannot be read, or does not match while it is being replaced, leaves
// the last good one in use.
type keeper struct {
	files Certificate

	mu       sync.Mutex
	loaded   *tls.Certificate
	modified time.Time
	checked  time.Time
}

// Config loads the certificate and returns settings for TLS 1.2 and later that
// take up a renewed one by themselves; nil for the zero value.
func (c Certificate) Config() (*tls.Config, error) {
	if c == (Certificate{}) {
		return nil, nil
	}
	k := &keeper{files: c}
	if err := k.load(); err != nil {
		return nil, fmt.Errorf("the TLS certificate %s with the key %s cannot be used: %w", c.CertFile, c.KeyFile, err)
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return k.current(time.Now()), nil
		},
	}, nil
}

func (k *keeper) load() error {
	info, err := os.Stat(k.files.CertFile)
	if err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(k.files.CertFile, k.files.KeyFile)
	if err != nil {
		return err
	}
	k.loaded, k.modified = &pair, info.ModTime()
	return nil
}

func (k *keeper) current(now time.Time) *tls.Certificate {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now.Sub(k.checked) >= certificateAge {
		k.checked = now
		if info, err := os.Stat(k.files.CertFile); err == nil && !info.ModTime().Equal(k.modified) {
			_ = k.load()
		}
	}
	return k.loaded
}
