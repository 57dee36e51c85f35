//go:build !unix

package bolt

import "os"

// inherit is for systems where files have no owner, or are not replaced.
func inherit(*os.File, string) error { return nil }
