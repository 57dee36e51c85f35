package bolt

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/callsync/callsync/store"
)

// Call implements [store.Reader].
func (j *Journal) Call(ctx context.Context, callID string) (c store.Call, err error) {
	err = j.view(ctx, func(t reader) error {
		d, err := t.known(callID)
		if err == nil {
			c, err = d.call()
		}
		return err
	})
	return c, err
}

// Revisions implements [store.Reader].
func (j *Journal) Revisions(ctx context.Context, callID string) ([]store.Revision, error) {
	var revisions []store.Revision
	err := j.view(ctx, func(t reader) error {
		d, err := t.known(callID)
		if err != nil {
			return err
		}
		c, err := d.call()
		if err != nil {
			return err
		}
		return d.each(key{rowRevision}, func(rest, value []byte) error {
			r := keyReader(rest)
			n := int(r.uint32())
			seq, at, hash := decodeRevision(value)
			if n <= c.Expired {
				revisions = append(revisions, store.Revision{N: n, At: at, Hash: hash})
				return nil
			}
			body, err := unpack(d.body(seq))
			if err != nil {
				return fmt.Errorf("revision %d of call %s: %w", n, callID, damaged(err))
			}
			revisions = append(revisions, store.Revision{N: n, At: at, Hash: hash, Body: body})
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return revisions, nil
}

// View implements [store.Reader].
func (j *Journal) View(ctx context.Context, callID string) ([]store.Work, error) {
	var works []store.Work
	err := j.view(ctx, func(t reader) error {
		d, err := t.known(callID)
		if err != nil {
			return err
		}
		c, err := d.call()
		if err != nil {
			return err
		}
		packed, unread := d.newestBody(&c)
		var body []byte
		if packed != nil {
			if body, err = unpack(packed); err != nil {
				unread = fmt.Errorf("call %s: its payload: %w", callID, damaged(err))
			}
		}
		byDestination := make(map[string]*store.Work)
		work := func(destination string) *store.Work {
			if byDestination[destination] == nil {
				byDestination[destination] = &store.Work{
					Call: c, Body: body, Destination: destination, Records: map[string]store.Record{}, Damaged: unread,
				}
			}
			return byDestination[destination]
		}
		states, err := d.states()
		if err != nil {
			return err
		}
		for destination, s := range states {
			work(destination).State = s
		}
		err = d.records("", func(destination string, r store.Record) {
			work(destination).Records[r.Key] = r
		})
		if err != nil {
			return err
		}
		for _, destination := range slices.Sorted(maps.Keys(byDestination)) {
			works = append(works, *byDestination[destination])
		}
		return nil
	})
	return works, err
}

// Stats implements [store.Reader].
func (j *Journal) Stats(ctx context.Context) (store.Stats, error) {
	s := store.Stats{
		Deliveries:   make(map[store.Verdict]int64),
		Destinations: make(map[string]map[store.Status]int64),
		Oldest:       make(map[string]time.Time),
		Forgotten:    make(map[string]int64),
	}
	err := j.view(ctx, func(t reader) error {
		err := t.Bucket(countBucket).ForEach(func(k, value []byte) error {
			n := readCount(value)
			r := keyReader(k)
			kind := r.byte()
			if n == 0 {
				return nil
			}
			switch kind {
			case countCalls:
				s.Calls = n
			case countVerdict:
				s.Deliveries[store.Verdict(r.text())] = n
			case countForgotten:
				s.Forgotten[r.text()] = n
			case countState:
				destination, status := r.text(), store.Status(r.text())
				if s.Destinations[destination] == nil {
					s.Destinations[destination] = make(map[store.Status]int64)
				}
				s.Destinations[destination][status] = n
			}
			return nil
		})
		if err != nil {
			return err
		}
		c := t.Bucket(unservedBucket).Cursor()
		for destination := range s.Destinations {
			prefix := key{}.text(destination)
			if k, _ := c.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix) {
				r := keyReader(k[len(prefix):])
				s.Oldest[destination] = r.time()
			}
		}
		return nil
	})
	if err != nil {
		return store.Stats{}, err
	}
	info, err := os.Stat(j.path)
	if err != nil {
		return store.Stats{}, err
	}
	s.Bytes = info.Size()
	return s, nil
}
