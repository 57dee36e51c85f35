package receiver

import (
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode"
)

// A Miss is a request that never reached the webhook: to another path, not a POST,
// or with too large a header. It leaves no row in the delivery log, or whoever
// tries paths could fill the disk.
type Miss struct {
	At     time.Time
	Method string // "other" when it is none of the usual ones
	// Path is without the query, escaped and short, and has "…" for what may be a
	// key or somebody's number or address.
	Path string
	// Keyed says that it brought an accepted key: the sender means this webhook.
	Keyed bool
	// Chance says that it looks like a scanner or a health check: it asks for
	// another path, without a key and without sending anything. Such requests
	// are not logged.
	Chance bool
}

// missLogEvery is how often misses of one kind are logged.
const missLogEvery = time.Minute

// missLog counts misses between two lines of the log.
type missLog struct {
	mu    sync.Mutex
	kinds map[missKind]*missCount
}

type missKind struct {
	status int
	keyed  bool
}

type missCount struct {
	logged time.Time
	since  int // then
}

// due counts a miss, and returns how many there were since the last line when it is
// time for another.
func (l *missLog) due(k missKind, at time.Time) (n int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kinds == nil {
		l.kinds = map[missKind]*missCount{}
	}
	c := l.kinds[k]
	if c == nil {
		c = &missCount{}
		l.kinds[k] = c
	}
	c.since++
	if !c.logged.IsZero() && at.Sub(c.logged) < missLogEvery && !at.Before(c.logged) {
		return 0, false
	}
	n = c.since
	*c = missCount{logged: at}
	return n, true
}

// miss describes a request that is answered with a, nil when it reached the webhook.
func (h *Receiver) miss(r *http.Request, a answer, at time.Time) *Miss {
	switch a.status {
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusRequestHeaderFieldsTooLarge:
	default:
		return nil
	}
	m := &Miss{
		At: at, Method: methodText(r.Method), Path: h.pathText(r.URL.Path),
		Keyed: h.keys.Load().has(r.Header.Get("X-Api-Key")),
	}
	m.Chance = a.status == http.StatusNotFound && !m.Keyed && asks(r.Method)
	if m.Chance {
		return m
	}
	if n, ok := h.missed.due(missKind{a.status, m.Keyed}, at); ok {
		h.log.LogAttrs(r.Context(), slog.LevelWarn, "requests miss the webhook",
			slog.Int("requests", n), slog.Int("status", a.status), slog.String("code", a.code), slog.String("method", m.Method),
			slog.String("path", m.Path), slog.Bool("acceptedKey", m.Keyed), slog.String("peer", peer(r)))
	}
	return m
}

// asks reports whether a method only asks for something.
func asks(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

func methodText(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return method
	}
	return "other"
}

const (
	longestPath    = 80
	longestSegment = 40
)

// pathText is a path as it may be logged and shown.
func (h *Receiver) pathText(path string) string {
	end := ""
	if len(path) > longestPath {
		path, end = strings.ToValidUTF8(path[:longestPath], ""), "…"
	}
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if revealing(s) || h.keys.Load().has(s) {
			segments[i] = "…"
			continue
		}
		segments[i] = url.PathEscape(s)
	}
	return strings.TrimSuffix(strings.Join(segments, "/"), end) + end
}

// revealing reports whether a segment of a path may be a secret, a phone number or
// an e-mail address.
func revealing(s string) bool {
	digits := 0
	for _, r := range s {
		if unicode.IsDigit(r) {
			digits++
		}
	}
	return digits > 5 || len(s) > longestSegment || strings.Contains(s, "@")
}

// samePath reports whether a request's path is the webhook's. A slash at the end
// makes no difference.
func samePath(got, want string) bool {
	return strings.TrimSuffix(got, "/") == strings.TrimSuffix(want, "/")
}
