package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/callsync/callsync/store"
	"github.com/callsync/callsync/store/bolt"
)

type backupCmd struct {
	File      string `arg:"" help:"File to write."`
	Force     bool   `help:"Replace a file that is there already."`
	Unchecked bool   `help:"Keep the copy also where it cannot be read in full; do not read it."`
}

func (c *backupCmd) Run(ctx context.Context, a *app) error {
	if _, err := os.Lstat(c.File); err == nil && !c.Force {
		return usagef("%s is there already; --force replaces it", c.File)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	s, err := a.connect(ctx, false)
	if err != nil {
		return err
	}
	defer s.close()
	if sameFile(c.File, s.cfg.Store.Path) {
		return usagef("%s is the journal itself; name another file", c.File)
	}
	// A file under the final name is always a whole copy.
	f, err := os.CreateTemp(filepath.Dir(c.File), ".callsync-backup-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	n, err := s.Backup(ctx, f)
	if err == nil {
		err = f.Sync()
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	if err := c.examine(ctx, f.Name()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), c.File); err != nil {
		return err
	}
	a.out.f("%s: %s\n", c.File, size(n))
	return nil
}

// examine reads the copy, so that no damaged one takes the place of a good one.
func (c *backupCmd) examine(ctx context.Context, copied string) error {
	if c.Unchecked {
		return nil
	}
	err := bolt.Examine(ctx, copied)
	if errors.Is(err, store.ErrDamaged) {
		return fmt.Errorf("backup: %s was not written, and is as it was: the journal, or its copy, is damaged: %w. Look after the disk; `callsync export` saves what can still be read, and --unchecked keeps the copy all the same", c.File, err)
	}
	return err
}

// sameFile reports whether two names lead to one file.
func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}
