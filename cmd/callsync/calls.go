package main

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/store"
	"github.com/callsync/callsync/sync"
)

// selection is the flags by which commands pick calls.
type selection struct {
	Since       moment `placeholder:"WHEN" help:"Received since: a date, an RFC 3339 time, or an age such as 36h or 30d."`
	Until       moment `placeholder:"WHEN" help:"Received before."`
	Result      string `placeholder:"RESULT" help:"Result type, such as \"Goal Completed\", in any case."`
	Agent       string `placeholder:"ID" help:"Agent id."`
	State       string `enum:",pending,synced,waiting,retrying,failed,skipped" default:"" placeholder:"STATE" help:"State: pending, synced, waiting, retrying, failed or skipped."`
	Destination string `placeholder:"NAME" help:"One destination only."`
}

func (s selection) empty() bool { return s == selection{} }

func (s selection) onlyDestination() bool { return s == selection{Destination: s.Destination} }

func (s selection) of(ids []string) admin.Selection {
	return admin.Selection{
		IDs: ids, Since: s.Since.Time, Until: s.Until.Time, Result: resultNamed(s.Result),
		Agent: s.Agent, State: store.Status(s.State), Destination: s.Destination,
	}
}

// resultNamed is the result type that somebody means, in whatever case.
func resultNamed(name string) julian.ResultType {
	for _, r := range julian.ResultTypes() {
		if strings.EqualFold(name, string(r)) {
			return r
		}
	}
	return julian.ResultType(name)
}

type callsCmd struct {
	output
	selection
	Limit int `short:"n" default:"50" help:"At most that many (${default})."`
}

func (c *callsCmd) Run(ctx context.Context, a *app) error {
	if c.Limit < 1 {
		return usagef("--limit must be at least 1")
	}
	s, err := a.connect(ctx, false)
	if err != nil {
		return err
	}
	defer s.close()
	sel := c.of(nil)
	sel.Limit = c.Limit
	answer, err := s.CallsByCause(ctx, sel)
	if err != nil {
		return err
	}
	unread := printUnread(a.err, answer.Unread)
	if c.JSON {
		return cmp.Or(a.out.json(answer), unread)
	}
	if len(answer.Calls) == 0 {
		a.out.f("no calls\n")
		return unread
	}
	callTable(answer.Calls, s.cfg.Names()).print(a.out)
	if answer.More {
		a.out.f("… there are more: --limit, --since and --until choose which\n")
	}
	printCauses(a.out, answer, store.Status(c.State))
	return unread
}

// callTable lists calls with where they stand at each destination.
func callTable(calls []store.CallView, names []string) *table {
	t := newTable(append([]string{"received", "call", "result", "direction", "agent"}, names...)...)
	t.dispensable = []int{4, 3}
	t.least = map[int]int{0: whole, 1: whole, 2: len("Goal Completed"), 4: whole}
	for _, call := range calls {
		row := []any{minute(call.ReceivedAt), call.ID, resultOf(call.Call), orDash(call.Direction), orDash(call.AgentID)}
		for _, name := range names {
			state, ok := call.States[name]
			if !ok {
				row = append(row, "–")
				continue
			}
			row = append(row, statusText(state.Status))
		}
		t.row(row...)
	}
	return t
}

