//go:build unix

package bolt

import (
	"os"
	"syscall"
)

// inherit gives f the owner, the group and the mode of the file that it is to take
// the place of. Another group is an error only where the group may do something.
func inherit(f *os.File, from string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		mine := int(s.Uid) == os.Geteuid() && info.Mode().Perm()&0o070 == 0
		if err := f.Chown(int(s.Uid), int(s.Gid)); err != nil && !mine {
			return err
		}
	}
	return f.Chmod(info.Mode().Perm())
}
