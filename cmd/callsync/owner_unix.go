//go:build unix

package main

import (
	"os"
	"path/filepath"
	"syscall"
)

// giveToFolder gives a file that was created the owner of its folder: the service has to
// be able to open what root made for it.
func giveToFolder(path string) error {
	info, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return err
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 {
		return nil
	}
	return os.Chown(path, int(s.Uid), int(s.Gid))
}
