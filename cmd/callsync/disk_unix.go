//go:build linux || darwin || freebsd

package main

import "golang.org/x/sys/unix"

// diskSpace is what this user may still write to a path's file system, and the
// file system's size, in bytes.
func diskSpace(path string) (free, size int64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, 0, err
	}
	block := int64(s.Bsize)
	return int64(s.Bavail) * block, int64(s.Blocks) * block, nil
}
