//go:build unix

package main

import (
	"syscall"
	"time"
)

// cpuTime is the processor time used by this process so far, the kernel's work
// for it included.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
