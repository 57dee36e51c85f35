package julian_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/callsync/callsync/julian"
)

func at(t *testing.T, s string) *time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return &v
}

func TestParseGuideSample(t *testing.T) {
	got, err := julian.Parse(sample(t, "callresults-guide.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Warnings) != 0 {
		t.Errorf("warnings: %v", got.Warnings)
	}
	want := &julian.Call{
		AgentID: "agent.abc123", AgentName: "Inbound Agent", CallID: "call.abc123", Name: "Victor Wembly",
		PhoneNumber: "+15551234567", FromPhoneNumber: "+15559876543",
		ScheduledAt: at(t, "2025-09-25T08:20:48.760Z"), Timezone: "Europe/London", Direction: "outbound",
		CustomInputVariables: map[string]any{"prospect_name": "Victor", "prospect_surname": "Wemby"},
		Duration:             46, CallURL: "https://julian.11x.ai/.../calls/call.abc123",
		Result: julian.Result{
			ResultType: julian.GoalCompleted,
			Summary:    "Julian reached Victor and booked a follow-up meeting.",
			ExtractedVariables: map[string]any{
				"example__summary": "User inquired to request...", "example__appt_time": "2025-09-25T08:20:48.760Z",
			},
			AgentActions: []julian.Action{{
				Description: "Scheduled follow-up meeting", Status: "completed", ActionKey: "schedule_meeting",
				CompletedAt: at(t, "2025-09-25T08:21:30.000Z"), Metadata: map[string]any{},
			}},
			Transcription: "User: ...",
			Outcomes:      []julian.Outcome{{Name: "interested", Reasoning: "Customer expressed interest in the product"}},
		},
		Sequence: julian.Sequence{SequenceID: "call-sequence.xyz123", LifecycleStatus: "in progress"},
	}
	want.Raw = got.Raw
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got.Raw["callId"] != "call.abc123" {
		t.Error("the raw payload is not kept")
	}
}

// The reference's example has placeholders where dates belong, an address that
// is none, and no resultType.
func TestParseReferenceSample(t *testing.T) {
	got, err := julian.Parse(sample(t, "callresults-reference.json"))
	if err != nil {
		t.Fatal(err)
	}
	var fields []string
	for _, w := range got.Warnings {
		fields = append(fields, w.Field)
	}
	want := []string{"callResult.agentActions[0].completedAt", "callResult.humanActions[0].completedAt"}
	if !slices.Equal(fields, want) {
		t.Errorf("warnings: %v", got.Warnings)
	}
	if got.Result.HumanActions[0].CompletedAt != nil {
		t.Error("a placeholder became a time")
	}
	if got.Interim() || got.Result.ResultType != "" {
		t.Error("without a resultType a call is terminal")
	}
	if f := got.Result.FollowUp; f == nil || f.HostEmail == "" || !f.StartTime.Equal(*at(t, "2023-11-07T05:31:56Z")) {
		t.Errorf("follow-up: %+v", f)
	}
}

func TestParseRefuses(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 100_000)
	tests := []struct {
		name, body string
		want       error
	}{
		{"empty", "", julian.ErrNotObject},
		{"spaces", " \n", julian.ErrNotObject},
		{"null", "null", julian.ErrNotObject},
		{"string", `"callId"`, julian.ErrNotObject},
		{"list", `[{"callId":"c"}]`, julian.ErrNotObject},
		{"torn", `{"callId":"c"`, julian.ErrNotObject},
		{"followed", `{"callId":"c"} x`, julian.ErrNotObject},
		{"deep", deep, julian.ErrNotObject},
		{"comment", `{"callId":"c"}//`, julian.ErrNotObject},
		{"NaN", `{"callId":"c","duration":NaN}`, julian.ErrNotObject},
		{"raw NUL", "{\"callId\":\"a\x00b\"}", julian.ErrNotObject},
		{"UTF-16", "\xff\xfe{\x00}\x00", julian.ErrNotObject},
		{"no callId", `{}`, julian.ErrNoCallID},
		{"null callId", `{"callId":null}`, julian.ErrNoCallID},
		{"empty callId", `{"callId":"  "}`, julian.ErrNoCallID},
		{"callId in another case", `{"callid":"c"}`, julian.ErrNoCallID},
		{"object callId", `{"callId":{"a":1}}`, julian.ErrNoCallID},
		{"NUL in callId", `{"callId":"a\u0000b"}`, julian.ErrNoCallID},
		{"C1 control in callId", `{"callId":"a\u009bb"}`, julian.ErrNoCallID},
		{"lone surrogate in callId", `{"callId":"a\ud800"}`, julian.ErrNoCallID},
		{"broken UTF-8 in callId", "{\"callId\":\"a\xff\"}", julian.ErrNoCallID},
		{"long callId", `{"callId":"` + strings.Repeat("x", julian.MaxCallID+1) + `"}`, julian.ErrNoCallID},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if c, err := julian.Parse([]byte(tt.body)); !errors.Is(err, tt.want) {
				t.Errorf("got %v, %v; want %v", c, err, tt.want)
			}
		})
	}
}

