package config

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
)

// A Secret is a value that must not be printed. However it is formatted, logged
// or marshalled it says "***", or nothing when it is empty; only Reveal has it.
type Secret struct{ value string }

// NewSecret wraps a value.
func NewSecret(value string) Secret { return Secret{value} }

// Reveal returns the value itself.
func (s Secret) Reveal() string { return s.value }

// IsZero reports whether there is no value.
func (s Secret) IsZero() bool { return s.value == "" }

func (s Secret) String() string {
	if s.value == "" {
		return ""
	}
	return "***"
}

// Format covers every verb, %#v and %x included.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// LogValue implements [slog.LogValuer].
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText implements [encoding.TextMarshaler], for JSON too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// readSecret reads what ref, found at a key's path, points at: "env:NAME", "file:PATH", "cred:NAME" (a
// systemd credential), or a literal. An error says what to do, without any
// value.
func (d *document) readSecret(path []string, ref string) (Secret, error) {
	kind, name, _ := strings.Cut(ref, ":")
	var value string
	switch kind {
	case "env":
		v, ok := os.LookupEnv(name)
		if name == "" {
			return Secret{}, errors.New(`names no variable: write "env:NAME"`)
		}
		if !ok {
			return Secret{}, fmt.Errorf("the environment variable %s is not set", name)
		}
		if value = v; value == "" {
			return Secret{}, fmt.Errorf("the environment variable %s is empty", name)
		}
	case "file":
		if name == "" {
			return Secret{}, errors.New(`names no file: write "file:PATH"`)
		}
		return readSecretFile(d.relative(name))
	case "cred":
		dir, ok := os.LookupEnv("CREDENTIALS_DIRECTORY")
		if !ok || dir == "" {
			return Secret{}, errors.New("CREDENTIALS_DIRECTORY is not set: cred:NAME needs a systemd unit with LoadCredential=" + name)
		}
		if !filepath.IsLocal(name) || strings.ContainsRune(name, filepath.Separator) {
			return Secret{}, errors.New(`must name a credential: "cred:NAME"`)
		}
		return readSecretFile(filepath.Join(dir, name))
	default:
		d.literals = append(d.literals, path)
		value = ref
	}
	return checkSecret(value, "it")
}

// maxSecret bounds a secret's file, so that a wrong path is noticed.
const maxSecret = 64 << 10

func readSecretFile(path string) (Secret, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Secret{}, fmt.Errorf("the file %s cannot be read: %s", path, reason(err))
	}
	if len(b) > maxSecret {
		return Secret{}, fmt.Errorf("the file %s is too large to be a secret", path)
	}
	value := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	if value == "" {
		return Secret{}, fmt.Errorf("the file %s is empty", path)
	}
	return checkSecret(value, "the file "+path)
}

func checkSecret(value, what string) (Secret, error) {
	if strings.ContainsFunc(value, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
		return Secret{}, fmt.Errorf("%s holds line breaks or control characters", what)
	}
	return Secret{value}, nil
}

// reason is an error's cause without the operation and path in front.
func reason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}
