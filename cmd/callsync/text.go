package main

import (
	"fmt"
	"io/fs"
	"strings"
)

func join(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

func number[N ~int | ~int64 | ~uint64](n N) string { return fmt.Sprintf("%d", n) }

// size prints a number of bytes in the largest unit that leaves it above 1.
func size(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	default:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	}
}

// count prints "1 call", "2 calls" and "2 deliveries".
func count[N ~int | ~int64](n N, singular string) string {
	if stem, ok := strings.CutSuffix(singular, "y"); ok {
		return fmt.Sprintf("%d %s", n, oneOrMany(n, singular, stem+"ies"))
	}
	return fmt.Sprintf("%d %s", n, oneOrMany(n, singular, singular+"s"))
}

func people[N ~int | ~int64](n N) string {
	return fmt.Sprintf("%d %s", n, oneOrMany(n, "person", "people"))
}

func oneOrMany[N ~int | ~int64](n N, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// most is a list cut short.
func most(items []string, n int) string {
	if len(items) <= n {
		return strings.Join(items, ", ")
	}
	return strings.Join(items[:n], ", ") + fmt.Sprintf(" and %d more", len(items)-n)
}

// mustSub is fs.Sub for a folder that was embedded.
func mustSub(f fs.FS, dir string) fs.FS {
	sub, err := fs.Sub(f, dir)
	if err != nil {
		panic(err)
	}
	return sub
}
