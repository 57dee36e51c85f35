//go:build !unix || solaris || aix

package bolt

import "os"

// unlock is for systems where closing a file takes its lock off.
func unlock(*os.File) {}
