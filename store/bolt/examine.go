package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"github.com/callsync/callsync/store"
)

// Examine reads the whole of a journal that no daemon has open, and changes nothing:
// every page, and every revision of every call. The error wraps store.ErrDamaged if
// anything of it cannot be read, and says how many calls. It takes as long as an
// export. Of a journal of another schema the pages alone are read.
func Examine(ctx context.Context, path string) error {
	return contain(func() error {
		db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
		if err != nil {
			return unavailable(err)
		}
		j := &Journal{path: path, db: db, shelves: &shelves{}}
		defer db.Close()
		var schema int
		if err := j.view(ctx, func(t reader) (err error) {
			if schema, _, err = schemaOf(t.Tx); err != nil {
				return err
			}
			return t.walk(ctx)
		}); err != nil || schema != len(migrations) {
			return err
		}
		return j.examineCalls(ctx)
	})
}

// walk reads every page there is. Where a page is another's, or noise, keys are not
// in their order, or bbolt panics.
func (t reader) walk(ctx context.Context) error {
	return t.ForEach(func(name []byte, b *bbolt.Bucket) error {
		var last []byte
		return b.ForEach(func(k, _ []byte) error {
			if last != nil && bytes.Compare(last, k) >= 0 {
				return damaged(fmt.Errorf("keys of %s are not in their order", name))
			}
			last = k
			return ctx.Err()
		})
	})
}

func (j *Journal) examineCalls(ctx context.Context) error {
	stats, err := j.Stats(ctx)
	if err != nil {
		return err
	}
	found, unread := 0, 0
	var reason error
	for c, err := range j.Calls(ctx, store.CallFilter{Damaged: true}) {
		if err != nil {
			return err
		}
		found++
		if err = c.Damaged; err == nil {
			_, err = j.Revisions(ctx, c.ID)
		}
		if errors.Is(err, store.ErrDamaged) {
			unread++
			reason = err
		} else if err != nil {
			return err
		}
	}
	switch {
	case unread > 0:
		return fmt.Errorf("%d of its calls cannot be read; of one it is said: %w", unread, reason)
	case int64(found) != stats.Calls:
		return damaged(fmt.Errorf("there are %d calls, and it counted %d", found, stats.Calls))
	}
	return nil
}