// What is not usable is warned about, and never fatal.
func TestParseWarns(t *testing.T) {
	const noResult = "callResult: is missing; treated as terminal, without a result"
	const busy = `"callResult":{"resultType":"Busy"}`
	tests := []struct {
		body string // beside the callId
		want string // the warning; "" for none, but that there is no result
		get  func(*julian.Call) any
		is   any
	}{
		{`"callId":"second"`, "", func(c *julian.Call) any { return c.CallID }, "second"},
		{`"callId":123`, "callId: should be a string, is a number", func(c *julian.Call) any { return c.CallID }, "123"},
		{`"name":["a"]`, "name: should be a string, is a list", func(c *julian.Call) any { return c.Name }, ""},
		{`"name":"a\u0000\ud800"`, "", func(c *julian.Call) any { return c.Name }, "a\x00\ufffd"},
		{`"duration":46.5`, "", func(c *julian.Call) any { return c.Duration }, 47},
		{`"duration":"46"`, "duration: should be a number, is a string", func(c *julian.Call) any { return c.Duration }, 46},
		{`"duration":"null"`, "duration: is not a usable number", func(c *julian.Call) any { return c.Duration }, 0},
		{`"duration":-1`, "duration: is not a usable number", func(c *julian.Call) any { return c.Duration }, 0},
		{`"duration":1e999999999`, "duration: is not a usable number", func(c *julian.Call) any { return c.Duration }, 0},
		{`"duration":{}`, "duration: should be a number, is an object", func(c *julian.Call) any { return c.Duration }, 0},
		{`"scheduledAt":"yesterday"`, "scheduledAt: is not an RFC 3339 time; ignored", func(c *julian.Call) any { return c.ScheduledAt == nil }, true},
		{`"scheduledAt":1758788448`, "scheduledAt: should be an RFC 3339 time, is a number", func(c *julian.Call) any { return c.ScheduledAt == nil }, true},
		{`"scheduledAt":"0001-01-01T00:00:00Z"`, "scheduledAt: is not an RFC 3339 time; ignored", func(c *julian.Call) any { return c.ScheduledAt == nil }, true},
		{`"scheduledAt":"9999-12-31T23:59:59-05:00"`, "scheduledAt: is not an RFC 3339 time; ignored", func(c *julian.Call) any { return c.ScheduledAt == nil }, true},
		{`"scheduledAt":"9999-12-31T23:59:59Z"`, "", func(c *julian.Call) any { return c.ScheduledAt.UTC().Year() }, 9999},
		{`"scheduledAt":"1970-01-01T00:00:00+01:00"`, "scheduledAt: is not an RFC 3339 time; ignored", func(c *julian.Call) any { return c.ScheduledAt == nil }, true},
		{`"callResult":{"followUpMeetingDetails":{"startTime":"9999-12-31T12:00:00-23:59"}}`, "callResult.followUpMeetingDetails.startTime: is not an RFC 3339 time; ignored", func(c *julian.Call) any { return c.Result.FollowUp.StartTime == nil }, true},
		{`"direction":"Inbound"`, "", func(c *julian.Call) any { return c.Direction }, "inbound"},
		{`"agentId":"` + strings.Repeat("é", 101) + `"`, "agentId: has 202 bytes; cut to 200", func(c *julian.Call) any { return c.AgentID }, strings.Repeat("é", 100)},
		{`"agentId":"x` + strings.Repeat("é", 100) + `"`, "agentId: has 201 bytes; cut to 200", func(c *julian.Call) any { return len(c.AgentID) }, 199},
		{`"direction":"` + strings.Repeat("x", 50_000) + `"`, "direction: has 50000 bytes; cut to 200", func(c *julian.Call) any { return len(c.Direction) }, 200},
		{`"callResult":{"resultType":"` + strings.Repeat("x", 50_000) + `"}`, "callResult.resultType: has 50000 bytes; cut to 200\ncallResult.resultType: is not a documented result; treated as terminal", func(c *julian.Call) any { return len(c.Result.ResultType) }, 200},
		{`"callResult":"done"`, "callResult: should be an object, is a string", func(c *julian.Call) any { return c.Result.ResultType }, julian.ResultType("")},
		{`"callResult":{"resultType":"Left a Fax"}`, "callResult.resultType: is not a documented result; treated as terminal", func(c *julian.Call) any { return c.Interim() }, false},
		{`"callResult":{"resultType":"Calling"}`, "", func(c *julian.Call) any { return c.Interim() }, true},
		{`"callResult":{"outcomes":[1,{"name":"n"}]}`, "callResult.outcomes[0]: should be an object, is a number", func(c *julian.Call) any { return len(c.Result.Outcomes) }, 1},
		{`"callResult":{"humanActions":{"a":1}}`, "callResult.humanActions: should be a list, is an object", func(c *julian.Call) any { return len(c.Result.HumanActions) }, 0},
		{`"callResult":{"followUpMeetingDetails":{}}`, "", func(c *julian.Call) any { return c.Result.FollowUp == nil }, true},
		{`"callResult":{"transcription":true}`, "callResult.transcription: should be a string, is true or false", func(c *julian.Call) any { return c.Result.Transcription }, ""},
		{`"callResult":null`, noResult, func(c *julian.Call) any { return c.Interim() }, false},
		{`"callResult":{"resultType":null}`, "", func(c *julian.Call) any { return c.Interim() }, false},
		{"\"name\":\"a\xffb\"," + busy, "body: is not UTF-8 throughout; what is not was replaced by U+FFFD", func(c *julian.Call) any { return c.Name }, "a\ufffdb"},
		{"\"\xff\":1," + busy, "body: is not UTF-8 throughout; what is not was replaced by U+FFFD", func(c *julian.Call) any { return len(c.Raw) }, 3},
		{`"customInputVariables":null,"crmSchedulingDetails":null,"sequence":null,"rescheduledAt":null`, "", func(c *julian.Call) any { return len(c.CustomInputVariables) }, 0},
	}
	for _, tt := range tests {
		c, err := julian.Parse([]byte(`{"callId":"call.1",` + tt.body + `}`))
		if err != nil {
			t.Errorf("%s: %v", tt.body, err)
			continue
		}
		var got []string
		for _, w := range c.Warnings {
			if w.String() != noResult || tt.want == noResult {
				got = append(got, w.String())
			}
		}
		if strings.Join(got, "\n") != tt.want {
			t.Errorf("%s: warnings %q, want %q", tt.body, got, tt.want)
		}
		if v := tt.get(c); v != tt.is {
			t.Errorf("%s: read as %v, want %v", tt.body, v, tt.is)
		}
	}
}

