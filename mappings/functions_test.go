package mappings

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/julian"
)

const reference = "../docs/mappings.md"

// evaluate runs one expression against a call.
func evaluate(t testing.TB, text string, c *julian.Call) (any, *run, error) {
	t.Helper()
	return evaluateAfter(t, 0, text, c)
}

// evaluateAfter runs an expression when part of the work allowed is done.
func evaluateAfter(t testing.TB, spent int, text string, c *julian.Call) (any, *run, error) {
	t.Helper()
	n := &node{kind: kindString, str: text, raw: text}
	p, e := compile(n, callTypes(map[string]any{"transcript": true}, nil))
	if e != nil {
		return nil, nil, e
	}
	m := &Mapping{def: &definition{options: map[string]any{"transcript": true}, usesRaw: true}}
	r := newRenderer(m, c, time.Date(2025, 9, 25, 8, 25, 0, 0, time.UTC))
	r.run.spent = spent
	v, err := r.eval(p)
	return v, r.run, err
}

func guideCall(t testing.TB) *julian.Call {
	t.Helper()
	body, err := os.ReadFile("testdata/callresults-guide.json")
	if err != nil {
		t.Fatal(err)
	}
	c, err := julian.Parse(body)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// written is a result as docs/mappings.md writes it.
func written(v any) string {
	switch v := v.(type) {
	case nil:
		return "nil"
	case string:
		return strconv.Quote(v)
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano)
	case crm.Value:
		if v.IsNull() {
			return "nil"
		}
		return v.String()
	default:
		text, err := json.Marshal(v)
		if err != nil {
			return fmt.Sprint(v)
		}
		return string(text)
	}
}

var exampleBlock = regexp.MustCompile("(?s)```example\n(.*?)```")

// TestReferenceExamples runs every example of docs/mappings.md.
func TestReferenceExamples(t *testing.T) {
	text, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	call := guideCall(t)
	for _, block := range exampleBlock.FindAllStringSubmatch(string(text), -1) {
		for line := range strings.Lines(block[1]) {
			expression, want, ok := strings.Cut(strings.TrimSpace(line), " → ")
			if !ok {
				t.Errorf("not an example: %s", line)
				continue
			}
			v, _, err := evaluate(t, expression, call)
			if err != nil {
				t.Errorf("%s: %v", expression, err)
			} else if got := written(v); unquoted(got) != unquoted(want) {
				t.Errorf("%s → %s, the reference says %s", expression, got, want)
			}
		}
	}
}

// unquoted reads a quoted text, so that it does not matter which characters it
// escapes.
func unquoted(s string) string {
	if u, err := strconv.Unquote(s); err == nil {
		return u
	}
	return s
}

// TestReferenceIsComplete finds functions that docs/mappings.md does not explain
// by an example.
func TestReferenceIsComplete(t *testing.T) {
	text, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	var examples strings.Builder
	for _, block := range exampleBlock.FindAllStringSubmatch(string(text), -1) {
		examples.WriteString(block[1])
	}
	words := strings.Join(strings.Fields(string(text)), " ")
	for _, name := range functionNames() {
		if !strings.Contains(words, functions[name].usage) && !strings.Contains(words, "`"+name+"(") {
			t.Errorf("the reference does not explain %s", functions[name].usage)
		}
		if !regexp.MustCompile(`\b` + name + `\(`).MatchString(examples.String()) {
			t.Errorf("the reference has no example of %s", name)
		}
	}
	for _, name := range kept {
		if !strings.Contains(words, "`"+name+"`") && !strings.Contains(words, name+"(") {
			t.Errorf("the reference does not mention %s", name)
		}
	}
}

var tomlBlock = regexp.MustCompile("(?s)```toml\n(.*?)```")

// TestReferenceFilesCompile compiles every mapping that docs/mappings.md shows.
func TestReferenceFilesCompile(t *testing.T) {
	text, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	blocks := tomlBlock.FindAllStringSubmatch(string(text), -1)
	if len(blocks) < 5 {
		t.Fatalf("found %d mappings", len(blocks))
	}
	for i, block := range blocks {
		source := block[1]
		if strings.HasPrefix(source, "[record.fields]") {
			source = "[[record]]\nkey = \"call\"\nobject = \"calls\"\n" + source
		}
		if !strings.Contains(source, "[contact]") {
			source = "[contact]\nobject = \"contacts\"\nmatch = []\n" + source
		}
		if _, err := Parse(fmt.Sprintf("block %d", i+1), []byte(source), nil); err != nil {
			t.Errorf("%v\n%s", err, block[1])
		}
	}
}

