package bolt

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"github.com/callsync/callsync/store"
)

// A list is read in pages, each in a transaction of its own, so that a slow
// consumer holds nothing: at most pageRows rows looked at and pageHits found.
const (
	pageRows = 2000
	pageHits = 200
)

// A backward walks the keys with a prefix from the last to the first.
type backward struct {
	cursor *bbolt.Cursor // nil: over left, from its end
	left   []row
	prefix []byte
	width  int    // if above 0: of keys that share so many bytes after the prefix, only those bytes are shown
	rest   []byte // the key without the prefix; nil at the end
	value  []byte
}

// newBackward starts at the last key below prefix+below, or at the very last
// with the prefix if below is nil.
func newBackward(b *bbolt.Bucket, prefix, below []byte) *backward {
	w := &backward{cursor: b.Cursor(), prefix: prefix}
	bound := after(prefix)
	if below != nil {
		bound = append(bytes.Clone(prefix), below...)
	}
	var k, v []byte
	if bound != nil {
		k, _ = w.cursor.Seek(bound)
	}
	if k == nil {
		k, v = w.cursor.Last()
		if k != nil && bound != nil && bytes.Compare(k, bound) >= 0 {
			k, v = w.cursor.Prev()
		}
	} else {
		k, v = w.cursor.Prev()
	}
	w.set(k, v)
	return w
}

func (w *backward) set(k, v []byte) {
	w.rest, w.value = nil, nil
	if k != nil && bytes.HasPrefix(k, w.prefix) {
		w.rest, w.value = k[len(w.prefix):], v
		if w.width > 0 {
			w.rest = w.rest[:w.width]
		}
	}
}

// narrow has the walker show only the first bytes of keys, each once.
func (w *backward) narrow(width int) {
	w.width = width
	if w.rest != nil {
		w.rest = w.rest[:width]
	}
}

func (w *backward) next() {
	if w.cursor == nil {
		w.rest, w.value = nil, nil
		if n := len(w.left); n > 0 {
			w.rest, w.value, w.left = w.left[n-1].key, w.left[n-1].value, w.left[:n-1]
		}
		return
	}
	if w.width > 0 {
		w.cursor.Seek(append(bytes.Clone(w.prefix), w.rest...)) // the first of those just shown
	}
	w.set(w.cursor.Prev())
}

func within(t, since, until time.Time) bool {
	return (since.IsZero() || !t.Before(since)) && (until.IsZero() || t.Before(until))
}

// Calls implements [store.Reader]. A filter by status, agent or result reads
// only calls that have it; one by time only calls of that time.
func (j *Journal) Calls(ctx context.Context, f store.CallFilter) iter.Seq2[store.CallView, error] {
	if len(f.IDs) > 0 {
		return j.callsByID(ctx, f)
	}
	return func(yield func(store.CallView, error) bool) {
		var below []byte
		if !f.Until.IsZero() {
			below = after(placesFrom(f.Until)) // viewCall leaves out what is in excess
		}
		left := f.Limit
		for {
			page, more, err := j.callPage(ctx, f, below, left)
			if err != nil {
				yield(store.CallView{}, err)
				return
			}
			for _, v := range page {
				if !yield(v, nil) {
					return
				}
				if v.Damaged == nil {
					left--
				}
			}
			if more == nil || f.Limit > 0 && left <= 0 {
				return
			}
			below = more
		}
	}
}

func (j *Journal) callPage(ctx context.Context, f store.CallFilter, below []byte, limit int) (page []store.CallView, more []byte, err error) {
	hits := pageHits
	if limit > 0 {
		hits = min(hits, limit)
	}
	var first key // nothing that matches has a place before it
	if !f.Since.IsZero() {
		first = placesFrom(f.Since)
	}
	err = j.view(ctx, func(t reader) error {
		walkers := callWalkers(t, f, below)
		var nameless []key // places of calls whose ids cannot be read
		defer func() { t.name(page, nameless) }()
		for rows := 0; ; {
			rest := newest(walkers)
			if rest == nil {
				more = nil
				return nil
			}
			if rows++; rows > pageRows || len(page) == hits {
				return nil
			}
			if bytes.Compare(rest, first) < 0 {
				more = nil
				return nil
			}
			more = bytes.Clone(rest)
			v, ok, err := t.viewAt(more, f)
			if err != nil {
				return err
			}
			if ok {
				page = append(page, v)
			}
			if ok && v.ID == "" {
				nameless = append(nameless, more)
			}
			for _, w := range walkers {
				if bytes.Equal(w.rest, more) {
					w.next()
				}
			}
		}
	})
	return page, more, err
}

// callWalkers returns walkers over the calls that may match, each in the order
// of time received.
func callWalkers(t reader, f store.CallFilter, below []byte) []*backward {
	if byKind(f) {
		return kindWalkers(t, f, below)
	}
	if f.Status == "" {
		w := newBackward(t.Bucket(rowBucket), nil, below)
		w.narrow(placeSize)
		return []*backward{w}
	}
	destinations := []string{f.Destination}
	if f.Destination == "" {
		destinations = knownDestinations(t)
	}
	var walkers []*backward
	for _, d := range destinations {
		walkers = append(walkers, newBackward(t.Bucket(statusBucket), statusPrefix(d, f.Status), below))
	}
	return walkers
}

