package mappings

import (
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// FuzzFile loads anything as a mapping file. Whatever is wrong has a place in
// the file; what loads renders.
func FuzzFile(f *testing.F) {
	for _, name := range []string{"hubspot.toml", "salesforce.toml"} {
		source, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(source))
	}
	f.Add("[contact]\nobject = \"c\"\nmatch = [{ id = \"callId\" }]\n[contact.fields]\nx = \"\"\"\\\n  name\"\"\"\n")
	f.Add("[contact]\nmatch = [{}]\n")
	f.Add("a.b = 1\n[[route]]\nwhen = true\nskip = \"x\"\n")
	call := guideCall(f)
	f.Fuzz(func(t *testing.T, source string) {
		if strings.Contains(source, "mapping") {
			t.Skip() // a route would read files
		}
		m, err := Parse("m.toml", []byte(source), nil)
		if err != nil {
			var all Errors
			if !errors.As(err, &all) {
				t.Fatalf("%T: %v", err, err)
			}
			lines := strings.Count(source, "\n") + 1
			for _, e := range all {
				if e.Pos.Line < 1 && len(source) <= maxSource || e.Pos.Line > lines {
					t.Fatalf("no such place: %v", e)
				}
			}
			return
		}
		renders(t, m)
		_, _ = m.Render(call, time.Unix(0, 0))
	})
}

func renders(t *testing.T, m *Mapping) {
	t.Helper()
	_, err := m.Render(guideCall(t), time.Unix(1, 0))
	var e *Error
	if err != nil && (!errors.As(err, &e) || e.Call == "") {
		t.Fatalf("%T: %v", err, err)
	}
}

// FuzzExpression compiles and runs anything as an expression.
func FuzzExpression(f *testing.F) {
	for _, seed := range []string{
		"firstName(name)", "let x = 1..100; count(x, # > 5)", "followUpMeetingDetails?.startTime ?? received",
		"{'a': 1}[direction]", "map(outcomes, join([.name, .reasoning]))", "truncate(summary, -1)", "summary[1:-1]",
		"reduce(1..10, #acc + #, 0)", "name matches '^V' and not (duration > 5)", "2 ** 1000", "sortBy(outcomes, .name, 'desc')",
		"businessDay(received, 99999999, 'UTC')", "concat([1], [2])[5]", "localTime(received, timezone, '[[[]')", "-duration % 0",
	} {
		f.Add(seed)
	}
	call := guideCall(f)
	f.Fuzz(func(t *testing.T, text string) {
		_, _, err := evaluate(t, text, call)
		var e *Error
		if err != nil && !errors.As(err, &e) {
			t.Fatalf("%T: %v", err, err)
		}
	})
}

var e164Form = regexp.MustCompile(`^\+[1-9][0-9]{1,16}$`)

// FuzzPhone holds that what the phone functions answer is a phone number.
func FuzzPhone(f *testing.F) {
	f.Add("+15551234567", "42", "US")
	f.Add("<string>", "<string>", "")
	f.Add("(555) 123-4567 x9", "", "us")
	f.Add("٠١٢٣٤٥٦٧٨٩", "ext", "ÄÖ")
	f.Fuzz(func(t *testing.T, number, ext, region string) {
		r := &run{}
		v, err := phone(r, []any{number, ext, region})
		if err != nil {
			t.Fatal(err)
		}
		s, ok := v.(string)
		if !ok {
			return
		}
		digits, extension, _ := strings.Cut(s, " ext. ")
		if !e164Form.MatchString(digits) {
			t.Fatalf("%q is no phone number", digits)
		}
		if !utf8.ValidString(s) || len(extension) > 10 {
			t.Fatalf("%q has a bad extension", s)
		}
	})
}
