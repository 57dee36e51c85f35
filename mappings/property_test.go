package mappings

import (
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/julian"
)

// anyJSON draws JSON values of every kind, now and then one the mapping has a
// use for.
func anyJSON(depth int) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		kinds := 5
		if depth > 0 {
			kinds = 7
		}
		switch rapid.IntRange(0, kinds).Draw(t, "kind") {
		case 0:
			return nil
		case 1:
			return rapid.Bool().Draw(t, "bool")
		case 2:
			return json.Number(rapid.SampledFrom([]string{"0", "-1", "46", "1e400", "12345678901234567890", "2.5", "1e-9"}).Draw(t, "number"))
		case 3:
			return rapid.String().Draw(t, "string")
		case 4:
			return rapid.SampledFrom([]string{"<string>", "", "+15551234567", "jane@example.com", "2025-09-25T08:20:48Z", "Europe/London",
				"9999-12-31T23:59:59-05:00", "9999-12-31T23:59:59Z", "9999-12-31", "1970-01-01T00:00:00+14:00", "Pacific/Kiritimati",
				"outbound", "inbound", "Goal Completed", "Voicemail", "Opted Out", "completed", "https://example.com/1", "<p>&amp;</p>", "👩‍👩‍👧 ليلى"}).Draw(t, "known")
		case 5:
			return strings.Repeat(rapid.String().Draw(t, "part"), rapid.IntRange(0, 3000).Draw(t, "times"))
		case 6:
			return rapid.SliceOfN(anyJSON(depth-1), 0, 4).Draw(t, "list")
		default:
			return anyObject(depth-1).Draw(t, "object")
		}
	})
}

func anyObject(depth int) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		m := map[string]any{}
		for range rapid.IntRange(0, 5).Draw(t, "size") {
			m[rapid.String().Draw(t, "key")] = anyJSON(depth).Draw(t, "value")
		}
		return m
	})
}

var payloadKeys = []string{
	"agentId", "agentName", "name", "phoneNumber", "phoneNumberExt", "fromPhoneNumber", "scheduledAt", "timezone", "direction",
	"customInputVariables", "duration", "callUrl", "rescheduledAt", "callResult", "crmSchedulingDetails", "sequence", "recordingUrl",
}

var resultKeys = []string{
	"resultType", "summary", "extractedVariables", "agentActions", "humanActions", "transcription", "outcomes", "followUpMeetingDetails",
}

var detailKeys = []string{"description", "status", "actionKey", "metadata", "name", "reasoning", "startTime", "endTime", "hostEmail", "email", "contactId"}

// anyPayload draws payloads whose known fields hold anything.
func anyPayload() *rapid.Generator[map[string]any] {
	return rapid.Custom(func(t *rapid.T) map[string]any {
		detail := func() any {
			m := map[string]any{}
			for _, k := range detailKeys {
				if rapid.Bool().Draw(t, "has "+k) {
					m[k] = anyJSON(1).Draw(t, k)
				}
			}
			return m
		}
		value := func(k string) any {
			switch rapid.IntRange(0, 2).Draw(t, "shape of "+k) {
			case 0:
				return anyJSON(2).Draw(t, k)
			case 1:
				return detail()
			default:
				return []any{detail(), detail()}
			}
		}
		result := map[string]any{}
		for _, k := range resultKeys {
			if rapid.Bool().Draw(t, "has "+k) {
				result[k] = value(k)
			}
		}
		p := map[string]any{"callId": "call." + rapid.StringMatching(`[a-z0-9]{1,190}`).Draw(t, "id")}
		for _, k := range payloadKeys {
			if rapid.Bool().Draw(t, "has "+k) {
				p[k] = value(k)
			}
		}
		if rapid.Bool().Draw(t, "has a result") {
			p["callResult"] = result
		}
		return p
	})
}

