package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// ParseDuration reads what [time.ParseDuration] reads, and days: "90s", "36h",
// "30d", "1d12h". Days have 24 hours. Negative ones are refused.
func ParseDuration(s string) (time.Duration, error) {
	days, rest, ok := strings.Cut(s, "d")
	if !ok {
		days, rest = "0", s
	}
	n, err := strconv.ParseUint(days, 10, 16)
	if err != nil {
		return 0, errDuration(s)
	}
	d := time.Duration(n) * 24 * time.Hour
	if rest != "" || !ok {
		r, err := time.ParseDuration(rest)
		if err != nil || r < 0 || r > math.MaxInt64-d {
			return 0, errDuration(s)
		}
		d += r
	}
	return d, nil
}

func errDuration(s string) error {
	return fmt.Errorf("%q is not a duration such as \"30s\", \"36h\" or \"30d\"", s)
}

// formatDuration writes what ParseDuration reads, as a person would.
func formatDuration(d time.Duration) string {
	if d >= day && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	s := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, zero) {
			s = s[:len(s)-len(zero)+1]
		}
	}
	return s
}

// ParseSize reads a size in bytes: "512", "64KiB", "10MiB", "1GiB", or powers
// of ten with "kB", "MB", "GB".
func ParseSize(s string) (int64, error) {
	digits := strings.TrimRight(s, "KkMGiB ")
	unit, ok := map[string]int64{
		"": 1, "B": 1,
		"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30,
		"kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9,
	}[strings.TrimSpace(s[len(digits):])]
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || !ok || n < 0 || n > math.MaxInt64/unit {
		return 0, fmt.Errorf("%q is not a size such as \"512KiB\" or \"10MiB\"", s)
	}
	return n * unit, nil
}

func formatSize(n int64) string {
	for _, u := range []struct {
		size int64
		name string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n%u.size == 0 && n != 0 {
			return strconv.FormatInt(n/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}
