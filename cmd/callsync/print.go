package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"reflect"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// A printer writes for people. Whatever it is given to print, text from
// payloads, CRMs and errors included, reaches the terminal without control
// characters and escape sequences; only the printer's own colours do.
type printer struct {
	w      io.Writer
	width  int // columns of the terminal; 0 when w is none
	colour bool
}

func newPrinter(w io.Writer) *printer {
	p := &printer{w: w}
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return p
	}
	p.width = 80
	if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
		p.width = width
	}
	p.colour = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return p
}

// A colour is an SGR parameter.
type colour string

const (
	plain  colour = ""
	bold   colour = "1"
	dim    colour = "2"
	red    colour = "31"
	green  colour = "32"
	yellow colour = "33"
	cyan   colour = "36"
)

// Styled is text in a colour.
type styled struct {
	text string
	c    colour
}

func (p *printer) paint(s styled) string {
	text := clean(s.text)
	if !p.colour || s.c == plain || text == "" {
		return text
	}
	return "\x1b[" + string(s.c) + "m" + text + "\x1b[0m"
}

// f prints like fmt.Printf with every argument that is text made harmless.
func (p *printer) f(format string, args ...any) {
	safe := make([]any, len(args))
	for i, arg := range args {
		safe[i] = p.harmless(arg)
	}
	fmt.Fprintf(p.w, format, safe...)
}

func (p *printer) harmless(arg any) any {
	switch v := arg.(type) {
	case styled:
		return p.paint(v)
	case error:
		return cleanLines(v.Error())
	case fmt.Stringer:
		return clean(v.String())
	case nil:
		return arg
	}
	switch v := reflect.ValueOf(arg); v.Kind() {
	case reflect.String:
		return clean(v.String())
	case reflect.Bool, reflect.Int, reflect.Int64, reflect.Uint64, reflect.Int32, reflect.Uint32, reflect.Uint8, reflect.Float64:
		return arg
	default:
		return clean(fmt.Sprint(arg))
	}
}

// lines cuts text to what fills so many lines of the terminal; elsewhere it stays
// whole.
func (p *printer) lines(text string, n int) string {
	if p.width == 0 {
		return text
	}
	return cut(clean(text), n*p.width)
}

// wrap prints text after a prefix, on a terminal in as many lines as it needs,
// those after the first as far to the right.
func (p *printer) wrap(prefix string, s styled) {
	if p.width == 0 {
		p.f("%s%s\n", prefix, s)
		return
	}
	hang := strings.Repeat(" ", columns(prefix))
	line := ""
	for _, word := range strings.Fields(clean(s.text)) {
		if line != "" && columns(prefix)+columns(line)+1+columns(word) > p.width {
			p.f("%s%s\n", prefix, styled{line, s.c})
			prefix, line = hang, ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	p.f("%s%s\n", prefix, styled{line, s.c})
}

// list prints items with commas between them, on as many indented lines as they
// need.
func (p *printer) list(items []string) {
	width := p.width
	if width == 0 {
		width = 100
	}
	line := ""
	for i, item := range items {
		if i < len(items)-1 {
			item += ","
		}
		if line != "" && columns(line)+1+columns(item) > width-2 {
			p.f("  %s\n", line)
			line = ""
		}
		line = strings.TrimSpace(line + " " + item)
	}
	if line != "" {
		p.f("  %s\n", line)
	}
}

// json prints a value for scripts, on several lines.
func (p *printer) json(v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = io.WriteString(p.w, escapeJSON(string(b))+"\n")
	return err
}

// clean replaces what could command a terminal, or reorder the line around it,
// by its escaped form; line breaks and tabs become spaces.
func clean(s string) string {
	if !strings.ContainsFunc(s, unsafe) && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			b.WriteByte(' ')
		case unsafe(r):
			q := strconv.QuoteRuneToASCII(r)
			b.WriteString(q[1 : len(q)-1])
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// cleanLines is clean for text of several lines, such as a list of problems.
func cleanLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = clean(line)
	}
	return strings.Join(lines, "\n")
}

// escapeJSON escapes what encoding/json leaves alone in its strings. Outside of
// strings there is nothing of the kind but line breaks.
func escapeJSON(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r != '\n' && unsafe(r) }) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if r != '\n' && unsafe(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// A harmlessWriter escapes what could command a terminal in JSON, however it is cut
// into pieces. Close writes what is left of a rune that never was completed. It is
// not safe for concurrent use.
type harmlessWriter struct {
	w    io.Writer
	part []byte // the beginning of a rune
}

func harmless(w io.Writer) *harmlessWriter { return &harmlessWriter{w: w} }

func (h *harmlessWriter) Write(p []byte) (int, error) {
	text := append(h.part, p...)
	whole := len(text) - incomplete(text)
	h.part = bytes.Clone(text[whole:])
	if _, err := io.WriteString(h.w, escapeJSON(string(text[:whole]))); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (h *harmlessWriter) Close() error {
	_, err := io.WriteString(h.w, escapeJSON(string(h.part)))
	h.part = nil
	return err
}

// verbatim is where bytes go that are somebody else's: a file or a pipe gets them as
// they are, a terminal made harmless. Close it behind the last.
func (p *printer) verbatim() io.WriteCloser {
	if p.width > 0 {
		return harmless(p.w)
	}
	return unclosed{p.w}
}

// An unclosed writer stays open.
type unclosed struct{ io.Writer }

func (unclosed) Close() error { return nil }

// incomplete is how many bytes at the end of text begin a rune of which more is to
// come.
func incomplete(text []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(text); n++ {
		if last := text[len(text)-n:]; utf8.RuneStart(last[0]) {
			if utf8.FullRune(last) {
				return 0
			}
			return n
		}
	}
	return 0
}

// unsafe reports control characters, C1 included, and the invisible ones that
// change the direction of text.
func unsafe(r rune) bool {
	return unicode.IsControl(r) ||
		r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 ||
		r == 0x200e || r == 0x200f || r == 0x061c || r == 0x2028 || r == 0x2029 || r == utf8.RuneError
}
