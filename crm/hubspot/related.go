package hubspot

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/callsync/callsync/crm"
)

// primaryCompany is HubSpot's association type from a contact to its primary
// company (associations guide).
const primaryCompany = 1

// Related finds the open deals and the primary companies of people, in one
// association batch for each object type and one batch read of the deals.
func (p *Portal) Related(ctx context.Context, queries []crm.RelatedQuery) ([][]crm.Ref, error) {
	mark := p.account.mark()
	people := map[crm.Relation][]string{}
	pos := map[crm.Relation]crm.Pos{}
	for _, q := range queries {
		r := crm.Relation{Object: q.Relation.Object, Which: q.Relation.Which}
		people[r] = append(people[r], q.Person.ID)
		pos[r] = q.Relation.Pos
	}
	found := map[crm.Relation]map[string][]string{}
	for r, ids := range people {
		var err error
		switch r {
		case crm.Relation{Object: "deals", Which: "open"}:
			found[r], err = p.openDeals(ctx, ids)
		case crm.Relation{Object: "companies", Which: "primary"}:
			found[r], err = p.primaryCompanies(ctx, ids)
		default:
			err = &crm.Error{
				Kind: crm.Permanent, Op: "associations batch read",
				Message: fmt.Sprintf("HubSpot has no %s %s", r.Which, r.Object),
				Hint:    `write "deals:open" or "companies:primary" in associate, at ` + pos[r].String(),
			}
		}
		if err != nil {
			return nil, p.believe(ctx, mark, err)
		}
	}
	refs := make([][]crm.Ref, len(queries))
	for i, q := range queries {
		r := crm.Relation{Object: q.Relation.Object, Which: q.Relation.Which}
		for _, id := range found[r][q.Person.ID] {
			refs[i] = append(refs[i], crm.Ref{Object: r.Object, ID: id})
		}
	}
	return refs, nil
}

func (p *Portal) openDeals(ctx context.Context, people []string) (map[string][]string, error) {
	linked, err := p.associated(ctx, "deals", people)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, list := range linked {
		for _, a := range list {
			ids = append(ids, string(a.ID))
		}
	}
	deals, err := p.batchRead(ctx, "deals", "", ids, []string{"dealstage", "hs_is_closed"})
	if err != nil {
		return nil, err
	}
	open := map[text]bool{}
	for _, d := range deals {
		closed := d.Properties["hs_is_closed"] == "true" || strings.HasPrefix(d.Properties["dealstage"], "closed")
		open[d.ID] = !closed && !d.Archived
	}
	out := map[string][]string{}
	for person, list := range linked {
		for _, a := range list {
			if open[a.ID] {
				out[person] = append(out[person], string(a.ID))
			}
		}
	}
	return out, nil
}

func (p *Portal) primaryCompanies(ctx context.Context, people []string) (map[string][]string, error) {
	linked, err := p.associated(ctx, "companies", people)
	if err != nil {
		return nil, err
	}
	out := map[string][]string{}
	for person, list := range linked {
		i := slices.IndexFunc(list, associated.primary)
		if i < 0 && len(list) == 1 {
			i = 0
		}
		if i >= 0 {
			out[person] = []string{string(list[i].ID)}
		}
	}
	return out, nil
}

type associated struct {
	ID    text `json:"toObjectId"`
	Types []struct {
		Category string `json:"category"`
		TypeID   int    `json:"typeId"`
	} `json:"associationTypes"`
}

func (a associated) primary() bool {
	for _, t := range a.Types {
		if t.TypeID == primaryCompany && t.Category == "HUBSPOT_DEFINED" {
			return true
		}
	}
	return false
}

type associatedPage struct {
	Results []struct {
		From idOnly       `json:"from"`
		To   []associated `json:"to"`
		Next struct {
			Next struct {
				After text `json:"after"`
			} `json:"next"`
		} `json:"paging"`
	} `json:"results"`
	Errors []refusal `json:"errors"`
}

// associated reads the records of one type that contacts are associated with.
func (p *Portal) associated(ctx context.Context, to string, people []string) (map[string][]associated, error) {
	type from struct {
		ID    string `json:"id"`
		After string `json:"after,omitempty"`
	}
	var todo []from
	for _, id := range slices.Compact(slices.Sorted(slices.Values(people))) {
		todo = append(todo, from{ID: id})
	}
	linked := map[string][]associated{}
	op := contacts + " to " + to + " batch read"
	for len(todo) > 0 {
		chunk := todo[:min(maxPairs, len(todo))]
		todo = todo[len(chunk):]
		var page associatedPage
		_, err := p.do(ctx, request{
			op:     op,
			method: http.MethodPost,
			path:   p.paths.associations + contacts + "/" + to + "/batch/read",
			body:   batchRequest{Inputs: chunk},
		}, &page)
		if err != nil && crm.KindOf(err) != crm.Gone {
			return nil, err
		}
		for _, f := range page.Errors {
			// A contact without associations, or one that is gone, is an error
			// here and an empty answer to whoever asked.
			f = f.unfold()
			if f.Category != "OBJECT_NOT_FOUND" {
				return nil, describe(op, statusOf(f.Category), f, nil)
			}
		}
		for _, r := range page.Results {
			linked[string(r.From.ID)] = append(linked[string(r.From.ID)], r.To...)
			if after := string(r.Next.Next.After); after != "" {
				todo = append(todo, from{string(r.From.ID), after})
			}
		}
	}
	return linked, nil
}
