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

// count prints "1 call" and "2 calls".
func count[N ~int | ~int64](n N, singular string) string {
	if n == 1 {
		return "1 " + singular
	}
	if stem, ok := strings.CutSuffix(singular, "y"); ok {
		return fmt.Sprintf("%d %sies", n, stem)
	}
	return fmt.Sprintf("%d %ss", n, singular)
}

// mustSub is fs.Sub for a folder that was embedded.
func mustSub(f fs.FS, dir string) fs.FS {
	sub, err := fs.Sub(f, dir)
	if err != nil {
		panic(err)
	}
	return sub
}
