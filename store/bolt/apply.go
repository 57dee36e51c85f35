package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
)

// Apply implements [store.Queue].
func (j *Journal) Apply(ctx context.Context, destination string, u store.Update) error {
	c, err := prepareUpdate(destination, u)
	if err != nil {
		return err
	}
	return j.update(ctx, func(t *tx) error {
		if err := t.move(destination, u.Moved); err != nil {
			return err
		}
		for _, id := range c.calls {
			if err := t.applyCall(destination, id, u, c); err != nil {
				return err
			}
		}
		for _, k := range slices.Sorted(maps.Keys(u.Identities)) {
			if err := t.putIdentity(destination, k, u.Identities[k]); err != nil {
				return err
			}
		}
		people := t.rising(personBucket)
		for _, row := range c.people {
			if row.value == nil {
				if err := people.Delete(row.key); err != nil {
					return err
				}
				continue
			}
			if err := people.Put(row.key, row.value); err != nil {
				return err
			}
		}
		return nil
	})
}

// changes are an update's rows, encoded before the transaction begins.
type changes struct {
	calls   []string // all that are concerned, sorted
	states  map[string][]byte
	records map[string][]row // by callID; keys within the dossier
	people  []row            // without a value: dropped
}

type row struct {
	key   key
	value []byte
}

func (r row) equal(other row) bool {
	return bytes.Equal(r.key, other.key) && bytes.Equal(r.value, other.value)
}

func prepareUpdate(destination string, u store.Update) (*changes, error) {
	c := &changes{states: make(map[string][]byte), records: make(map[string][]row)}
	ids := make(map[string]bool)
	for id, s := range u.States {
		ids[id] = true
		value, err := encodeRow(s)
		if err != nil {
			return nil, fmt.Errorf("the state of call %s cannot be kept: %w", id, err)
		}
		c.states[id] = value
	}
	for id, records := range u.Records {
		ids[id] = true
		for _, r := range records {
			if r.Key == "" {
				return nil, fmt.Errorf("a record of call %s has no key", id)
			}
			value, err := encodeRow(r)
			if err != nil {
				return nil, fmt.Errorf("record %s of call %s cannot be kept: %w", r.Key, id, err)
			}
			c.records[id] = append(c.records[id], row{recordKey(destination, r.Key), value})
		}
	}
	for id := range u.Forget {
		ids[id] = true
	}
	for ref, p := range u.People {
		if p.IsZero() {
			c.people = append(c.people, row{key: personKey(destination, ref)})
			continue
		}
		value, err := encodePerson(p)
		if err != nil {
			return nil, fmt.Errorf("what was applied to a person because of %s cannot be kept: %w", unkept(p), err)
		}
		c.people = append(c.people, row{personKey(destination, ref), value})
	}
	c.calls = slices.Sorted(maps.Keys(ids))
	return c, nil
}

// unkept names the calls that make p impossible to encode; the person it leaves
// unnamed, since one who is being created goes by a phone number or an email.
func unkept(p store.Person) string {
	calls := map[string]bool{}
	for _, a := range p.Properties {
		if !store.Writable(a.At) {
			calls["call "+a.Call] = true
		}
	}
	for _, claims := range p.Claims {
		for _, c := range claims {
			if !store.Writable(c.At) {
				calls["call "+c.Call] = true
			}
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(calls)), " and ")
}

func (t *tx) applyCall(destination, id string, u store.Update, c *changes) error {
	d, ok, err := t.open(id)
	if err != nil || !ok {
		return err
	}
	for _, k := range u.Forget[id] {
		if err := t.drop(d, recordKey(destination, k)); err != nil {
			return err
		}
	}
	for _, r := range c.records[id] {
		if err := t.put(d, r.key, r.value); err != nil {
			return err
		}
	}
	s, ok := u.States[id]
	if !ok {
		return nil
	}
	current, had, err := d.state(destination)
	if errors.Is(err, store.ErrDamaged) {
		current, had, err = store.State{}, false, t.unfileState(d.place, destination)
	}
	if err != nil {
		return err
	}
	row := c.states[id]
	if current.Wanted > s.Wanted {
		s, row = s.Merge(current), nil
	}
	return t.putState(d, id, destination, current, had, s, row)
}

