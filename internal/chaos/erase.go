package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// leave has a person ask to be erased: from now on nothing of them is sent.
func (w *world) leave(l *load, person int) {
	w.gone[person] = true
	for i, c := range l.calls {
		if c.draft.person == person {
			w.ledger.entry(i).erased = true
		}
	}
}

// isErased says whether a call belongs to somebody who asked to be erased.
func (w *world) isErased(l *load, id string) bool {
	i := slices.IndexFunc(l.calls, func(c *call) bool { return c.id == id })
	return i >= 0 && w.gone[l.calls[i].draft.person]
}

// erase removes a person from the journal and the CRMs. It may fail: because
// callsync dies, because a CRM does, or because it is not known yet what became
// of a creation.
func (w *world) erase(ctx context.Context, p person) error {
	return w.ask(ctx, http.MethodPost, "/api/v1/erase", map[string]any{"phone": p.phone, "crm": true}, nil)
}

// eraseAll asks again for every erasure there was, until it has worked, as a
// person answerable for it would.
func (w *world) eraseAll(ctx context.Context, l *load) error {
	deadline := time.Now().Add(settleLimit)
	for _, a := range w.accounts {
		deadline = deadline.Add(2 * a.patience())
	}
	for i := range w.gone {
		for {
			err := w.erase(ctx, l.people[i])
			if err == nil {
				break
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("somebody could not be erased although all was in order: %w", err)
			}
			for _, a := range w.accounts {
				_ = w.ask(ctx, http.MethodPost, "/api/v1/destinations/"+a.name+"/unpause", map[string]any{}, nil)
			}
			if err := pause(ctx, 500*time.Millisecond); err != nil {
				return err
			}
		}
	}
	return nil
}

// staying are the people who did not ask to be erased: nobody else may be in a
// CRM.
func (w *world) staying(l *load) []person {
	var all []person
	for i, p := range l.people {
		if !w.gone[i] {
			all = append(all, p)
		}
	}
	return all
}
