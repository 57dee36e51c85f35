package salesforce

import (
	"context"
	"slices"
	"strings"

	"github.com/simpleforce/simpleforce"

	"github.com/callsync/callsync/crm"
)

// Related implements [crm.Destination] for {Account, primary} and {Opportunity,
// open}. An activity has room for one such record, so each answer names at most
// one: the person's account; of the open opportunities, one in which the person
// has a role before one of the account, and the one that closes soonest. A Lead
// has neither.
func (c *Connector) Related(ctx context.Context, queries []crm.RelatedQuery) ([][]crm.Ref, error) {
	var contacts []string
	var people []crm.Ref
	wantOpportunity := false
	for _, q := range queries {
		switch q.Relation {
		case crm.Relation{Object: "Account", Which: "primary", Pos: q.Relation.Pos}:
		case crm.Relation{Object: "Opportunity", Which: "open", Pos: q.Relation.Pos}:
			wantOpportunity = true
		default:
			return nil, &crm.Error{
				Kind: crm.Permanent, Op: "related records",
				Message: "Salesforce has no relation " + q.Relation.Which + " " + q.Relation.Object,
				Hint:    `write "Account:primary" or "Opportunity:open" in associate, at ` + q.Relation.Pos.String(),
			}
		}
		if q.Person.Object == contact || q.Person.Object == personAccount {
			people = append(people, q.Person)
		}
	}
	rows, err := c.load(ctx, people, []string{"ContactId"})
	if err != nil {
		return nil, err
	}
	accounts := map[crm.Ref]string{}
	contactOf := map[crm.Ref]string{}
	var accountIDs []string
	for ref, r := range rows {
		accounts[ref], contactOf[ref] = accountOf(r)
		contacts = append(contacts, contactOf[ref])
		accountIDs = append(accountIDs, accounts[ref])
	}
	var byRole, byAccount map[string]string
	if wantOpportunity {
		if byRole, err = c.openByRole(ctx, contacts); err != nil {
			return nil, err
		}
		if byAccount, err = c.openByAccount(ctx, accountIDs); err != nil {
			return nil, err
		}
	}
	out := make([][]crm.Ref, len(queries))
	for i, q := range queries {
		id := accounts[q.Person]
		if q.Relation.Object == "Opportunity" {
			if id = byRole[contactOf[q.Person]]; id == "" {
				id = byAccount[accounts[q.Person]]
			}
		}
		if id != "" {
			out[i] = []crm.Ref{{Object: q.Relation.Object, ID: id}}
		}
	}
	return out, nil
}

// accountOf returns a person's account and contact; "" for none.
func accountOf(r row) (account, person string) {
	if r.ref.Object == personAccount {
		person, _ = id18(stringOf(r.fields["PersonContactId"]))
		return r.ref.ID, person
	}
	account, _ = id18(stringOf(r.fields["AccountId"]))
	return account, r.ref.ID
}

func (c *Connector) openByRole(ctx context.Context, contacts []string) (map[string]string, error) {
	s := selection{
		columns: []string{"ContactId", "OpportunityId", "IsPrimary", "Opportunity.CloseDate"},
		from:    "OpportunityContactRole", and: "Opportunity.IsClosed = false",
	}
	rows, err := c.query(ctx, "OpportunityContactRole query", s, idConditions("ContactId", contacts), false)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(rows, func(a, b simpleforce.SObject) int {
		if pa, pb := truth(a["IsPrimary"]), truth(b["IsPrimary"]); pa != pb {
			if pa {
				return -1
			}
			return 1
		}
		return strings.Compare(closeDate(a), closeDate(b))
	})
	return firstOf(rows, "ContactId", "OpportunityId"), nil
}

func (c *Connector) openByAccount(ctx context.Context, accounts []string) (map[string]string, error) {
	s := selection{columns: []string{"Id", "AccountId", "CloseDate"}, from: "Opportunity", and: "IsClosed = false"}
	rows, err := c.query(ctx, "Opportunity query", s, idConditions("AccountId", accounts), false)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(rows, func(a, b simpleforce.SObject) int {
		return strings.Compare(text(a["CloseDate"]), text(b["CloseDate"]))
	})
	return firstOf(rows, "AccountId", "Id"), nil
}

// firstOf maps each key column's value to the value column of its first row.
func firstOf(rows []simpleforce.SObject, key, value string) map[string]string {
	out := map[string]string{}
	for _, r := range rows {
		k, okK := id18(stringOf(r[key]))
		v, okV := id18(stringOf(r[value]))
		if okK && okV && out[k] == "" {
			out[k] = v
		}
	}
	return out
}

func closeDate(role simpleforce.SObject) string {
	opportunity, _ := role["Opportunity"].(map[string]any)
	return text(opportunity["CloseDate"])
}
