package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/store"
	"github.com/callsync/callsync/sync"
)

// atWidth prints on a terminal of so many columns and complains of lines that do
// not fit.
func atWidth(t *testing.T, width int, print func(*printer)) string {
	t.Helper()
	var b bytes.Buffer
	print(&printer{w: &b, width: width})
	for line := range strings.Lines(b.String()) {
		if n := columns(strings.TrimSuffix(line, "\n")); n > width {
			t.Errorf("%d columns on a terminal of %d: %s", n, width, line)
		}
	}
	return b.String()
}

const (
	longID    = "call.5f0c2c1e-7d0b-4b8e-9d57-0b4a6f0b9a11"
	longAgent = "agent.1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"
)

// On a narrow terminal a list of calls goes without the agent, then without the
// direction; ids stay whole, to be copied.
func TestCallsOnNarrowTerminals(t *testing.T) {
	calls := func(id, agent string) []store.CallView {
		return []store.CallView{{
			Call:   store.Call{ID: id, AgentID: agent, Direction: "outbound", ResultType: julian.GoalCompleted, ReceivedAt: time.Unix(1.7e9, 0)},
			States: map[string]store.State{"hubspot": {Status: store.Retrying}, "salesforce": {Status: store.Synced}},
		}}
	}
	for _, x := range []struct {
		width     int
		calls     []store.CallView
		names     []string
		with, not []string
	}{
		{80, calls("call.abc123", "agent.demo"), []string{"hubspot"}, []string{"call.abc123", "Goal Completed", "outbound", "agent.demo", "retrying"}, nil},
		{80, calls(longID, longAgent), []string{"hubspot"}, []string{longID, "Goal", "retrying"}, []string{"AGENT", "DIRECTION"}},
		{100, calls(longID, longAgent), []string{"hubspot"}, []string{longID, "Goal Completed", "outbound", "retrying"}, []string{"AGENT"}},
		{100, calls(longID, longAgent), []string{"hubspot", "salesforce"}, []string{longID, "Goal Completed", "retrying", "synced"}, []string{"AGENT", "DIRECTION"}},
		{120, calls(longID, longAgent), []string{"hubspot", "salesforce"}, []string{longID, "Goal Completed", "outbound", "retrying", "synced"}, []string{"AGENT"}},
		{160, calls(longID, longAgent), []string{"hubspot", "salesforce"}, []string{longID, longAgent, "Goal Completed", "outbound"}, nil},
		// What says nothing goes first.
		{80, calls("call.abc12345678", ""), []string{"hubspot", "salesforce"}, []string{"call.abc12345678", "Goal Completed", "outbound"}, []string{"AGENT"}},
	} {
		out := atWidth(t, x.width, callTable(x.calls, x.names).print)
		expect(t, x.width, out, x.with, x.not)
	}
}

func TestDeliveriesOnNarrowTerminals(t *testing.T) {
	reason := "the payload has no callId, so that there is nothing by which the call could be known again"
	accepted := store.Delivery{Seq: 4711, At: time.Unix(1.7e9, 0), Verdict: store.Accepted, Status: 200, Size: 1331, CallID: longID, Peer: "2001:db8:85a3::8a2e:370:7334"}
	rejected := store.Delivery{Seq: 4712, At: time.Unix(1.7e9, 0), Verdict: store.Rejected, Status: 400, Size: 31, Peer: "192.0.2.1", Reason: reason}
	for _, x := range []struct {
		width      int
		deliveries []store.Delivery
		with, not  []string
	}{
		{80, []store.Delivery{accepted}, []string{"4711", "accepted", longID}, []string{"FROM", "SIZE", "HTTP", "REASON"}},
		{80, []store.Delivery{rejected}, []string{"4712", "rejected", "the payload has no callId, so that", " again"}, []string{"FROM", "CALL", "…"}},
		{100, []store.Delivery{accepted}, []string{"4711", "accepted", "200", "1.3 KiB", longID}, []string{"FROM", "REASON"}},
		{100, []store.Delivery{accepted, rejected}, []string{"4711", longID, "rejected", "the payload has no"}, []string{"FROM", "SIZE"}},
		{120, []store.Delivery{accepted, rejected}, []string{longID, "the payload has no callId, so that", "known again"}, []string{"FROM", "SIZE", "…"}},
		{200, []store.Delivery{accepted, rejected}, []string{"2001:db8:85a3::8a2e:370:7334", longID, "the payload has no callId, so that"}, nil},
	} {
		out := atWidth(t, x.width, deliveryTable(x.deliveries).print)
		expect(t, x.width, out, x.with, x.not)
	}
}

func TestStatusOnNarrowTerminals(t *testing.T) {
	s := admin.Status{
		Daemon: true, Started: time.Now(), Build: admin.Build{Version: "v1.2.3"}, Receivers: []string{"http://127.0.0.1:8080/webhooks/julian"},
		Reasons: []string{strings.Repeat("the journal cannot be read ", 5)},
		Journal: admin.JournalStatus{Calls: 1e6, Deliveries: map[store.Verdict]int64{store.Accepted: 1e6, store.Revised: 1e5, store.Duplicate: 1e5, store.Stale: 1e4, store.Rejected: 1e4}},
		Destinations: []admin.DestinationStatus{{
			Health: sync.Health{
				Destination: "hubspot", Type: "hubspot", Phase: sync.Blocked, Reason: strings.Repeat("calls property read, ", 8), Hint: strings.Repeat("do this and that ", 8),
				CRM: crm.Status{Requests: map[string]int64{"contacts batch create": 1, "contacts properties list": 2, "calls batch create": 3, "meetings batch create": 4}},
			},
			Calls:       map[store.Status]int64{store.Pending: 1e6, store.Synced: 1e6, store.Waiting: 1e6, store.Retrying: 1e6, store.Failed: 1e6, store.Skipped: 1e6},
			MappingFile: admin.MappingInfo{Name: "mappings/hubspot.toml", Version: "692c1706be49", Problem: strings.Repeat("unknown key ", 12), Doubts: []string{strings.Repeat("no such option ", 9)}},
		}},
	}
	for _, width := range []int{80, 100, 120} {
		out := atWidth(t, width, func(p *printer) { printStatus(p, s) })
		if got := strings.Count(strings.Join(strings.Fields(out), " "), "do this and that"); got != 8 {
			t.Errorf("%d columns: words are missing or broken: %d", width, got)
		}
	}
}

func expect(t *testing.T, width int, out string, with, without []string) {
	t.Helper()
	for _, s := range with {
		if !strings.Contains(out, s) {
			t.Errorf("%d columns: no %q in\n%s", width, s, out)
		}
	}
	for _, s := range without {
		if strings.Contains(out, s) {
			t.Errorf("%d columns: %q in\n%s", width, s, out)
		}
	}
}
