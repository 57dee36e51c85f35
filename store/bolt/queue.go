package bolt

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
)

// Enroll implements [store.Queue].
func (j *Journal) Enroll(ctx context.Context, destinations []string) error {
	value, err := json.Marshal(slices.Compact(slices.Sorted(slices.Values(destinations))))
	if err != nil {
		return err
	}
	return j.update(ctx, func(t *tx) error {
		t.asked, t.enrolled = false, nil
		return t.Bucket(metaBucket).Put(enrolledKey, value)
	})
}

// Due implements [store.Queue]. It lists nothing when limit is 0 or less.
func (j *Journal) Due(ctx context.Context, destination string, now time.Time, limit int) ([]store.Due, error) {
	var due []store.Due
	err := j.view(ctx, func(t reader) error {
		c := t.Bucket(dueBucket).Cursor()
		for _, lane := range []store.Lane{store.Live, store.Replay} {
			prefix := duePrefix(destination, lane)
			for k, id := c.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix) && len(due) < limit; k, id = c.Next() {
				r := keyReader(k[len(prefix):])
				next := r.time()
				if next.After(now) {
					break
				}
				due = append(due, store.Due{CallID: string(id), Next: next, Lane: lane})
			}
		}
		return nil
	})
	return due, err
}

// NextDue implements [store.Queue].
func (j *Journal) NextDue(ctx context.Context, destination string) (next time.Time, ok bool, err error) {
	err = j.view(ctx, func(t reader) error {
		c := t.Bucket(dueBucket).Cursor()
		for _, lane := range []store.Lane{store.Live, store.Replay} {
			prefix := duePrefix(destination, lane)
			k, _ := c.Seek(prefix)
			if k == nil || !bytes.HasPrefix(k, prefix) {
				continue
			}
			r := keyReader(k[len(prefix):])
			if at := r.time(); !ok || at.Before(next) {
				next, ok = at, true
			}
		}
		return nil
	})
	return next, ok, err
}

// Backlog implements [store.Queue].
func (j *Journal) Backlog(ctx context.Context, destination string, now time.Time) (b store.Backlog, err error) {
	err = j.view(ctx, func(t reader) error {
		c := t.Bucket(dueBucket).Cursor()
		for lane, n := range map[store.Lane]*int{store.Live: &b.Live, store.Replay: &b.Replay} {
			prefix := duePrefix(destination, lane)
			for k, _ := c.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix); k, _ = c.Next() {
				r := keyReader(k[len(prefix):])
				if r.time().After(now) {
					n = &b.Later // those that follow are later still
				}
				*n++
			}
		}
		return nil
	})
	return b, err
}

