package main

import (
	"fmt"
	"os"
	"strings"
	"time"
)

const (
	// redraw is the least time between two pictures of a bar.
	redraw = 100 * time.Millisecond
	// barWidth is that of the bar alone, in columns.
	barWidth = 24
)

// A progress shows on a terminal how far something is, as a bar that moves. Elsewhere
// it shows nothing.
type progress struct {
	p     *printer
	bar   bool
	drawn bool
	last  time.Time
}

func newProgress(p *printer) *progress {
	// What takes less than a picture's time is not worth one.
	return &progress{p: p, bar: p.width > 0 && os.Getenv("TERM") != "dumb", last: now()}
}

// show says that done of so many are done; of is 0 when nobody knows.
func (g *progress) show(what string, done, of int, note string) {
	if !g.bar || now().Sub(g.last) < redraw {
		return
	}
	g.last = now()
	text := fmt.Sprintf("%s %d", what, done)
	if of > 0 {
		text = fmt.Sprintf("%s of %d, %d%%", text, of, percent(done, of))
	}
	if note != "" {
		text += ", " + note
	}
	if of > 0 {
		text = picture(done, of) + " " + text
	}
	g.p.f("\r\x1b[K%s", cut(text, g.p.width-1))
	g.drawn = true
}

// clear takes the bar away, so that something else can be printed.
func (g *progress) clear() {
	if g.drawn {
		g.p.f("\r\x1b[K")
		g.drawn = false
	}
}

func percent(done, of int) int { return 100 * min(done, of) / of }

func picture(done, of int) string {
	full := barWidth * min(done, of) / of
	return "[" + strings.Repeat("=", full) + strings.Repeat(" ", barWidth-full) + "]"
}
