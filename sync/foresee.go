package sync

import (
	"context"
	"maps"
	"slices"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
)

// A foresight is the journal as it would stand had a plan's rounds recorded what
// they learnt, such as that a contact is gone: the next of them goes on from there,
// as the loop would. Nothing reaches the journal.
type foresight struct {
	Journal
	identities map[string]store.Identity
	moved      map[crm.Ref]crm.Ref
	gone       map[crm.Ref]bool // people the CRM no longer has, whatever its search says
}

func foresee(j Journal) *foresight {
	return &foresight{Journal: j, identities: map[string]store.Identity{}, moved: map[crm.Ref]crm.Ref{}, gone: map[crm.Ref]bool{}}
}

// note keeps what a round would record of who is who.
func (f *foresight) note(u store.Update) {
	maps.Copy(f.moved, u.Moved)
	maps.Copy(f.identities, u.Identities)
}

// without leaves out whom the CRM's search shows although they are gone.
func (f *foresight) without(found []crm.Candidate) []crm.Candidate {
	if f == nil || len(f.gone) == 0 {
		return found
	}
	return slices.DeleteFunc(slices.Clone(found), func(c crm.Candidate) bool { return f.gone[c.Ref] })
}

// Identities implements [store.Queue].
func (f *foresight) Identities(ctx context.Context, destination string, keys []string) (map[string]store.Identity, error) {
	known, err := f.Journal.Identities(ctx, destination, keys)
	if err != nil {
		return nil, err
	}
	all := map[string]store.Identity{}
	for key, id := range known {
		if to, ok := f.moved[id.Ref]; ok {
			id.Ref = to
		}
		all[key] = id
	}
	for _, key := range keys {
		switch id, ok := f.identities[key]; {
		case ok && id == store.Identity{}:
			delete(all, key)
		case ok:
			all[key] = id
		}
	}
	return all, nil
}

// People implements [store.Queue].
func (f *foresight) People(ctx context.Context, destination string, people []crm.Ref) (map[crm.Ref]store.Person, error) {
	refs := slices.Clone(people)
	for from, to := range f.moved {
		if slices.Contains(people, to) {
			refs = append(refs, from)
		}
	}
	known, err := f.Journal.People(ctx, destination, refs)
	if err != nil {
		return nil, err
	}
	all := map[crm.Ref]store.Person{}
	maps.Copy(all, known)
	for from, to := range f.moved {
		if old, ok := known[from]; ok && slices.Contains(people, to) {
			p := all[to]
			p.Join(old)
			all[to] = p
		}
	}
	for from, to := range f.moved {
		if all[from] = (store.Person{MovedTo: to}); !slices.Contains(people, from) {
			delete(all, from)
		}
	}
	return all, nil
}

// foreseeing is the loop with what a plan has learnt for its journal.
func (l *Loop) foreseeing(f *foresight) *Loop {
	return &Loop{
		name: l.name, journal: f, mapping: l.mapping, destination: l.destination, guard: l.guard,
		log: l.log, now: l.now, batch: l.batch,
	}
}