// Every field may have every wrong type.
func TestParseAnyTypeAnywhere(t *testing.T) {
	var walk func(prefix []string, v any)
	var template map[string]any
	if err := json.Unmarshal(sample(t, "callresults-reference.json"), &template); err != nil {
		t.Fatal(err)
	}
	values := []string{`null`, `true`, `1`, `-0.5e3`, `"x"`, `[]`, `[[1]]`, `{}`, `{"a":{"b":[null]}}`}
	try := func(path []string) {
		for _, v := range values {
			body := v
			for _, k := range slices.Backward(path) {
				body = fmt.Sprintf(`{%q:%s}`, k, body)
			}
			body = `{"callId":"call.1",` + strings.TrimPrefix(body, "{")
			c, err := julian.Parse([]byte(body))
			if err != nil && path[0] != "callId" {
				t.Errorf("%s: %v", body, err)
			}
			if err == nil && c.Raw == nil {
				t.Errorf("%s: raw payload lost", body)
			}
		}
	}
	walk = func(prefix []string, v any) {
		m, ok := v.(map[string]any)
		if !ok {
			return
		}
		for k, x := range m {
			path := append(slices.Clone(prefix), k)
			try(path)
			walk(path, x)
		}
	}
	walk(nil, template)
}

func TestParseBoundsWarnings(t *testing.T) {
	body := `{"callId":"c","callResult":{"outcomes":[` + strings.Repeat("1,", 100_000) + `1]}}`
	c, err := julian.Parse([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(c.Warnings); n == 0 || n > 100 {
		t.Fatalf("%d warnings", n)
	}
	if last := c.Warnings[len(c.Warnings)-1].Text; !strings.Contains(last, "more") {
		t.Errorf("the last warning is %q", last)
	}
}

func TestResultTypes(t *testing.T) {
	interim := 0
	for _, r := range julian.ResultTypes() {
		if !r.Known() {
			t.Errorf("%s is not known", r)
		}
		if r.Interim() {
			interim++
		}
	}
	if interim != 4 || len(julian.ResultTypes()) != 13 {
		t.Errorf("%d of %d are interim", interim, len(julian.ResultTypes()))
	}
}

// received fails unless Receive makes of body what Parse does, but for the maps.
func received(t *testing.T, body []byte, parsed *julian.Call, hash string) {
	t.Helper()
	want := *parsed
	want.Raw, want.CustomInputVariables, want.CRMSchedulingDetails, want.Result.ExtractedVariables = nil, nil, nil, nil
	without := func(actions []julian.Action) (out []julian.Action) {
		for _, a := range actions {
			a.Metadata = nil
			out = append(out, a)
		}
		return out
	}
	want.Result.AgentActions, want.Result.HumanActions = without(want.Result.AgentActions), without(want.Result.HumanActions)
	got, h, err := julian.Receive(body)
	if err != nil || h != hash || !reflect.DeepEqual(*got, want) {
		t.Errorf("%s\nis received as %+v, %s, %v\nnot %+v, %s", body, got, h, err, want, hash)
	}
}

func TestReceive(t *testing.T) {
	for _, body := range []string{
		string(sample(t, "callresults-guide.json")),
		string(sample(t, "callresults-reference.json")),
		`{"callId":"a","callId":"b","duration":"x","callResult":{"outcomes":[1,{"name":[]}],"agentActions":[{"metadata":3}],"followUpMeetingDetails":{}}}`,
		`{"callId":"c","customInputVariables":{"a":1},"name":"\u00e9\ud800"}`,
	} {
		c, err := julian.Parse([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		canonical := canonicalRaw(t, c.Raw)
		received(t, []byte(body), c, julian.Hash(canonical))
	}
}

// canonicalRaw is the canonical form of a payload as Raw has it.
func canonicalRaw(t *testing.T, raw map[string]any) []byte {
	t.Helper()
	body, err := json.Marshal(raw)
	if err != nil {
		t.Fatal(err)
	}
	canonical, err := julian.Canonical(body)
	if err != nil {
		t.Fatal(err)
	}
	return canonical
}

func FuzzParse(f *testing.F) {
	f.Add(sample(f, "callresults-guide.json"))
	f.Add(sample(f, "callresults-reference.json"))
	f.Add([]byte(`{"callId":"a\ud800","duration":1e999999999,"callResult":{"outcomes":[[],{}]}}`))
	f.Add([]byte(`{"callId":"a","scheduledAt":"9999-12-31T23:59:59-05:00","rescheduledAt":"1970-01-01T00:00:00+05:00"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := julian.Parse(body)
		if err != nil {
			if _, _, e := julian.Receive(body); e == nil || e.Error() != err.Error() {
				t.Fatalf("Receive says %v, Parse %v", e, err)
			}
			if c != nil || !(errors.Is(err, julian.ErrNotObject) || errors.Is(err, julian.ErrNoCallID)) {
				t.Fatalf("%v, %v", c, err)
			}
			return
		}
		if c.CallID == "" || len(c.CallID) > julian.MaxCallID {
			t.Fatalf("callId %q", c.CallID)
		}
		for _, at := range []*time.Time{c.ScheduledAt, c.RescheduledAt} {
			if at == nil {
				continue
			}
			if _, err := at.UTC().MarshalJSON(); err != nil || at.Unix() < 0 {
				t.Fatalf("the time %v cannot be kept: %v", at, err)
			}
		}
		// What was understood does not depend on how the body is spelt.
		canonical := canonicalRaw(t, c.Raw)
		again, err := julian.Parse(canonical)
		if err != nil {
			t.Fatalf("canonical form %q: %v", canonical, err)
		}
		received(t, body, c, julian.Hash(canonical))
		if again.CallID != c.CallID || again.Duration != c.Duration || !reflect.DeepEqual(again.Result.ResultType, c.Result.ResultType) {
			t.Fatalf("%+v\n%+v", c, again)
		}
	})
}
