//go:build unix && !solaris && !aix

package bolt

import (
	"os"
	"syscall"
)

// unlock takes bbolt's lock off f, which would otherwise last as long as a
// mapping of the file does.
func unlock(f *os.File) { syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }
