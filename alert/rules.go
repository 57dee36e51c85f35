package alert

import (
	"fmt"
	"time"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/store"
	"github.com/callsync/callsync/sync"
)

// Limits are from where on something is a problem.
type Limits struct {
	OldestUnsynced time.Duration // age of the oldest call on its way
	DiskFree       int64         // bytes left beside the journal
}

// quiet is how long no delivery must have been rejected, or lost, for that
// problem to be over: the only sign of its end is that nothing happens.
const quiet = 15 * time.Minute

// rules turn the status into problems. They remember what counters said before.
type rules struct {
	unauthorized, unwritten recent
}

// recent follows a counter that, like the engine, starts with the daemon.
type recent struct {
	count int64     // as last seen
	since int64     // before the present series of rises
	rose  time.Time // when it last rose
}

// rises is by how much the counter rose without a quiet time in between; 0 once
// it has been quiet.
func (r *recent) rises(count int64, now time.Time) int64 {
	if now.Sub(r.rose) >= quiet {
		r.since = r.count
	}
	if count > r.count {
		r.count, r.rose = count, now
	}
	return r.count - r.since
}

// unreadable is the problem that the status, and so any other, cannot be told.
func unreadable(failure error) Problem {
	return Problem{
		Rule: JournalBroken, Text: "the journal cannot be read: " + failure.Error(),
		Action: "look at the disk and at callsync's log; deliveries may be refused until it is mended",
	}
}

// judge lists what is wrong.
func (r *rules) judge(s admin.Status, l Limits, now time.Time) []Problem {
	var found []Problem
	if n := r.unwritten.rises(s.Refused.Unwritten, now); n > 0 {
		found = append(found, Problem{
			Rule: JournalBroken, Count: n, Text: fmt.Sprintf("%s could not be journalled and the sender was asked to try again", count(n, "delivery", "deliveries")),
			Action: "look at the disk (full, read-only, failing?) and at callsync's log",
		})
	}
	if n := r.unauthorized.rises(s.Refused.Unauthorized, now); n > 0 {
		found = append(found, Problem{
			Rule: WrongKey, Count: n, Text: fmt.Sprintf("%s came with no key or a wrong one and %s rejected", count(n, "delivery", "deliveries"), were(n)),
			Action: "compare the webhook key in 11x with [receiver] api_keys; `callsync deliveries --verdict rejected` shows who sent them, and strangers need no answer",
		})
	}
	if free, size := s.Journal.DiskFree, s.Journal.DiskSize; size > 0 && free < l.DiskFree {
		found = append(found, Problem{
			Rule: DiskNearlyFull, Text: fmt.Sprintf("the journal's disk has %s left of %s", bytes(free), bytes(size)),
			Action: "make room or enlarge the disk: on a full one deliveries are refused",
		})
	}
	for _, d := range s.Destinations {
		found = append(found, judgeDestination(d, l, now)...)
	}
	return found
}

func judgeDestination(d admin.DestinationStatus, l Limits, now time.Time) []Problem {
	var found []Problem
	name := d.Destination
	add := func(rule Rule, n int64, text, action string) {
		found = append(found, Problem{rule, name, n, name + text, action})
	}
	switch d.Phase {
	case sync.Paused:
		add(DestinationStopped, 0, " is paused: "+d.Reason, "`callsync unpause "+name+"` lets it go on")
	case sync.Blocked:
		action := d.Hint
		if action == "" {
			action = "`callsync check` explains; calls are journalled and go on by themselves once it is mended"
		}
		add(DestinationStopped, 0, " is blocked: "+d.Reason, action)
	}
	if n := d.Calls[store.Failed]; n > 0 {
		add(CallsFailed, n, fmt.Sprintf(": %s failed and will not be tried again by themselves", count(n, "call", "calls")),
			"`callsync calls --state failed` groups them by cause; mend it, then `callsync resync --state failed`")
	}
	if !d.Oldest.IsZero() && l.OldestUnsynced > 0 {
		if age := now.Sub(d.Oldest); age > l.OldestUnsynced {
			text := fmt.Sprintf(": the oldest call has been on its way for more than %s", span(l.OldestUnsynced))
			if d.Phase == sync.Broken {
				text += "; the CRM does not answer as it should: " + d.Reason
			}
			add(CallsLate, 0, text, "`callsync status` says what holds it up")
		}
	}
	if problem := d.MappingFile.Problem; problem != "" {
		add(MappingBroken, 0, ": the mapping file cannot be used and the last good version is in force: "+problem,
			"mend the file; it is read again as soon as it changes")
	}
	return found
}

func count(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func were(n int64) string {
	if n == 1 {
		return "was"
	}
	return "were"
}

// bytes is a size as people say it.
func bytes(n int64) string {
	const unit = 1024
	value, names := float64(n), []string{"B", "KiB", "MiB", "GiB", "TiB"}
	i := 0
	for value >= unit && i < len(names)-1 {
		value /= unit
		i++
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", value, names[i])
}
