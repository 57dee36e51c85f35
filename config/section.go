package config

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/callsync/callsync/internal/spelling"
)

// A section is a table being read. Its methods read one key each, report what
// is wrong with it, and note that the key exists, so that finish knows which
// keys do not.
type section struct {
	d    *document
	name []string
	m    map[string]any
	seen map[string]bool // keys asked for; true when one was reported
}

func (s section) at(key ...string) []string {
	path := slices.Clone(s.name)
	for _, k := range key {
		if k != "" {
			path = append(path, k)
		}
	}
	return path
}

func (s section) problem(key, text string) {
	s.seen[key] = true
	s.d.report(s.at(key), text)
}

// failed reports whether a problem with key has been reported.
func (s section) failed(key string) bool { return s.seen[key] }

func (s section) has(key string) bool {
	_, ok := s.m[key]
	return ok
}

// get returns a key's value, nil when it is missing.
func (s section) get(key string) any {
	if _, ok := s.seen[key]; !ok {
		s.seen[key] = false
	}
	return s.m[key]
}

func (s section) wrongType(key, want string, got any) {
	s.problem(key, fmt.Sprintf("must be %s, is %s", want, kindOf(got)))
}

// keys lists the keys of a table in which any key may stand.
func (s section) keys() []string { return slices.Sorted(maps.Keys(s.m)) }

// finish reports the keys nobody asked for.
func (s section) finish() {
	for _, k := range s.keys() {
		if _, ok := s.seen[k]; ok {
			continue
		}
		text := "unknown key"
		if near := spelling.Nearest(k, slices.Sorted(maps.Keys(s.seen))); near != "" {
			text += fmt.Sprintf("; did you mean %s?", near)
		}
		s.d.report(s.at(k), text)
	}
}

func (s section) table(key string) section {
	child := section{d: s.d, name: s.at(key), seen: map[string]bool{}}
	switch v := s.get(key).(type) {
	case nil:
	case map[string]any:
		child.m = v
	default:
		s.wrongType(key, "a table ["+keyName(child.name)+"]", v)
	}
	return child
}

func (s section) str(key, fallback string) string {
	switch v := s.get(key).(type) {
	case nil:
	case string:
		if strings.TrimSpace(v) == "" {
			s.problem(key, "is empty; leave the key out instead")
		}
		return v
	default:
		s.wrongType(key, "a string", v)
	}
	return fallback
}

func (s section) boolean(key string) bool {
	switch v := s.get(key).(type) {
	case nil:
	case bool:
		return v
	default:
		s.wrongType(key, "true or false", v)
	}
	return false
}

func (s section) number(key string, low, high float64) float64 {
	var f float64
	switch v := s.get(key).(type) {
	case nil:
		return 0
	case int64:
		f = float64(v)
	case float64:
		f = v
	default:
		s.wrongType(key, "a number", v)
		return 0
	}
	if !(f > low && f <= high) {
		s.problem(key, fmt.Sprintf("must be more than %g and at most %g", low, high))
	}
	return f
}

func (s section) integer(key string, low, high int64) int {
	switch v := s.get(key).(type) {
	case nil:
	case int64:
		if v <= low || v > high {
			s.problem(key, fmt.Sprintf("must be more than %d and at most %d", low, high))
			return 0
		}
		return int(v)
	default:
		s.wrongType(key, "a whole number", v)
	}
	return 0
}

func (s section) size(key string, fallback, low, high int64) int64 {
	switch v := s.get(key).(type) {
	case nil:
	case string:
		n, err := ParseSize(v)
		if err != nil {
			s.problem(key, err.Error())
		} else if n < low || n > high {
			s.problem(key, fmt.Sprintf("must be between %s and %s", formatSize(low), formatSize(high)))
		}
		return n
	default:
		s.wrongType(key, `a size in quotes such as "10MiB"`, v)
	}
	return fallback
}

