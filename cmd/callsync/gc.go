package main

import (
	"os"
	"runtime/debug"
)

// collectLess trades some tens of megabytes for processor time: nearly all that
// is allocated for a call is garbage when the call is done, and next to a heap as
// small as callsync's the collector would run all the time. $GOGC has the last
// word, and $GOMEMLIMIT bounds the whole.
func collectLess() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(300)
	}
}
