package store

import "fmt"

// Why a delivery is stale, for every [Inbox] to say alike.
const (
	// StaleInterim: no further delivery of an interim result changes that.
	StaleInterim = "an interim result after a terminal one"
	StaleBulk    = "older than the newest revision" // of what came in bulk
)

// StaleEarlier is the reason for a body that is revision n of the call's newest.
func StaleEarlier(n, newest int) string {
	return fmt.Sprintf("an earlier revision, %d of %d", n, newest)
}