func (s section) duration(key string, fallback, low, high time.Duration) time.Duration {
	switch v := s.get(key).(type) {
	case nil:
	case string:
		d, err := ParseDuration(v)
		if err != nil {
			s.problem(key, err.Error())
		} else if d < low || d > high {
			s.problem(key, fmt.Sprintf("must be between %s and %s", formatDuration(low), formatDuration(high)))
		}
		return d
	default:
		s.wrongType(key, `a duration in quotes such as "30s"`, v)
	}
	return fallback
}

// path reads a file's path.
func (s section) path(key, fallback string) string {
	return s.d.relative(s.str(key, fallback))
}

func (s section) strings(key string) []string {
	var list []string
	switch v := s.get(key).(type) {
	case nil:
	case []any:
		for i, x := range v {
			item := fmt.Sprintf("[%d]", i)
			t, ok := x.(string)
			switch {
			case !ok:
				s.seen[key] = true
				s.d.report(s.at(key, item), "must be a string, is "+kindOf(x))
			case strings.TrimSpace(t) == "":
				s.seen[key] = true
				s.d.report(s.at(key, item), "is empty")
			default:
				list = append(list, t)
			}
		}
	default:
		s.wrongType(key, `a list of strings such as ["…"]`, v)
	}
	return list
}

func (s section) secret(key string) Secret {
	ref := s.str(key, "")
	if ref == "" || s.d.offline {
		return Secret{}
	}
	v, err := s.d.readSecret(s.at(key), ref)
	if err != nil {
		s.problem(key, err.Error())
	}
	return v
}

// secrets has one entry for each item of the list; offline they are empty.
func (s section) secrets(key string) []Secret {
	var list []Secret
	for i, ref := range s.strings(key) {
		var v Secret
		if !s.d.offline {
			var err error
			if v, err = s.d.readSecret(s.at(key), ref); err != nil {
				s.seen[key] = true
				s.d.report(s.at(key, fmt.Sprintf("[%d]", i)), err.Error())
			}
		}
		list = append(list, v)
	}
	return list
}

// scalars reads a table of values without structure.
func (s section) scalars(key string) map[string]any {
	t := s.table(key)
	for _, k := range t.keys() {
		switch v := t.m[k].(type) {
		case string, bool, int64, float64:
		default:
			t.problem(k, "must be a string, a number, true or false, is "+kindOf(v))
		}
	}
	return t.m
}

// listen reads a TCP address to listen on.
func (s section) listen(key, fallback string) string {
	v := s.str(key, fallback)
	host, port, err := net.SplitHostPort(v)
	n, perr := strconv.ParseUint(port, 10, 16)
	switch {
	case s.failed(key):
	case err != nil, perr != nil, strings.ContainsAny(host, "/ "):
		s.problem(key, `must be host:port such as "127.0.0.1:8080"`)
	case n == 0 && !Loopback(host):
		s.problem(key, "port 0 (any free port) only makes sense on loopback")
	}
	return v
}

// address reads the https address of an API; http is for loopback only. The
// answer has no trailing slash.
func (s section) address(key, fallback string) string {
	v := strings.TrimRight(s.str(key, fallback), "/")
	if v == "" {
		return ""
	}
	if err := checkAddress(v); err != nil && !s.failed(key) {
		s.problem(key, err.Error())
	}
	return v
}

func checkAddress(v string) error {
	u, err := url.Parse(v)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		return errors.New(`must be an address such as "https://api.example.com"`)
	case u.User != nil:
		return errors.New("must not hold a user or password; secrets have keys of their own")
	case u.RawQuery != "" || u.Fragment != "":
		return errors.New("must not have a query or fragment")
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && Loopback(u.Hostname()):
		return nil
	case u.Scheme == "http":
		return errors.New("plain http would send tokens and personal data in the clear; use https (http is for loopback only)")
	default:
		return errors.New("must start with https://")
	}
}

func kindOf(v any) string {
	switch v.(type) {
	case string:
		return "a string"
	case bool:
		return "true or false"
	case int64, float64:
		return "a number"
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	default:
		return "a date or time"
	}
}
