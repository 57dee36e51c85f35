package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/callsync/callsync/store"
)

func TestNothingPrintedCommandsTheTerminal(t *testing.T) {
	nasty := "a\x1b[2J\x07b\u009bc\u202ed\x00\nnext"
	var b bytes.Buffer
	p := &printer{w: &b, colour: false}
	p.f("%s %v %s %d %s\n", nasty, store.Status(nasty), errors.New(nasty), 3, styled{nasty, red})
	table := newTable(nasty)
	table.row(nasty)
	table.row(styled{nasty, red})
	table.print(p)
	if err := p.json(map[string]string{nasty: nasty}); err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(b.String(), "\n") {
		if i := strings.IndexFunc(line, unsafe); i >= 0 {
			t.Errorf("%q in %q", line[i:], line)
		}
	}
}

func TestColoursAreTheOnlyEscapes(t *testing.T) {
	var b bytes.Buffer
	p := &printer{w: &b, colour: true}
	p.f("%s\n", styled{"ok\x1b[31m", green})
	if got, want := b.String(), "\x1b[32mok\\x1b[31m\x1b[0m\n"; got != want {
		t.Errorf("%q, not %q", got, want)
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{"", "plain", "\x1b[0m", "\u202e", "\xff\xfe", "日本", "a\nb"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := clean(s)
		if strings.ContainsFunc(got, unsafe) || !utf8.ValidString(got) {
			t.Errorf("%q became %q", s, got)
		}
		if again := clean(got); again != got {
			t.Errorf("%q is not stable: %q", got, again)
		}
	})
}

func TestTableFitsTheTerminal(t *testing.T) {
	wide := newTable("name", "what", "n")
	wide.right[2] = true
	wide.row("Zoë 山田太郎", strings.Repeat("long ", 40), "7")
	wide.row("👩 B", "short", "1234")
	for _, width := range []int{40, 80, 120} {
		var b bytes.Buffer
		wide.print(&printer{w: &b, width: width})
		lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
		if len(lines) != 3 {
			t.Fatalf("%d lines", len(lines))
		}
		for _, line := range lines {
			if columns(line) > width {
				t.Errorf("%d columns on a terminal of %d: %q", columns(line), width, line)
			}
		}
		// Right-aligned numbers end in the same column.
		if columns(lines[1]) != columns(lines[2]) {
			t.Errorf("not aligned:\n%s", b.String())
		}
	}
	wide.dispensable, wide.least = []int{2}, map[int]int{1: 30}
	var narrow bytes.Buffer
	wide.print(&printer{w: &narrow, width: 40})
	if strings.Contains(narrow.String(), "1234") {
		t.Errorf("a column that is dispensable was kept:\n%s", narrow.String())
	}
	var b bytes.Buffer
	wide.print(&printer{w: &b})
	if !strings.Contains(b.String(), strings.Repeat("long ", 39)) {
		t.Error("cut although it is no terminal")
	}
}

func TestMoment(t *testing.T) {
	now := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	for in, want := range map[string]time.Time{
		"2026-03-01":                time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC),
		"2026-03-01T08:30:00Z":      time.Date(2026, 3, 1, 8, 30, 0, 0, time.UTC),
		"2026-03-01T08:30:00+02:00": time.Date(2026, 3, 1, 6, 30, 0, 0, time.UTC),
		"36h":                       now.Add(-36 * time.Hour),
		"30d":                       now.AddDate(0, 0, -30),
		"2w":                        now.AddDate(0, 0, -14),
		"1h30m":                     now.Add(-90 * time.Minute),
		"0d":                        now,
	} {
		got, err := parseMoment(in, now)
		if err != nil || !got.Equal(want) {
			t.Errorf("%s: %v %v, want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "yesterday", "-3h", "-1d", "3", "1.5d", "99999999999999d", "2026-13-01", "d"} {
		if got, err := parseMoment(in, now); err == nil {
			t.Errorf("%q was read as %v", in, got)
		}
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		120 * time.Millisecond: "120ms", 5 * time.Second: "5s", 70 * time.Second: "1m10s", 10 * time.Minute: "10m",
		90 * time.Minute: "1h30m", 20 * time.Hour: "20h", 3 * 24 * time.Hour: "3d",
	} {
		if got := span(d); got != want {
			t.Errorf("%v: %s, not %s", d, got, want)
		}
	}
}

func TestLogsAreJSONUnlessSomebodyReadsThem(t *testing.T) {
	var b bytes.Buffer
	logger(&b, 0).Info("hello", "callId", "call.1")
	if !strings.HasPrefix(b.String(), "{") {
		t.Error(b.String())
	}
}
