package mappings

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // so that zones are known, and the same, on every machine
)

var timeFunctions = map[string]function{
	"time":        {"time(x)", sig(new(anyToAny)), func(_ *run, a []any) (any, error) { return instant(a[0]), nil }},
	"date":        {"date(time, zone)", sig(new(func(any) any), new(func(any, any) any)), dateIn},
	"localTime":   {"localTime(time, zone[, pattern])", sig(new(func(any, any) any), new(func(any, any, string) any)), localTime},
	"addMinutes":  {"addMinutes(time, n)", sig(new(func(any, any) any)), later(time.Minute)},
	"addHours":    {"addHours(time, n)", sig(new(func(any, any) any)), later(time.Hour)},
	"addDays":     {"addDays(time, n, zone)", sig(new(func(any, any, any) any)), addDays},
	"businessDay": {"businessDay(time, n, zone[, \"09:00\"])", sig(new(func(any, any, any) any), new(func(any, any, any, string) any)), businessDay},
	"hms":         {"hms(seconds)", sig(new(anyToString)), hms},
}

// instant reads a time, or a text in RFC 3339; nil when it is neither.
func instant(v any) any {
	switch v := v.(type) {
	case time.Time:
		if !v.IsZero() {
			return v
		}
	case string:
		for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02"} {
			t, err := time.Parse(layout, strings.TrimSpace(v))
			if err == nil && t.UTC().Year() >= 1970 {
				return dated(t)
			}
		}
	}
	return nil
}

// dated is t, or nil when its year, where it is or in UTC, is not one of 1 to
// 9999: no other has a form in the journal or at a CRM.
func dated(t time.Time) any {
	for _, y := range []int{t.Year(), t.UTC().Year()} {
		if y < 1 || y > 9999 {
			return nil
		}
	}
	return t
}

// zone returns a time zone by its IANA name. A name that is empty or unknown is
// UTC, with a warning. "Local" is unknown: it differs between machines.
func (r *run) zone(name any) *time.Location {
	s := strings.TrimSpace(str(name))
	if loc := zoneNamed(s); loc != nil {
		return loc
	}
	if s == "" {
		r.warn("the call has no time zone; local times are in UTC")
	} else {
		r.warn("the time zone is not one of the IANA database; local times are in UTC")
	}
	return time.UTC
}

// zones remembers the zones that exist; there are some 600.
var zones sync.Map

func zoneNamed(name string) *time.Location {
	if loc, ok := zones.Load(name); ok {
		return loc.(*time.Location)
	}
	if name == "" || name == "Local" {
		return nil
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil
	}
	zones.Store(name, loc)
	return loc
}

func dateIn(r *run, a []any) (any, error) {
	t, ok := instant(a[0]).(time.Time)
	if !ok {
		return nil, nil
	}
	loc := time.UTC
	if len(a) > 1 {
		loc = r.zone(a[1])
	}
	if t, ok = dated(t.In(loc)).(time.Time); !ok {
		return nil, nil
	}
	return t.Format(time.DateOnly), nil
}

func localTime(r *run, a []any) (any, error) {
	t, ok := instant(a[0]).(time.Time)
	if !ok {
		return nil, nil
	}
	pattern := "YYYY-MM-DD HH:mm zzz"
	if len(a) > 2 {
		pattern = str(a[2])
	}
	if t, ok = dated(t.In(r.zone(a[1]))).(time.Time); !ok {
		return nil, nil
	}
	return formatTime(t, pattern), nil
}

// patterns are the parts of a localTime pattern, longest first.
var patterns = []struct{ part, layout string }{
	{"YYYY", "2006"}, {"MMMM", "January"}, {"dddd", "Monday"},
	{"MMM", "Jan"}, {"ddd", "Mon"}, {"zzz", "MST"},
	{"YY", "06"}, {"MM", "01"}, {"DD", "02"}, {"HH", "15"}, {"hh", "03"}, {"mm", "04"}, {"ss", "05"}, {"ZZ", "-07:00"},
	{"M", "1"}, {"D", "2"}, {"h", "3"}, {"A", "PM"},
}

// formatTime writes a time by a pattern of the parts above; a text in square
// brackets stands for itself, and so does every other character.
func formatTime(t time.Time, pattern string) string {
	var b strings.Builder
next:
	for pattern != "" {
		if pattern[0] == '[' {
			if end := strings.IndexByte(pattern, ']'); end > 0 {
				b.WriteString(pattern[1:end])
				pattern = pattern[end+1:]
				continue
			}
		}
		for _, p := range patterns {
			if strings.HasPrefix(pattern, p.part) {
				b.WriteString(t.Format(p.layout))
				pattern = pattern[len(p.part):]
				continue next
			}
		}
		b.WriteByte(pattern[0])
		pattern = pattern[1:]
	}
	return b.String()
}

// maxShift bounds how far times are moved, in days: a century.
const maxShift = 36_525

func later(unit time.Duration) operator {
	return func(_ *run, a []any) (any, error) {
		t, ok := instant(a[0]).(time.Time)
		n, isNumber := toFloat(number(a[1]))
		if !ok || !isNumber || n*unit.Hours() > 24*maxShift || n*unit.Hours() < -24*maxShift {
			return nil, nil
		}
		return dated(t.Add(time.Duration(n * float64(unit)))), nil
	}
}

// addDays keeps the clock of the zone, across changes to and from summer time.
func addDays(r *run, a []any) (any, error) {
	t, ok := instant(a[0]).(time.Time)
	n, isNumber := whole(a[1], func(f float64) float64 { return f }).(int)
	if !ok || !isNumber || n > maxShift || n < -maxShift {
		return nil, nil
	}
	return dated(t.In(r.zone(a[2])).AddDate(0, 0, n)), nil
}

// businessDay is the n-th weekday after the day of t in a zone, at a clock time
// there. Holidays are not known.
func businessDay(r *run, a []any) (any, error) {
	t, ok := instant(a[0]).(time.Time)
	n, isNumber := whole(a[1], func(f float64) float64 { return f }).(int)
	if !ok || !isNumber || n < 0 || n > maxShift {
		return nil, nil
	}
	clock := "09:00"
	if len(a) > 3 {
		clock = str(a[3])
	}
	at, err := time.Parse("15:04", clock)
	if err != nil {
		return nil, fmt.Errorf("businessDay wants a clock time such as \"09:00\"")
	}
	day := t.In(r.zone(a[2]))
	for weekend(day) && n == 0 {
		day = day.AddDate(0, 0, 1)
	}
	for n > 0 {
		day = day.AddDate(0, 0, 1)
		if !weekend(day) {
			n--
		}
	}
	return dated(time.Date(day.Year(), day.Month(), day.Day(), at.Hour(), at.Minute(), 0, 0, day.Location())), nil
}

func weekend(t time.Time) bool {
	return t.Weekday() == time.Saturday || t.Weekday() == time.Sunday
}

// hms writes seconds for people: "46 s", "2 min 5 s", "1 h 2 min".
func hms(_ *run, a []any) (any, error) {
	n, ok := whole(a[0], func(f float64) float64 { return f }).(int)
	if !ok || n < 0 {
		return "", nil
	}
	h, m, s := n/3600, n/60%60, n%60
	var parts []string
	if h > 0 {
		parts = append(parts, strconv.Itoa(h)+" h")
	}
	if m > 0 {
		parts = append(parts, strconv.Itoa(m)+" min")
	}
	if (s > 0 && h == 0) || len(parts) == 0 {
		parts = append(parts, strconv.Itoa(s)+" s")
	}
	return strings.Join(parts, " "), nil
}