// TestRenderAnyPayload holds for the shipped mappings that no payload stops
// them, that the same payload gives the same records, and that what they write
// fits the CRM.
func TestRenderAnyPayload(t *testing.T) {
	for _, kind := range []string{"hubspot", "salesforce"} {
		t.Run(kind, func(t *testing.T) {
			m, err := Builtin(kind, Options{"transcript": true})
			if err != nil {
				t.Fatal(err)
			}
			rapid.Check(t, func(t *rapid.T) {
				raw := anyPayload().Draw(t, "payload")
				at := time.Date(2025, 9, 25, 8, 25, 0, 0, time.UTC)
				body, err := json.Marshal(raw)
				if err != nil {
					t.Fatal(err)
				}
				call, err := julian.Parse(body)
				if err != nil {
					t.Fatal(err)
				}
				d, err := m.Render(call, at)
				if err != nil {
					t.Fatal(err)
				}
				again, err := julian.Parse(body)
				if err != nil {
					t.Fatal(err)
				}
				e, err := m.Explain(again, at)
				if err != nil || !reflect.DeepEqual(d, e.Desired) {
					t.Fatalf("the second rendering differs: %v\n%+v\n%+v", err, d, e.Desired)
				}
				if _, err := json.Marshal(d); err != nil {
					t.Fatalf("what is wanted cannot be kept: %v", err)
				}
				keys := map[string]bool{}
				for _, r := range d.Records {
					if keys[r.Key] || !strings.HasPrefix(r.Key, call.CallID+"#"+r.Block) || len(r.Key) > 255 {
						t.Fatalf("the key %q", r.Key)
					}
					keys[r.Key] = true
					for _, f := range r.Fields {
						fits(t, f)
					}
				}
				if d.Person.Create != "" && d.Person.Key == "" {
					t.Fatal("a person without a key would be created")
				}
			})
		})
	}
}

var lengths = map[string]int{
	"hs_call_body": 65536, "hs_meeting_body": 65536, "hs_internal_meeting_notes": 65536, "hs_task_body": 65536,
	"Description": 32000, "Subject": 255, "CallDisposition": 255, "Company": 255, "hs_call_title": 255,
}

func fits(t *rapid.T, f crm.Field) {
	text := f.Value.Text
	if _, ok := f.Value.Time(); f.Value.Kind == crm.Instant && !ok {
		t.Fatalf("%s is %q, which is no time", f.Name, text)
	}
	if !utf8.ValidString(text) {
		t.Fatalf("%s is not UTF-8", f.Name)
	}
	if n := lengths[f.Name]; n > 0 && units(text) > n {
		t.Fatalf("%s has %d characters", f.Name, units(text))
	}
	if f.Name == "hs_call_body" {
		wellFormed(t, text)
	}
	if strings.HasSuffix(f.Name, "_url") && text != "" && !strings.HasPrefix(strings.ToLower(text), "https://") {
		t.Fatalf("%s is %q", f.Name, text)
	}
}

var markup = regexp.MustCompile(`<(/?)([a-z]+)[^<>]*>|&[a-z#0-9]+;`)