// printCauses says why calls stand as they do, the most frequent cause first: many
// calls fail for one reason.
func printCauses(p *printer, answer admin.Calls, status store.Status) {
	for _, c := range answer.Causes {
		colour := red
		if status == store.Skipped || status == store.Waiting {
			colour = yellow
		}
		p.f("\n")
		p.wrap(count(c.Calls, "call")+" at "+c.Destination+": ", styled{c.Text, colour})
		if c.Place != "" {
			p.f("  %s\n", placeText(c.Property, c.Place))
		}
		if c.Hint != "" {
			p.wrap("  ", styled{c.Hint, plain})
		}
		p.f("  %s", strings.Join(c.Examples, ", "))
		if more := c.Calls - len(c.Examples); more > 0 {
			p.f(" and %d more", more)
		}
		p.f("\n")
	}
	if answer.Partial {
		p.f("\n")
		p.wrap("", styled{"There are older calls, which were not looked at: --since and --until choose which.", plain})
	}
	switch {
	case len(answer.Causes) == 0:
	case status == store.Failed:
		p.f("\n")
		p.wrap("", styled{"Once the cause is mended, `callsync resync --state failed` sends them again.", plain})
	case status == store.Skipped && !slices.ContainsFunc(answer.Causes, func(c admin.Cause) bool { return !sync.SaysUndone(c.Text) }):
	case status == store.Skipped:
		p.f("\n")
		p.wrap("", styled{"A call that was skipped is in the journal and not in the CRM. When what keeps it out is changed, `callsync resync --changed` brings it there, unless it was undone.", plain})
	}
}

func resultOf(c store.Call) string {
	if c.ResultType == "" {
		return "–"
	}
	return string(c.ResultType)
}

func statusText(s store.Status) styled {
	c := plain
	switch s {
	case store.Synced:
		c = green
	case store.Failed:
		c = red
	case store.Retrying:
		c = yellow
	case store.Pending, store.Waiting:
		c = cyan
	case store.Skipped:
		c = dim
	}
	return styled{string(s), c}
}

type deliveriesCmd struct {
	output
	Call    string `placeholder:"ID" help:"Of one call only."`
	Since   moment `placeholder:"WHEN" help:"Received since: a date, an RFC 3339 time, or an age such as 36h or 30d."`
	Until   moment `placeholder:"WHEN" help:"Received before."`
	Verdict string `enum:",accepted,revised,duplicate,stale,rejected" default:"" placeholder:"VERDICT" help:"Verdict: accepted, revised, duplicate, stale or rejected."`
	Limit   int    `short:"n" default:"50" help:"At most that many (${default})."`
}

func (c *deliveriesCmd) Run(ctx context.Context, a *app) error {
	if c.Limit < 1 {
		return usagef("--limit must be at least 1")
	}
	s, err := a.connect(ctx, false)
	if err != nil {
		return err
	}
	defer s.close()
	answer, err := s.Deliveries(ctx, store.DeliveryFilter{
		CallID: c.Call, Since: c.Since.Time, Until: c.Until.Time, Verdict: store.Verdict(c.Verdict), Limit: c.Limit,
	})
	if err != nil {
		return err
	}
	unread := printDamage(a.err, answer.Damaged)
	if c.JSON {
		return cmp.Or(a.out.json(answer), unread)
	}
	if len(answer.Deliveries) == 0 {
		a.out.f("no deliveries\n")
		return unread
	}
	deliveryTable(answer.Deliveries).print(a.out)
	if answer.More {
		a.out.f("… there are more: --limit, --since and --until choose which\n")
	}
	return unread
}

func deliveryTable(deliveries []store.Delivery) *table {
	t := newTable("#", "received", "verdict", "http", "size", "call", "from", "reason")
	t.right[0], t.right[4] = true, true
	t.dispensable, t.empty, t.wraps = []int{6, 4, 3, 7}, []int{5}, 7
	// The time can do without its seconds.
	t.least = map[int]int{0: whole, 1: len("2006-01-02 15:04…") - len("…") + 1, 2: whole, 5: whole, 7: 20}
	for _, d := range deliveries {
		t.row(number(d.Seq), at(d.At), verdictText(d.Verdict), number(d.Status), size(int64(d.Size)), orDash(d.CallID), orDash(d.Peer), d.Reason)
	}
	return t
}

func verdictText(v store.Verdict) styled {
	c := plain
	switch v {
	case store.Accepted, store.Revised:
		c = green
	case store.Rejected:
		c = red
	case store.Duplicate, store.Stale:
		c = dim
	}
	return styled{string(v), c}
}
