package bolt

import (
	"cmp"
	"context"
	"fmt"
	"io"

	"github.com/callsync/callsync/store"
)

// PutMapping implements [store.Keeper]. A version that is kept already stays as
// it is.
func (j *Journal) PutMapping(ctx context.Context, m store.MappingVersion) error {
	value, err := encodeRow(m)
	if err != nil {
		return err
	}
	k := key{}.text(m.Version)
	return j.update(ctx, func(t *tx) error {
		b := t.Bucket(mappingBucket)
		if b.Get(k) != nil {
			return nil
		}
		return b.Put(k, value)
	})
}

// Mapping implements [store.Keeper].
func (j *Journal) Mapping(ctx context.Context, version string) (m store.MappingVersion, err error) {
	err = j.view(ctx, func(t reader) error {
		ok, err := load(t.Bucket(mappingBucket), key{}.text(version), &m)
		if err == nil && !ok {
			err = fmt.Errorf("mapping version %s: %w", version, store.ErrNotFound)
		}
		return err
	})
	return m, err
}

// Get implements [store.Keeper].
func (j *Journal) Get(ctx context.Context, name string) (value string, err error) {
	err = j.view(ctx, func(t reader) error {
		value = string(t.Bucket(settingBucket).Get(key{}.text(name)))
		return nil
	})
	return value, err
}

// Set implements [store.Keeper].
func (j *Journal) Set(ctx context.Context, name, value string) error {
	k := key{}.text(name)
	return j.update(ctx, func(t *tx) error {
		b := t.Bucket(settingBucket)
		if value == "" {
			return b.Delete(k)
		}
		return b.Put(k, []byte(value))
	})
}

// Backup implements [store.Keeper]. The copy is a journal file that [Open]
// takes. Pages freed meanwhile are used again only once it is done, so the file
// may grow while a slow w is written to.
func (j *Journal) Backup(ctx context.Context, w io.Writer) error {
	return j.view(ctx, func(t reader) error {
		out := &copier{ctx: ctx, to: w}
		if _, err := t.WriteTo(out); err != nil {
			return cmp.Or(out.err, err)
		}
		return nil
	})
}

// A copier stops when its context ends, and remembers why writing failed, which
// bbolt only puts into words.
type copier struct {
	ctx context.Context
	to  io.Writer
	err error
}

func (c *copier) Write(p []byte) (n int, err error) {
	if c.err = c.ctx.Err(); c.err == nil {
		n, c.err = c.to.Write(p)
	}
	return n, c.err
}
