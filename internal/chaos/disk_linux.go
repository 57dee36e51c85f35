package main

import (
	"math"

	"golang.org/x/sys/unix"
)

// fillDisk has every write to a file by a process fail, as on a full disk, while
// it goes on running, or lifts that. Only the soft limit moves, which needs no
// privilege.
func fillDisk(pid int, full bool) error {
	limit := unix.Rlimit{Cur: math.MaxUint64, Max: math.MaxUint64}
	if full {
		limit.Cur = 0
	}
	var old unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_FSIZE, nil, &old); err != nil {
		return err
	}
	limit.Max = old.Max
	limit.Cur = min(limit.Cur, old.Max)
	return unix.Prlimit(pid, unix.RLIMIT_FSIZE, &limit, nil)
}