// Load implements [store.Queue].
func (j *Journal) Load(ctx context.Context, destination string, callIDs []string) ([]store.Work, error) {
	var works []store.Work
	var packed [][]byte
	err := j.view(ctx, func(t reader) error {
		for _, id := range callIDs {
			d, ok, err := t.find(id)
			if !ok && err == nil {
				continue
			}
			w := store.Work{Call: store.Call{ID: id}, Destination: destination, Records: map[string]store.Record{}}
			var body []byte
			if err == nil {
				body, err = d.load(&w)
			}
			if err != nil {
				w.Damaged = fmt.Errorf("call %s: %w", id, err)
			}
			works, packed = append(works, w), append(packed, bytes.Clone(body))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i := range works {
		if packed[i] == nil {
			continue
		}
		w := &works[i]
		body, err := unpack(packed[i])
		if err == nil {
			w.Body = body
		} else if w.Damaged == nil {
			w.Damaged = fmt.Errorf("call %s: its payload: %w", w.Call.ID, damaged(err))
		}
	}
	return works, nil
}

// Identities implements [store.Queue].
func (j *Journal) Identities(ctx context.Context, destination string, keys []string) (map[string]store.Identity, error) {
	found := make(map[string]store.Identity)
	err := j.view(ctx, func(t reader) error {
		b := t.Bucket(identityBucket)
		for _, k := range keys {
			i, ok, damaged, err := recall[store.Identity](b, identityKey(destination, k))
			if err != nil {
				return err
			}
			if ok {
				found[k] = i
			}
			if damaged {
				j.log.Error("whom an email or a number belongs to can no longer be read; the CRM is asked again", "path", j.path, "destination", destination)
			}
		}
		return nil
	})
	return found, err
}

// People implements [store.Queue].
func (j *Journal) People(ctx context.Context, destination string, people []crm.Ref) (map[crm.Ref]store.Person, error) {
	found := make(map[crm.Ref]store.Person)
	err := j.view(ctx, func(t reader) error {
		b := t.Bucket(personBucket)
		for _, ref := range people {
			p, ok, damaged, err := recall[store.Person](b, personKey(destination, ref))
			if err != nil {
				return err
			}
			if ok {
				found[ref] = p
			}
			if damaged {
				j.log.Error("what was applied to a person can no longer be read; it is compared with the CRM", "path", j.path, "destination", destination)
			}
		}
		return nil
	})
	return found, err
}

// Request implements [store.Queue]. The whole list is one transaction, during
// which deliveries wait: hand large ones over in portions.
func (j *Journal) Request(ctx context.Context, destination string, callIDs []string, r store.Request) (int, error) {
	at := r.At
	if at.IsZero() {
		at = j.now()
	}
	ids := slices.Compact(slices.Sorted(slices.Values(callIDs)))
	var n int
	err := j.update(ctx, func(t *tx) error {
		n = 0
		for _, id := range t.inOrder(ids) {
			d, ok, err := t.open(id)
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			c, err := d.call()
			if err != nil {
				return err
			}
			if !c.HasBody() {
				continue
			}
			n++
			old, had, err := d.state(destination)
			if err != nil {
				return err
			}
			if err := t.putState(d, id, destination, old, had, requested(old, at.UTC(), r), nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

func requested(old store.State, at time.Time, r store.Request) store.State {
	s := want(old, at)
	s.Force = s.Force || r.Force
	s.Recreate = s.Recreate || r.Recreate
	s.Redo = s.Redo || r.Redo
	planned := !old.Next.IsZero()
	if !planned || old.Lane != store.Live {
		s.Lane = r.Lane
	}
	if planned && old.Lane == s.Lane && old.Next.Before(at) {
		s.Next = old.Next
	}
	return s
}

// Leases live in memory: the file's lock keeps other processes out, so only the
// loops of this one compete.
type leases struct {
	mu   sync.Mutex
	held map[string]lease
}

type lease struct {
	holder string
	until  time.Time
}

// Lease implements [store.Queue].
func (j *Journal) Lease(ctx context.Context, destination, holder string, ttl time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	l := &j.leases
	l.mu.Lock()
	defer l.mu.Unlock()
	now := j.now()
	if h, ok := l.held[destination]; ok && h.holder != holder && now.Before(h.until) {
		return fmt.Errorf("%s: %w until %s", destination, store.ErrLeased, h.until.UTC().Format(time.RFC3339))
	}
	if l.held == nil {
		l.held = make(map[string]lease)
	}
	l.held[destination] = lease{holder, now.Add(ttl)}
	return nil
}

// Release implements [store.Queue].
func (j *Journal) Release(ctx context.Context, destination, holder string) error {
	l := &j.leases
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[destination].holder == holder {
		delete(l.held, destination)
	}
	return nil
}

// wakers are the channels to tell about new work.
type wakers struct {
	mu      sync.Mutex
	waiting map[string]map[chan struct{}]bool // by destination
}

// Wake implements [store.Queue].
func (j *Journal) Wake(destination string) (<-chan struct{}, func()) {
	w := &j.wakers
	c := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waiting == nil {
		w.waiting = make(map[string]map[chan struct{}]bool)
	}
	if w.waiting[destination] == nil {
		w.waiting[destination] = make(map[chan struct{}]bool)
	}
	w.waiting[destination][c] = true
	return c, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.waiting[destination], c)
	}
}

func (w *wakers) wake(destination string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.waiting[destination] {
		select {
		case c <- struct{}{}:
		default: // it was told already
		}
	}
}

// wakeAll tells everybody, whatever the destination.
func (w *wakers) wakeAll() {
	w.mu.Lock()
	destinations := slices.Collect(maps.Keys(w.waiting))
	w.mu.Unlock()
	for _, destination := range destinations {
		w.wake(destination)
	}
}
