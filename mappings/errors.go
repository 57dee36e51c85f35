package mappings

import (
	"fmt"
	"strings"

	"github.com/callsync/callsync/crm"
)

// An Error is something wrong at one place of a mapping file, found while it
// was loaded or, when Call is set, while a call was rendered. It never holds a
// value from a call.
type Error struct {
	Pos  crm.Pos
	Text string // the offending text of the file; "" when there is none to show
	Msg  string // what is wrong
	Hint string // what to write instead; "" when there is nothing to suggest
	Call string // the callId, for an error while rendering
}

func (e *Error) Error() string {
	var b strings.Builder
	if p := e.Pos.String(); p != "" {
		b.WriteString(p)
		b.WriteString(": ")
	}
	if e.Call != "" {
		fmt.Fprintf(&b, "call %s: ", e.Call)
	}
	b.WriteString(e.Msg)
	if e.Hint != "" {
		b.WriteString("; ")
		b.WriteString(e.Hint)
	}
	if at := excerpt(e.Text); !strings.Contains(e.Msg, strings.Trim(at, `"'`)) {
		fmt.Fprintf(&b, " (here: %s)", at)
	}
	return b.String()
}

// excerpt is a text of the file on one line of bounded length.
func excerpt(text string) string {
	return truncate(strings.Join(strings.Fields(text), " "), 80, "…")
}

// Errors are all the errors found in a mapping file and the files it routes to,
// in the order of the text. It unwraps to each of them.
type Errors []*Error

func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap lists the errors for errors.Is and errors.As.
func (es Errors) Unwrap() []error {
	out := make([]error, len(es))
	for i, e := range es {
		out[i] = e
	}
	return out
}

// didYouMean suggests the known name nearest to a mistyped one, or "".
func didYouMean(name string, known []string) string {
	if best := nearest(name, known); best != "" {
		return fmt.Sprintf("did you mean %s?", best)
	}
	return ""
}

// suggest is didYouMean, or all known names after an introduction when none of
// them is near.
func suggest(name string, known []string, introduction string) string {
	if hint := didYouMean(name, known); hint != "" || len(known) == 0 {
		return hint
	}
	return introduction + " " + truncate(strings.Join(known, ", "), 200, "…")
}

// nearest returns the known name that is at most about a third of its letters
// away from name, or "". Of equally near ones the first wins.
func nearest(name string, known []string) string {
	best, bestDistance := "", len([]rune(name))/3+2
	for _, k := range known {
		d := editDistance(strings.ToLower(name), strings.ToLower(k))
		if d < bestDistance && d < len([]rune(k)) {
			best, bestDistance = k, d
		}
	}
	return best
}

// editDistance counts the insertions, deletions, replacements and swaps of
// neighbours that turn a into b.
func editDistance(a, b string) int {
	x, y := []rune(a), []rune(b)
	if len(x) > 64 || len(y) > 64 {
		return 64
	}
	before, last, row := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(x); i++ {
		row[0] = i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(y)]
}
