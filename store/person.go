package store

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/callsync/callsync/crm"
)

// A Claim is the value one call wants a person's property to have. For each
// property the newest call that has a value wins, whichever arrived first; the
// older claims are kept, so that a correction of the newest can fall back to
// them.
type Claim struct {
	Value crm.Value     `json:"value"`
	Write crm.WriteMode `json:"write"`
	Call  string        `json:"call"`
	At    time.Time     `json:"at"`
}

// maxClaims is how many claims to a property are remembered, the newest ones.
const maxClaims = 16

func (c Claim) compare(d Claim) int {
	return cmp.Or(d.At.Compare(c.At), cmp.Compare(d.Call, c.Call)) // newest first
}

// IsZero reports whether nothing is known of the person.
func (p Person) IsZero() bool {
	return len(p.Properties) == 0 && len(p.Claims) == 0 && p.Created == "" && p.MovedTo.IsZero()
}

// Stake puts a call's claim to a property in place of the one it had. A null
// value withdraws it.
func (p *Person) Stake(name string, c Claim) {
	claims := slices.DeleteFunc(slices.Clone(p.Claims[name]), func(x Claim) bool { return x.Call == c.Call })
	if !c.Value.IsNull() {
		claims = append(claims, c)
		slices.SortFunc(claims, Claim.compare)
	}
	if p.Claims == nil {
		p.Claims = map[string][]Claim{}
	}
	if len(claims) == 0 {
		delete(p.Claims, name)
		return
	}
	p.Claims[name] = claims[:min(len(claims), maxClaims)]
}

// Top is the claim that wins a property; ok is false when there is none.
func (p *Person) Top(name string) (c Claim, ok bool) {
	if claims := p.Claims[name]; len(claims) > 0 {
		return claims[0], true
	}
	return Claim{}, false
}

// elsewhere is what was applied to somebody who became another, as it stands
// there: the CRM may have kept the other's value.
func (a Applied) elsewhere() Applied {
	a.Before, a.BeforeKnown = "", false
	a.Unsure, a.Sent = true, a.Value
	switch {
	case a.Kept != "":
		a.Sent = a.Wrote
	case a.Wire != "":
		a.Sent = crm.Str(a.Wire)
	}
	return a
}

// Join adds what is known of old, a person who became p. What was applied to old
// is in doubt until it is compared or written again.
func (p *Person) Join(old Person) {
	if p.Properties == nil {
		p.Properties = make(map[string]Applied, len(old.Properties))
	}
	for name, v := range old.Properties {
		if own, ok := p.Properties[name]; !ok || v.At.After(own.At) {
			p.Properties[name] = v.elsewhere()
		}
	}
	for name, claims := range old.Claims {
		for _, c := range claims {
			if !slices.ContainsFunc(p.Claims[name], func(x Claim) bool { return x.Call == c.Call }) {
				p.Stake(name, c)
			}
		}
	}
}

// People are what is known of people, with everybody whom they became.
type People map[crm.Ref]Person

// Now is who somebody is now, after merges and conversions. A circle of moves ends
// where it would begin again.
func (p People) Now(ref crm.Ref) crm.Ref {
	met := map[crm.Ref]bool{}
	for {
		met[ref] = true
		to := p[ref].MovedTo
		if to.IsZero() || met[to] {
			return ref
		}
		ref = to
	}
}

// A History knows what was last applied to people; a [Queue] is one.
type History interface {
	People(ctx context.Context, destination string, people []crm.Ref) (map[crm.Ref]Person, error)
}

// Trace loads what was applied to people, and to those whom they became.
func Trace(ctx context.Context, q History, destination string, refs ...crm.Ref) (People, error) {
	all := People{}
	for len(refs) > 0 {
		people, err := q.People(ctx, destination, refs)
		if err != nil {
			return nil, err
		}
		maps.Copy(all, people)
		refs = nil
		for _, p := range people {
			if _, met := all[p.MovedTo]; !met && !p.MovedTo.IsZero() && !slices.Contains(refs, p.MovedTo) {
				refs = append(refs, p.MovedTo)
			}
		}
	}
	return all, nil
}

// Follow finds who one person is now, and what was applied to them.
func Follow(ctx context.Context, q History, destination string, ref crm.Ref) (crm.Ref, Person, error) {
	people, err := Trace(ctx, q, destination, ref)
	now := people.Now(ref)
	return now, people[now], err
}

// Unborn is under what a person stands who is being created and has no id yet:
// object and key are those of the [Identity] that says so.
func Unborn(object, key string) crm.Ref { return crm.Ref{Object: object, ID: "creating:" + key} }
