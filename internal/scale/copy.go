package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/store"
)

// A pattern is a call as the real loop left it.
type pattern struct {
	store.Work
	call    *julian.Call
	person  store.Person
	records []store.Record
}

// patterns reads what became of the calls in the journal.
func (w *world) patterns(ctx context.Context) ([]pattern, error) {
	var ids []string
	for v, err := range w.journal.Calls(ctx, store.CallFilter{Status: store.Synced, Limit: 1000}) {
		if err != nil {
			return nil, err
		}
		ids = append(ids, v.ID)
	}
	works, err := w.journal.Load(ctx, destination, ids)
	if err != nil {
		return nil, err
	}
	var all []pattern
	for _, work := range works {
		p := pattern{Work: work}
		if p.call, err = julian.Parse(work.Body); err != nil {
			return nil, err
		}
		for _, k := range slices.Sorted(maps.Keys(work.Records)) {
			p.records = append(p.records, work.Records[k])
		}
		if work.State.Person != nil {
			people, err := w.journal.People(ctx, destination, []crm.Ref{work.State.Person.Ref})
			if err != nil {
				return nil, err
			}
			p.person = people[work.State.Person.Ref]
		}
		all = append(all, p)
	}
	return all, nil
}

// copies adds n calls like the patterns, each under an id of its own and every
// third with a person of its own, without rendering or sending anything: what the
// journal holds of them is the same, and takes a tenth of the time.
func (w *world) copies(ctx context.Context, patterns []pattern, n int) error {
	u := store.Update{
		States: map[string]store.State{}, Records: map[string][]store.Record{},
		Identities: map[string]store.Identity{}, People: map[crm.Ref]store.Person{},
	}
	g, deliveries := errgroup.WithContext(ctx)
	g.SetLimit(512)
	for range n {
		w.copied++
		sum := sha256.Sum256(fmt.Append(nil, w.copied))
		hash, request := sha256.Sum256(sum[:]), sha256.Sum256(sum[1:])
		p, id := patterns[w.copied%len(patterns)], "call."+hex.EncodeToString(sum[:12])
		body := bytes.ReplaceAll(p.Body, []byte(p.Call.ID), []byte(id))
		call := *p.call
		call.CallID = id
		g.Go(func() error {
			_, err := w.journal.Deliver(deliveries, store.Delivery{
				At: time.Now().Truncate(time.Millisecond), Peer: "203.0.113.7", RequestID: hex.EncodeToString(request[:12]), Status: 200,
				CallID: id, Size: len(body), Hash: hex.EncodeToString(hash[:]), Body: body, Call: &call,
			})
			return err
		})
		w.settle(&u, p, id, binary.BigEndian.Uint64(sum[12:])%1e10)
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return w.journal.Apply(ctx, destination, u)
}

// settle puts into u what a round would have recorded for the copy. Ids of a CRM
// rise; numbers of people do not.
func (w *world) settle(u *store.Update, p pattern, id string, number uint64) {
	s := p.State
	ref := crm.Ref{Object: "contacts", ID: fmt.Sprint(150_000_000_000 + w.copied/3)}
	if s.Person != nil {
		s.Person = &store.Choice{Ref: ref, How: s.Person.How}
	}
	u.States[id] = s
	for i, r := range p.records {
		r.Key = strings.ReplaceAll(r.Key, p.Call.ID, id)
		r.ID = fmt.Sprint(90_000_000_000 + 4*w.copied + i)
		r.Links = []crm.Ref{ref}
		u.Records[id] = append(u.Records[id], r)
	}
	if w.copied%3 == 0 {
		u.People[ref] = p.person
		u.Identities[fmt.Sprintf("phone:+1%010d", number)] = store.Identity{Ref: ref, How: "created", At: s.SyncedAt}
		u.Identities[fmt.Sprintf("email:person%d@northwind.example.com", number)] = store.Identity{Ref: ref, How: "created", At: s.SyncedAt}
	}
}
