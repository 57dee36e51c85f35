package mappings

import (
	"fmt"
	"strings"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/internal/spelling"
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
	if best := spelling.Nearest(name, known); best != "" {
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
