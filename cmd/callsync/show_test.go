package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/mappings"
	"github.com/callsync/callsync/store"
	"github.com/callsync/callsync/sync"
)

// onTerminal is what f prints on a terminal of so many columns, or into a pipe if that
// is none.
func onTerminal(width int, f func(*printer)) string {
	var b bytes.Buffer
	f(&printer{w: &b, width: width})
	return b.String()
}

// Values are cut where a terminal has no room for them, and nowhere else.
func TestValuesAreWholeInAPipe(t *testing.T) {
	long := strings.Repeat("word ", 400) + "end"
	body := map[string]store.Applied{"hs_call_body": {Value: crm.Str(long)}}
	call := admin.CallDetail{
		Call:         store.Call{ID: "call.1", Revision: 1},
		Destinations: []admin.CallAt{{Destination: "hubspot", Records: []store.Record{{Key: "call.1#call", Object: "calls", ID: "7", Properties: body}}}},
	}
	rules, err := json.Marshal(mappings.Explanation{Rules: []mappings.Rule{{
		Kind: mappings.RuleField, Record: "call.1#call", Name: "hs_call_body", Text: long, Result: long, Inputs: []mappings.Input{{Name: "summary", Value: long}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	drift := sync.Drift{CallID: "call.1", Kind: sync.Changed, Changes: []sync.PropertyChange{
		{Name: "hs_call_body", Old: crm.Str(long), New: crm.Str("theirs, " + long), Note: "kept: so it is"},
	}}
	for name, x := range map[string]struct {
		print func(*printer)
		times int // the value is in it
	}{
		"show": {func(p *printer) { printCall(p, call) }, 1},
		"explain": {func(p *printer) {
			_ = printExplained(p, call, admin.Explained{Destination: "hubspot", Explanation: rules})
		}, 3},
		"verify": {func(p *printer) { (&verifyCmd{}).print(p, drift) }, 2},
	} {
		if n := strings.Count(onTerminal(0, x.print), long); n != x.times {
			t.Errorf("%s prints the value %d times into a pipe, want %d", name, n, x.times)
		}
		if text := onTerminal(80, x.print); strings.Contains(text, long) || !strings.Contains(text, "…") {
			t.Errorf("%s on a terminal:\n%s", name, text)
		}
	}
}

// What was never written is not shown as empty, and what is overdue not as past.
func TestShowOfACallOnItsWay(t *testing.T) {
	past := time.Now().Add(-time.Hour)
	call := admin.CallDetail{Call: store.Call{ID: "call.1", Revision: 1}, Destinations: []admin.CallAt{{
		Destination: "hubspot", State: store.State{Status: store.Retrying, Next: past}, Hold: &admin.Hold{Text: "it rests", Phase: sync.Broken, Until: past},
		Records: []store.Record{
			{Key: "call.1#call", Object: "calls", Intent: past, Properties: map[string]store.Applied{"hs_call_title": {Unsure: true, Sent: crm.Str("Ring Ada")}}},
			{Key: "call.1#task", Object: "tasks", ID: "3", Properties: map[string]store.Applied{
				"hs_task_subject": {Value: crm.Str("old"), Unsure: true, Sent: crm.Str("new")}, "hs_task_body": {},
			}},
		},
	}}}
	text := strings.Join(strings.Fields(onTerminal(0, func(p *printer) { printCall(p, call) })), " ")
	for _, want := range []string{
		"hs_call_title sent, not confirmed Ring Ada", "hs_task_subject sent, not confirmed old → new",
		"hs_task_body (empty)", "(due now)", "goes on by itself now",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not say %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, " ago") {
		t.Errorf("an attempt lies in the past:\n%s", text)
	}
}