func identityKey(destination, k string) key { return key{}.text(destination).text(k) }

func personKey(destination string, ref crm.Ref) key {
	return key{}.text(destination).text(ref.Object).text(ref.ID)
}

// ownerKey places an identity among those of one person.
func ownerKey(destination string, ref crm.Ref, k string) key {
	return personKey(destination, ref).text(k)
}

// putIdentity is the only place where an identity is written: it keeps the index
// by person in step. A zero identity drops it.
func (t *tx) putIdentity(destination, k string, i store.Identity) error {
	identities, owners := t.Bucket(identityBucket), t.rising(ownerBucket)
	old, _, damaged, err := recall[store.Identity](identities, identityKey(destination, k))
	if err != nil {
		return err
	}
	if damaged { // whom it named is looked for
		if err := t.unfileAt(ownerBucket, key{}.text(destination), append(key{0, textEnd}, key{}.text(k)...)); err != nil {
			return err
		}
	}
	if !old.Ref.IsZero() && old.Ref != i.Ref {
		if err := owners.Delete(ownerKey(destination, old.Ref, k)); err != nil {
			return err
		}
	}
	if i == (store.Identity{}) {
		return identities.Delete(identityKey(destination, k))
	}
	if !i.Ref.IsZero() {
		if err := owners.Put(ownerKey(destination, i.Ref, k), nil); err != nil {
			return err
		}
	}
	value, err := encodePerson(i)
	if err != nil {
		return err
	}
	return identities.Put(identityKey(destination, k), value)
}

// move hands what is known about people who were merged or converted over to
// those they became. A property that both have goes by the newer call.
func (t *tx) move(destination string, moved map[crm.Ref]crm.Ref) error {
	from := slices.SortedFunc(maps.Keys(moved), func(a, b crm.Ref) int {
		return strings.Compare(string(personKey("", a)), string(personKey("", b)))
	})
	for _, old := range from {
		next := destinationOf(moved, old)
		if next == old {
			continue
		}
		if err := t.movePerson(destination, old, next); err != nil {
			return err
		}
		if err := t.moveIdentities(destination, old, next); err != nil {
			return err
		}
	}
	return nil
}

// destinationOf follows a chain of moves to its end; a circle ends where it
// began.
func destinationOf(moved map[crm.Ref]crm.Ref, ref crm.Ref) crm.Ref {
	next := ref
	for range moved {
		to, ok := moved[next]
		if !ok || to == ref {
			break
		}
		next = to
	}
	return next
}

// movePerson leaves a note of where old went.
func (t *tx) movePerson(destination string, old, next crm.Ref) error {
	people := t.rising(personBucket)
	a, had, _, err := recall[store.Person](people, personKey(destination, old))
	if err != nil {
		return err
	}
	b, known, _, err := recall[store.Person](people, personKey(destination, next))
	if err != nil {
		return err
	}
	if known || had && a.MovedTo.IsZero() {
		b.Join(a)
		b.MovedTo = crm.Ref{} // next is there, whatever an older note says
		value, err := encodePerson(b)
		if err != nil {
			return err
		}
		if err := people.Put(personKey(destination, next), value); err != nil {
			return err
		}
	}
	note, err := encodePerson(store.Person{MovedTo: next})
	if err != nil {
		return err
	}
	return people.Put(personKey(destination, old), note)
}

// identitiesOf lists the identity keys that lead to a person.
func (t *tx) identitiesOf(destination string, ref crm.Ref) (keys []string, err error) {
	prefix := personKey(destination, ref)
	err = eachWithPrefix(t.Tx.Bucket(ownerBucket), prefix, func(k, _ []byte) error {
		r := keyReader(k[len(prefix):])
		keys = append(keys, r.text())
		return nil
	})
	return keys, err
}

func (t *tx) moveIdentities(destination string, old, next crm.Ref) error {
	keys, err := t.identitiesOf(destination, old)
	if err != nil {
		return err
	}
	for _, k := range keys {
		i, ok, _, err := recall[store.Identity](t.Bucket(identityBucket), identityKey(destination, k))
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		i.Ref = next
		if err := t.putIdentity(destination, k, i); err != nil {
			return err
		}
	}
	return nil
}
