package hubspot

import (
	"context"
	"net/http"
	"slices"
	"sync"

	"github.com/callsync/callsync/crm"
)

// linkTypes are HubSpot's own unlabelled association types, from its
// associations guide. A pair that is missing here is linked after the create by
// the endpoint that picks the type itself.
var linkTypes = map[[2]string]int{
	{"calls", contacts}:       194,
	{"calls", "companies"}:    182,
	{"calls", "deals"}:        206,
	{"meetings", contacts}:    200,
	{"meetings", "companies"}: 188,
	{"meetings", "deals"}:     212,
	{"tasks", contacts}:       204,
	{"tasks", "companies"}:    192,
	{"tasks", "deals"}:        216,
	{"notes", contacts}:       202,
	{"notes", "companies"}:    190,
	{"notes", "deals"}:        214,
}

// inline turns links into the associations of a create, and returns those that
// must be made afterwards.
func inline(object string, links []crm.Ref) (made []association, late []crm.Ref) {
	for _, l := range links {
		id, ok := linkTypes[[2]string{object, l.Object}]
		if !ok {
			late = append(late, l)
			continue
		}
		made = append(made, association{
			To:    idOnly{text(l.ID)},
			Types: []associationType{{Category: "HUBSPOT_DEFINED", ID: id}},
		})
	}
	return made, late
}

// A pair is one association to make or to take away.
type pair struct {
	change *change
	from   string
	to     string
}

type pairKind struct {
	from, to string
	unlink   bool
}

func (k pairKind) op() string {
	if k.unlink {
		return k.from + " to " + k.to + " unlink"
	}
	return k.from + " to " + k.to + " link"
}

// writeLinks makes and removes the associations of changes whose record was
// written.
func (p *Portal) writeLinks(ctx context.Context, all []*change) {
	groups := map[pairKind][]pair{}
	for _, c := range all {
		if c.result.Err != nil {
			continue
		}
		for _, l := range c.late {
			k := pairKind{from: c.Object, to: l.Object}
			groups[k] = append(groups[k], pair{c, c.result.ID, l.ID})
		}
		for _, l := range c.Unlink {
			k := pairKind{from: c.Object, to: l.Object, unlink: true}
			groups[k] = append(groups[k], pair{c, c.result.ID, l.ID})
		}
	}
	var (
		wg sync.WaitGroup
		mu sync.Mutex // a change may have pairs in several groups
	)
	fail := func(pairs []pair, err error) {
		mu.Lock()
		defer mu.Unlock()
		for _, x := range pairs {
			if x.change.result.Err == nil {
				x.change.fail(err)
			}
		}
	}
	for k, group := range groups {
		for chunk := range slices.Chunk(group, maxPairs) {
			wg.Go(func() { p.link(ctx, k, chunk, fail) })
		}
	}
	wg.Wait()
}

// link sends one association batch. Both endpoints may be repeated without
// harm: an association that is there, or gone, stays so.
func (p *Portal) link(ctx context.Context, k pairKind, pairs []pair, fail func([]pair, error)) {
	path := p.paths.associations + k.from + "/" + k.to + "/batch/associate/default"
	if k.unlink {
		path = p.paths.associations + k.from + "/" + k.to + "/batch/archive"
	}
	inputs := make([]any, len(pairs))
	for i, x := range pairs {
		inputs[i] = linkInput(k, x)
	}
	var a linkAnswer
	_, err := p.do(ctx, request{op: k.op(), method: http.MethodPost, path: path, body: batchRequest{Inputs: inputs}}, &a)
	switch {
	case err != nil && len(pairs) > 1 && refusedWhole(err):
		half := len(pairs) / 2
		p.link(ctx, k, pairs[:half], fail)
		p.link(ctx, k, pairs[half:], fail)
	case k.unlink && crm.KindOf(err) == crm.Gone: // with an end of it
	case err != nil:
		fail(pairs, err)
	default:
		for _, f := range a.Errors {
			f = f.unfold()
			e := describe(k.op(), statusOf(f.Category), f, nil)
			if k.unlink && e.Kind == crm.Gone {
				continue
			}
			fail(a.failed(pairs), e)
			return
		}
	}
}

func linkInput(k pairKind, x pair) any {
	from := idOnly{text(x.from)}
	if k.unlink {
		return struct {
			From idOnly   `json:"from"`
			To   []idOnly `json:"to"`
		}{from, []idOnly{{text(x.to)}}}
	}
	return struct {
		From idOnly `json:"from"`
		To   idOnly `json:"to"`
	}{from, idOnly{text(x.to)}}
}

type linkAnswer struct {
	Results []struct {
		From idOnly `json:"from"`
		To   idOnly `json:"to"`
	} `json:"results"`
	Errors []refusal `json:"errors"`
}

// failed returns the pairs that are not among the results and, where the errors
// name records, have one of them at an end.
func (a linkAnswer) failed(pairs []pair) []pair {
	made := map[[2]string]bool{}
	for _, r := range a.Results {
		made[[2]string{string(r.From.ID), string(r.To.ID)}] = true
	}
	var named []string
	for _, f := range a.Errors {
		named = append(named, f.named("id", "ids", "fromObjectId", "toObjectId")...)
	}
	return slices.DeleteFunc(slices.Clone(pairs), func(x pair) bool {
		innocent := len(named) > 0 && !slices.Contains(named, x.from) && !slices.Contains(named, x.to)
		return innocent || made[[2]string{x.from, x.to}]
	})
}
