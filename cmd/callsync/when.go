package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A moment is a point in time as the command line gives it: a date, an RFC 3339
// time, or an age such as 36h or 30d. Unset it is the zero time.
type moment struct{ time.Time }

// UnmarshalText implements [encoding.TextUnmarshaler] for kong.
func (m *moment) UnmarshalText(text []byte) error {
	t, err := parseMoment(string(text), time.Now())
	m.Time = t
	return err
}

func parseMoment(s string, now time.Time) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t, nil
	}
	if t, err := time.ParseInLocation(time.DateOnly, s, now.Location()); err == nil {
		return t, nil
	}
	if age, ok := parseAge(s); ok {
		return now.Add(-age), nil
	}
	return time.Time{}, fmt.Errorf("%q is neither a date (2026-01-31), an RFC 3339 time (2026-01-31T08:00:00Z) nor an age (36h, 30d)", s)
}

// maxAge keeps ages within what a time.Duration holds, with room to spare.
const maxAge = 100 * 365 * 24 * time.Hour

func parseAge(s string) (time.Duration, bool) {
	for suffix, unit := range map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		if digits, ok := strings.CutSuffix(s, suffix); ok {
			n, err := strconv.Atoi(digits)
			if err != nil || n < 0 || n > int(maxAge/unit) {
				return 0, false
			}
			return time.Duration(n) * unit, true
		}
	}
	d, err := time.ParseDuration(s)
	return d, err == nil && d >= 0 && d <= maxAge
}

// now is when what is printed is printed: ages are counted from it.
func now() time.Time { return time.Now() }

// at prints a time in local time, to the second.
func at(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// minute prints a time in local time, to the minute.
func minute(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.Local().Format("2006-01-02 15:04")
}

// ago prints how long ago t was, or how long it is until then.
func ago(t, now time.Time) string {
	switch d := now.Sub(t); {
	case t.IsZero():
		return "–"
	case d < 0:
		return "in " + span(-d)
	default:
		return span(d) + " ago"
	}
}

// due prints how long it is until something is to happen.
func due(t, now time.Time) string {
	if !t.After(now) {
		return "now"
	}
	return ago(t, now)
}

// span prints a duration in its one or two largest units.
func span(d time.Duration) string {
	pair := func(big, small int, a, b string) string {
		if small == 0 {
			return fmt.Sprintf("%d%s", big, a)
		}
		return fmt.Sprintf("%d%s%d%s", big, a, small, b)
	}
	s := int(d / time.Second)
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return pair(s/60, s%60, "m", "s")
	case s < 48*3600:
		return pair(s/3600, s%3600/60, "h", "m")
	default:
		return fmt.Sprintf("%dd", s/86400)
	}
}
