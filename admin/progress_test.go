package admin_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	gosync "sync"
	"testing"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/store"
	"github.com/callsync/callsync/store/bolt"
	"github.com/callsync/callsync/sync"
)

// TestLongRequestsTellHowFarTheyAre plans more calls than are planned in one
// step, in both ways to the API.
func TestLongRequestsTellHowFarTheyAre(t *testing.T) {
	w := newWorld(t)
	const calls = 501
	var delivered gosync.WaitGroup
	for part := range 100 { // deliveries at one time share a commit
		delivered.Go(func() {
			for i := part; i < calls; i += 100 {
				w.deliver(t, fmt.Sprintf("call.%d", i), julian.Voicemail)
			}
		})
	}
	delivered.Wait()
	for name, c := range w.clients(t) {
		t.Run(name, func(t *testing.T) {
			var told []admin.Progress
			p, err := c.Reporting(func(p admin.Progress) { told = append(told, p) }).Plan(t.Context(), admin.PlanRequest{})
			if err != nil {
				t.Fatal(err)
			}
			if p.Totals.Calls != calls {
				t.Errorf("%d calls were planned", p.Totals.Calls)
			}
			if len(told) != 2 || told[0].Calls >= told[1].Calls || told[len(told)-1] != (admin.Progress{Calls: calls, Of: calls}) {
				t.Errorf("told %+v", told)
			}
			// A mistake is an error of its own kind, before and while it is worked on.
			reporting := c.Reporting(func(admin.Progress) {})
			var e *admin.Error
			if _, err := reporting.Plan(t.Context(), admin.PlanRequest{Selection: admin.Selection{State: "strange"}}); !errors.As(err, &e) || e.Status != 400 {
				t.Errorf("a wrong request: %v", err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			_, err = c.Reporting(func(admin.Progress) { cancel() }).Resync(ctx, admin.ResyncRequest{})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("given up: %v", err)
			}
		})
	}
}

func TestTotals(t *testing.T) {
	contact := func(id string, changes ...string) sync.PersonPlan {
		p := sync.PersonPlan{Op: sync.None, Object: "contacts", Ref: crm.Ref{Object: "contacts", ID: id}, How: "known"}
		if id == "" {
			p = sync.PersonPlan{Op: crm.Create, Object: "contacts", How: "looked up", Match: []crm.Match{{Property: "phone", Value: "+1"}}}
		}
		for _, name := range changes {
			c := sync.PropertyChange{Name: name}
			if held, ok := strings.CutPrefix(name, "-"); ok {
				c.Name, c.Note = held, "not written: somebody else did"
			} else if p.Op == sync.None {
				p.Op = crm.Update
			}
			p.Changes = append(p.Changes, c)
		}
		return p
	}
	record := func(op crm.Op, changes ...string) sync.RecordPlan {
		r := sync.RecordPlan{Object: "calls", Op: op}
		for _, name := range changes {
			r.Changes = append(r.Changes, sync.PropertyChange{Name: name})
		}
		return r
	}
	plan := func(p sync.PersonPlan, r ...sync.RecordPlan) sync.CallPlan {
		return sync.CallPlan{Destination: "hubspot", Person: p, Records: r}
	}
	got := admin.Sum([]sync.CallPlan{
		plan(contact("1"), record(crm.Update, "title", "duration")),
		plan(contact("1", "email", "-name"), record(crm.Update, "title")),
		plan(contact("1", "email", "city")),
		plan(contact("2", "-name"), record(sync.None)),
		plan(contact("", "email"), record(crm.Create, "title")),
		plan(contact("", "email")),
	}).Totals
	if got.Calls != 6 || got.Writing != 5 {
		t.Errorf("%d calls, %d writing", got.Calls, got.Writing)
	}
	for want, have := range map[string]any{
		"map[calls:map[create:1 none:1 update:2] contacts:map[create:1 none:1 update:1]]": got.Objects,
		"map[create:2 none:2 update:3]":                                        got.Records,
		"map[calls.duration:1 calls.title:3 contacts.city:1 contacts.email:2]": got.Properties,
	} {
		if fmt.Sprint(have) != want {
			t.Errorf("got  %v\nwant %s", have, want)
		}
	}
}

// A portioned journal notes the largest request it was handed.
type portionedJournal struct {
	*bolt.Journal
	most int
}

func (p *portionedJournal) Request(ctx context.Context, destination string, ids []string, r store.Request) (int, error) {
	p.most = max(p.most, len(ids))
	return p.Journal.Request(ctx, destination, ids, r)
}

// Deliveries wait for a request of the journal: one never asks for very many calls,
// each of which may have to be taken out of a bundle.
func TestResyncLetsDeliveriesThrough(t *testing.T) {
	w := newWorld(t)
	var ids []string
	for i := range 205 {
		ids = append(ids, fmt.Sprint("call.", i))
		w.deliver(t, ids[i], julian.Voicemail)
	}
	p := &portionedJournal{Journal: w.journal}
	w.server.Journal = p
	for _, sel := range []admin.Selection{{IDs: ids}, {}} {
		a, err := admin.InProcess(w.server).Resync(t.Context(), admin.ResyncRequest{Selection: sel})
		if err != nil || a.Calls != 205 || a.Requested["hubspot"] != 205 {
			t.Errorf("%+v, %v", a, err)
		}
	}
	if p.most > 100 {
		t.Errorf("%d calls were asked for at once", p.most)
	}
}