// knownDestinations lists those that have or had states.
func knownDestinations(t reader) []string {
	var names []string
	eachWithPrefix(t.Bucket(countBucket), []byte{countState}, func(k, _ []byte) error {
		r := keyReader(k[1:])
		if name := r.text(); !slices.Contains(names, name) {
			names = append(names, name)
		}
		return nil
	})
	return names
}

// newest returns the last key any walker stands at; nil when all are at the end.
func newest(walkers []*backward) []byte {
	var last []byte
	for _, w := range walkers {
		if w.rest != nil && bytes.Compare(w.rest, last) > 0 {
			last = w.rest
		}
	}
	return last
}

// mayHold reports whether a row may have text as one of its values, without the
// cost of decoding it; most rows that a filter leaves out are told by this.
func mayHold(row []byte, text string) bool {
	if text == "" || row[0] != plain {
		return true
	}
	quoted, err := json.Marshal(text)
	return err != nil || bytes.Contains(row, quoted)
}

// viewAt is viewCall of the call at a place. One that cannot be read is an error,
// unless the filter asks for such.
func (t reader) viewAt(place key, f store.CallFilter) (store.CallView, bool, error) {
	d, err := t.at(place)
	var v store.CallView
	var ok bool
	if err == nil {
		v, ok, err = viewCall(d, f)
	}
	if err == nil || !f.Damaged || !errors.Is(err, store.ErrDamaged) {
		return v, ok, err
	}
	if v.ReceivedAt.IsZero() {
		v.ReceivedAt = receivedAt(place)
	}
	v.States, v.Damaged = nil, err
	return v, within(v.ReceivedAt, f.Since, f.Until), nil
}

// name finds out the ids of calls in a page that cannot be read, which are at these
// places, by going through all there are.
func (t reader) name(page []store.CallView, places []key) {
	if len(places) == 0 {
		return
	}
	ids := make(map[string]string, len(places))
	for _, place := range places {
		ids[string(place)] = ""
	}
	c, left := t.Bucket(idBucket).Cursor(), len(places)
	for id, place := c.First(); id != nil && left > 0; id, place = c.Next() {
		if _, asked := ids[string(place)]; asked {
			ids[string(place)] = string(id)
			left--
		}
	}
	for i := range page {
		if page[i].ID == "" {
			page[i].ID, places = ids[string(places[0])], places[1:]
		}
	}
}

// viewCall reads a call as a list shows it; ok is false when the filter leaves it
// out.
func viewCall(d dossier, f store.CallFilter) (v store.CallView, ok bool, err error) {
	row := d.Get(key{rowCall})
	if row == nil || !mayHold(row, f.Agent) || !mayHold(row, string(f.Result)) {
		return v, false, nil
	}
	if err := decodeRow(row, &v.Call); err != nil {
		return v, false, err
	}
	if !within(v.ReceivedAt, f.Since, f.Until) ||
		f.Result != "" && v.ResultType != f.Result ||
		f.Agent != "" && v.AgentID != f.Agent {
		return v, false, nil
	}
	if f.Destination == "" {
		v.States, err = d.states()
	} else {
		v.States = make(map[string]store.State)
		var s store.State
		var had bool
		if s, had, err = d.state(f.Destination); had {
			v.States[f.Destination] = s
		}
	}
	if err != nil || f.Status == "" {
		return v, err == nil, err
	}
	for _, s := range v.States {
		ok = ok || s.Status == f.Status
	}
	return v, ok, nil
}

// callsByID lists the calls that are asked for by name.
func (j *Journal) callsByID(ctx context.Context, f store.CallFilter) iter.Seq2[store.CallView, error] {
	return func(yield func(store.CallView, error) bool) {
		var found []store.CallView
		ids := slices.Compact(slices.Sorted(slices.Values(f.IDs)))
		for chunk := range slices.Chunk(ids, pageHits) {
			err := j.view(ctx, func(t reader) error {
				for _, id := range chunk {
					place := t.whereIs(id)
					if place == nil {
						continue
					}
					v, ok, err := t.viewAt(place, f)
					if err != nil {
						return fmt.Errorf("call %s: %w", id, err)
					}
					v.ID = id // should it be unreadable
					if ok {
						found = append(found, v)
					}
				}
				return nil
			})
			if err != nil {
				yield(store.CallView{}, err)
				return
			}
		}
		slices.SortFunc(found, func(a, b store.CallView) int {
			if c := b.ReceivedAt.Compare(a.ReceivedAt); c != 0 {
				return c
			}
			return strings.Compare(b.ID, a.ID)
		})
		left := f.Limit
		for _, v := range found {
			if f.Limit > 0 && left <= 0 || !yield(v, nil) {
				return
			}
			if v.Damaged == nil {
				left--
			}
		}
	}
}