// wellFormed fails for HTML with an open element, a cut tag or a cut entity.
func wellFormed(t *rapid.T, s string) {
	var open []string
	for _, m := range markup.FindAllStringSubmatch(s, -1) {
		switch {
		case m[2] == "" || m[2] == "br":
		case m[1] == "":
			open = append(open, m[2])
		case len(open) == 0 || open[len(open)-1] != m[2]:
			t.Fatalf("</%s> closes nothing in %q", m[2], s)
		default:
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 {
		t.Fatalf("%v left open in %q", open, s)
	}
	if strings.ContainsAny(markup.ReplaceAllString(s, ""), "<>&") {
		t.Fatalf("a cut tag or entity in %q", s)
	}
}

// TestTimesStayInTheCalendar holds for the functions that move times and show
// them elsewhere that they give a time with a year of four digits, or nothing.
func TestTimesStayInTheCalendar(t *testing.T) {
	zones := rapid.SampledFrom([]string{"UTC", "America/New_York", "Pacific/Kiritimati", "Etc/GMT+12", "Atlantis", ""})
	instants := rapid.OneOf(rapid.Int64Range(0, 86400), rapid.Int64Range(253402300799-40*86400, 253402300799), rapid.Int64Range(0, 253402300799))
	shifts := rapid.OneOf(rapid.IntRange(-40, 40), rapid.Int())
	rapid.Check(t, func(t *rapid.T) {
		from := time.Unix(instants.Draw(t, "time"), 0).In(time.FixedZone("", 60*rapid.IntRange(-24*60+1, 24*60-1).Draw(t, "offset")))
		n, zone := shifts.Draw(t, "n"), zones.Draw(t, "zone")
		for _, call := range []struct {
			function string
			args     []any
		}{
			{"time", []any{from.Format(time.RFC3339)}},
			{"addMinutes", []any{from.UTC(), n}}, {"addHours", []any{from.UTC(), n}}, {"addDays", []any{from.UTC(), n, zone}},
			{"businessDay", []any{from.UTC(), n, zone}}, {"businessDay", []any{from.UTC(), n, zone, "23:59"}},
			{"date", []any{from.UTC(), zone}}, {"localTime", []any{from.UTC(), zone, "YYYY-MM-DD"}},
		} {
			v, err := functions[call.function].call(&run{}, call.args)
			if err != nil {
				t.Fatalf("%s(%v): %v", call.function, call.args, err)
			}
			switch v := v.(type) {
			case nil:
			case string:
				if _, err := time.Parse(time.DateOnly, v); err != nil {
					t.Fatalf("%s(%v) is %q", call.function, call.args, v)
				}
			case time.Time:
				for _, at := range []time.Time{v, v.UTC()} {
					if _, err := at.MarshalJSON(); err != nil {
						t.Fatalf("%s(%v): %v", call.function, call.args, err)
					}
				}
				if value := crm.Time(v); !value.IsNull() {
					if _, ok := value.Time(); !ok {
						t.Fatalf("%s(%v) is %v", call.function, call.args, value)
					}
				}
			}
		}
	})
}

func TestTruncateHTML(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var parts []string
		for range rapid.IntRange(0, 8).Draw(t, "parts") {
			parts = append(parts, escape(rapid.StringOf(rapid.SampledFrom([]rune("ab <>&\"\n\t é👩‍"))).Draw(t, "text")))
		}
		s := "<p>" + strings.Join(parts, "</p><ul><li>x<br></li></ul><p>") + "</p>"
		n := rapid.IntRange(0, 200).Draw(t, "n")
		ending := rapid.SampledFrom([]string{"", "…", "<p>…</p>"}).Draw(t, "ending")
		got := truncateHTML(s, n, ending)
		if units(got) > n {
			t.Fatalf("%d characters, not %d: %q", units(got), n, got)
		}
		wellFormed(t, got)
		if units(s) <= n && got != s {
			t.Fatalf("what fits is changed: %q → %q", s, got)
		}
	})
}

func TestTruncate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, n := rapid.String().Draw(t, "s"), rapid.IntRange(0, 40).Draw(t, "n")
		got := truncate(s, n, "…")
		if units(got) > n {
			t.Fatalf("%d characters, not %d", units(got), n)
		}
		if units(s) <= n && got != s {
			t.Fatalf("what fits is changed: %q → %q", s, got)
		}
		if utf8.ValidString(s) && !strings.HasPrefix(s, strings.TrimSuffix(got, "…")) {
			t.Fatalf("%q does not begin %q", got, s)
		}
	})
}

// TestSplitName holds that no part of a name is lost or made up.
func TestSplitName(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := strings.Join(rapid.SliceOf(rapid.SampledFrom([]string{"Victor", "van", "der", "Berg", "Jr.", "ليلى", "👩‍🚀", "O'Brien", "de", "La", "III"})).Draw(t, "words"), " ")
		first, last := splitName(name)
		if got := strings.TrimSpace(first + " " + last); got != name {
			t.Fatalf("%q became %q and %q", name, first, last)
		}
		if name != "" && first == "" {
			t.Fatalf("%q has no first name", name)
		}
	})
}