// TestMissingValues holds what docs/mappings.md says about what is missing.
func TestMissingValues(t *testing.T) {
	call, err := julian.Parse([]byte(`{"callId":"call.1","customInputVariables":{"n":7,"f":1.5,"big":12345678901234567890,"list":[1,2]}}`))
	if err != nil {
		t.Fatal(err)
	}
	for expression, want := range map[string]string{
		"followUpMeetingDetails.startTime":                  "nil",
		"followUpMeetingDetails.startTime != nil":           "false",
		"callResult.followUpMeetingDetails.hostEmail == ''": "false",
		"extractedVariables.a.b.c":                          "nil",
		"outcomes[0].name":                                  "nil",
		"outcomes[-1].name":                                 "nil",
		"extractedVariables.budget > 1000":                  "false",
		"extractedVariables.budget < 1000":                  "false",
		"extractedVariables.budget * 2":                     "nil",
		"-extractedVariables.budget":                        "nil",
		"'a' + extractedVariables.x":                        `"a"`,
		"extractedVariables.x contains 'a'":                 "false",
		"extractedVariables.x matches 'a'":                  "false",
		"not extractedVariables.x":                          "true",
		"extractedVariables.x and true":                     "false",
		"extractedVariables.x ? 1 : 2":                      "2",
		"extractedVariables.x in ['a']":                     "false",
		"'a' in extractedVariables.x":                       "false",
		"len(extractedVariables.x)":                         "0",
		"map(extractedVariables.x, .y)":                     "[]",
		"filter(raw.actions, .done)":                        "[]",
		"first(outcomes).name":                              "nil",
		"extractedVariables.x[1:3]":                         "nil",
		"summary[0:5]":                                      `""`,
		"'añb'[0:2]":                                        `"añ"`,
		"scheduledAt > received":                            "false",
		"scheduledAt ?? received":                           "2025-09-25T08:25:00Z",
		"customInputVariables.n + 1":                        "8",
		"customInputVariables.f * 2":                        "3",
		"customInputVariables.big":                          `"12345678901234567890"`,
		"customInputVariables.list[1]":                      "2",
		"sum(customInputVariables.list)":                    "3",
		"raw.callId":                                        `"call.1"`,
		"customInputVariables?.n":                           "7",
		"max(extractedVariables.x, 3)":                      "3",
		"min(extractedVariables.x, scheduledAt, received)":  "2025-09-25T08:25:00Z",
		"max([])":                                "nil",
		"max(duration, [4, 9], 2.5)":             "9",
		"sum(map([1, 2], extractedVariables.x))": "0",
		"sum([{'a': 1}, {}], .a)":                "1",
		"mean([1, nil, 3])":                      "2",
		"concat(extractedVariables.x, [1], extractedVariables.y)": "[1]",
		"7 / 0":                           "nil",
		"7 % 0":                           "nil",
		"{'a': 'A'}[direction] ?? 'none'": `"none"`,
		"let x = extractedVariables.y; x.z == nil":          "true",
		"reduce(customInputVariables.list, #acc + #, 0)":    "3",
		"find(humanActions, .status == 'open').description": "nil",
		"interim": "false",
		"addMinutes(time('9999-12-31T23:59:00Z'), 1)":                            "nil",
		"addHours(time('9999-12-31T23:59:00Z'), -1)":                             "9999-12-31T22:59:00Z",
		"addHours(time('9999-12-31T23:00:00Z'), 876600)":                         "nil",
		"addDays(time('9999-12-31T08:00:00Z'), 1, 'UTC')":                        "nil",
		"addDays(time('9999-12-31T23:00:00Z'), 0, 'Asia/Tokyo')":                 "nil",
		"businessDay(time('9999-12-31T08:00:00Z'), 1, 'UTC')":                    "nil",
		"businessDay(time('9999-12-31T13:00:00Z'), 0, 'Etc/GMT+12', '23:00')":    "nil",
		"date(time('9999-12-31T23:00:00Z'), 'Asia/Tokyo')":                       "nil",
		"localTime(time('9999-12-31T23:00:00Z'), 'Asia/Tokyo')":                  "nil",
		"time('9999-12-31T23:59:59-05:00')":                                      "nil",
		"1..3":                                                                   "[1,2,3]",
		"sortBy([{'a': 2}, {'a': 1}], .a)[0].a":                                  "1",
		"any(outcomes, .name == 'x') or count(outcomes, true) == 0":              "true",
		"callId in ['call.1'] and callId not in ['call.2'] and 'a' != direction": "true",
	} {
		v, _, err := evaluate(t, expression, call)
		if err != nil {
			t.Errorf("%s: %v", expression, err)
		} else if got := written(v); got != want {
			t.Errorf("%s → %s, want %s", expression, got, want)
		}
	}
}

// TestWorkIsBounded runs expressions that would take the memory or the day.
func TestWorkIsBounded(t *testing.T) {
	call := guideCall(t)
	call.Result.Transcription = strings.Repeat("long words ", 20_000)
	for _, expression := range []string{
		"let a = 1..9999; count(a, count(a, count(a, true) > 0) > 0)",
		"len(1..1000000000)",
		"len(join(map(1..9999, transcription)))",
		"len(map(1..9999, html(transcription)))",
		"let a = replace(transcription, 'o', transcription); len(a)",
		"let a = 1..9999; let b = concat(a,a,a,a,a,a,a,a,a,a); let c = concat(b,b,b,b,b,b,b,b,b,b); let d = concat(c,c,c,c,c,c,c,c,c,c); len(d)",
		"reduce(1..9999, #acc + #acc, 'x')",
		"count(1..9999, count(1..9999, transcription matches '(a|b)*c') > 0)",
		"count(1..9999, max(map(1..9999, #)) > 1) ",
		"count(1..9999, len(split(transcription, ' ')) > 0)",
	} {
		_, _, err := evaluateAfter(t, maxWork-maxWork/32, expression, call)
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%s: no error, but %v", expression, err)
		}
	}
}
