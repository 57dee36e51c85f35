//go:build !linux

package main

import "errors"

// fillDisk would need prlimit(2).
func fillDisk(int, bool) error { return errors.ErrUnsupported }