func TestSplitNames(t *testing.T) {
	for name, want := range map[string][2]string{
		"":                            {"", ""},
		"  ":                          {"", ""},
		"<string>":                    {"", ""},
		"Cher":                        {"Cher", ""},
		"Victor  Wembly":              {"Victor", "Wembly"},
		"Anna Maria Schmidt":          {"Anna Maria", "Schmidt"},
		"Ludwig van Beethoven":        {"Ludwig", "van Beethoven"},
		"Robert Downey Jr.":           {"Robert", "Downey Jr."},
		"van Gogh":                    {"van", "Gogh"},
		"Wembly, Victor":              {"Victor", "Wembly"},
		"Robert Downey, Jr.":          {"Robert", "Downey, Jr."},
		"محمد علي":                    {"محمد", "علي"},
		"李 小龙":                        {"李", "小龙"},
		"👩‍🚀 Ana":                     {"👩‍🚀", "Ana"},
		"Ana\u202eevil\x00 Le Zebrão": {"Ana\u202eevil Le", "Zebrão"},
	} {
		if first, last := splitName(name); first != want[0] || last != want[1] {
			t.Errorf("%q: %q, %q; want %q", name, first, last, want)
		}
	}
}

// TestPlaceholdersAreNotValues pins what does not count as a phone number, an
// address, a link or a time.
func TestPlaceholdersAreNotValues(t *testing.T) {
	call := guideCall(t)
	for _, expression := range []string{
		"e164('<string>')", "e164('')", "e164(nil)", "e164('12')", "e164('5551234567')", "e164([1])", "phone('<string>', '1')",
		"email('<string>')", "email('a@b')", "email('Jane <jane@example.com>')", "email('a@b.c, d@e.f')", "email('jane@example..com')", "email(5)",
		"url('<string>')", "url('javascript:alert(1)')", "url('https://')", "url('https://user:pass@example.com')", "url('https://exa mple.com')",
		"url('https://example.com/\"onclick=\"x')", "url('ftp://example.com')", "owner('<string>')", "owner('[email protected]')", "owner(nil)",
		"time('<string>')", "disposition('')", "disposition(nil)", "extension('<string>')", "number('<string>')", "businessDay('<string>', 1, 'UTC')",
	} {
		v, _, err := evaluate(t, expression, call)
		if err != nil {
			t.Errorf("%s: %v", expression, err)
		} else if got := written(v); got != "nil" {
			t.Errorf("%s → %s", expression, got)
		}
	}
}

// TestLargestBody renders a call whose transcript fills half the largest body
// that is accepted by default, and one with thousands of actions.
func TestLargestBody(t *testing.T) {
	m, err := Builtin("hubspot", Options{"transcript": true})
	if err != nil {
		t.Fatal(err)
	}
	call := guideCall(t)
	call.Result.Transcription = strings.Repeat("User: <yes> & no…\n", 5<<20/20)
	for range 5000 {
		call.Result.HumanActions = append(call.Result.HumanActions, julian.Action{Description: "Call again", Status: "open"})
	}
	d, err := m.Render(call, time.Now())
	if err != nil || len(d.Records) != 5001 {
		t.Fatalf("%v", err)
	}
}

// TestRenderConcurrently is for the race detector.
func TestRenderConcurrently(t *testing.T) {
	m, err := Builtin("hubspot", nil)
	if err != nil {
		t.Fatal(err)
	}
	call := guideCall(t)
	at := time.Unix(1, 0)
	want, err := m.Render(call, at)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 5 {
				if got, err := m.Render(call, at); err != nil || !reflect.DeepEqual(got, want) {
					t.Errorf("another rendering at the same time: %v", err)
				}
			}
		})
	}
	wg.Wait()
}

// TestNamesAreUnique holds that no function hides a field of the call.
func TestNamesAreUnique(t *testing.T) {
	for name := range callTypes(nil, nil) {
		if _, ok := functions[name]; ok || slices.Contains(kept, name) {
			t.Errorf("%s is both a field and a function", name)
		}
	}
}

func BenchmarkRender(b *testing.B) {
	for _, kind := range []string{"hubspot", "salesforce"} {
		b.Run(kind, func(b *testing.B) {
			m, err := Builtin(kind, nil)
			if err != nil {
				b.Fatal(err)
			}
			call := guideCall(b)
			at := time.Now()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := m.Render(call, at); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkLoad(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Builtin("hubspot", nil); err != nil {
			b.Fatal(err)
		}
	}
}
