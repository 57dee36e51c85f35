// Package alert tells people that callsync needs them: by mail, Slack, Teams or
// whatever shoutrrr has a URL for, without any other system.
//
// An [Engine] looks at the daemon's status every few seconds. It says what is
// wrong once, what belongs together in one message, and says so again when it is
// over. What has been said is kept in the journal, so that a restart neither
// repeats it nor forgets to call it off. Each receiver of messages is served on
// its own: one that cannot be reached delays no other, and gets what it missed.
//
// This package knows no CRM: whatever it says about one comes from the status.
// Messages may leave the house, so they hold no call's data, and errors never
// hold the URL of a receiver, which is a secret.
package alert

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode"
)

// A Problem is something that is wrong now. Rule and Subject identify it: what
// else changes is the same problem growing or shrinking.
type Problem struct {
	Rule    Rule   `json:"rule"`
	Subject string `json:"subject,omitempty"` // a destination's name; "" for the daemon as a whole
	// Count is how many of something, where that can grow; a problem is told
	// again when its count has doubled.
	Count  int64  `json:"count,omitempty"`
	Text   string `json:"text"`   // what is wrong, in a sentence without a full stop
	Action string `json:"action"` // what to do about it
}

func (p Problem) key() string { return string(p.Rule) + "/" + p.Subject }

// A Rule is a kind of problem.
type Rule string

const (
	DestinationStopped Rule = "destination_stopped" // paused by a person, or blocked
	CallsFailed        Rule = "calls_failed"
	CallsLate          Rule = "calls_late" // the oldest unsynced call is too old
	WrongKey           Rule = "wrong_key"  // deliveries without an accepted key
	DiskNearlyFull     Rule = "disk_nearly_full"
	MappingBroken      Rule = "mapping_broken"
	JournalBroken      Rule = "journal_broken" // it cannot be read or written
)

// Rules lists all of them.
func Rules() []Rule {
	return []Rule{DestinationStopped, CallsFailed, CallsLate, WrongKey, DiskNearlyFull, MappingBroken, JournalBroken}
}

// A Message is what one receiver is told at once.
type Message struct {
	Title, Body string
}

// A Sender hands messages to one receiver. The error may be logged: it holds no
// part of the receiver's address that could be secret.
type Sender interface {
	Service() string // "slack"
	Send(ctx context.Context, m Message) error
}

// Test is the message by which a person finds out that messages arrive.
func Test(host string) Message {
	return Message{
		Title: "callsync on " + host + ": test",
		Body:  "This is what you asked for with `callsync check --alert`: alerts of this callsync arrive here. There is nothing to do.",
	}
}

// News is what there is to say to a receiver.
type news struct {
	fresh    []Problem // not said yet, or grown since
	open     []Problem // said before
	resolved []past
	// urgent is false when nothing but open problems is there to be said, and
	// none of them needs a reminder.
	urgent bool
}

// A past problem is over; lasted is for how long it was one.
type past struct {
	Problem
	lasted time.Duration
}

const (
	maxListed = 20  // problems of one kind of news in a message
	maxText   = 600 // characters of a problem's text
)

func (n news) message(host string) Message {
	var b strings.Builder
	list(&b, "", n.fresh, func(p Problem) {
		fmt.Fprintf(&b, "%s.\nWhat to do: %s.\n\n", line(p.Text), line(p.Action))
	})
	list(&b, "Over:", n.resolved, func(p past) {
		fmt.Fprintf(&b, "- %s (after %s)\n", line(p.Text), span(p.lasted))
	})
	list(&b, "Still so:", n.open, func(p Problem) {
		fmt.Fprintf(&b, "- %s. What to do: %s.\n", line(p.Text), line(p.Action))
	})
	return Message{Title: "callsync on " + host + ": " + n.title(), Body: strings.TrimSpace(b.String())}
}

func (n news) title() string {
	var parts []string
	switch len(n.fresh) {
	case 0:
	case 1:
		parts = append(parts, string(n.fresh[0].headline()))
	default:
		parts = append(parts, fmt.Sprintf("%d new problems", len(n.fresh)))
	}
	switch len(n.resolved) {
	case 0:
	case 1:
		parts = append(parts, "resolved: "+n.resolved[0].headline())
	default:
		parts = append(parts, fmt.Sprintf("%d problems resolved", len(n.resolved)))
	}
	switch {
	case len(parts) > 0 && len(n.open) > 0:
		parts = append(parts, fmt.Sprintf("%d still open", len(n.open)))
	case len(parts) > 0:
	case len(n.open) == 1:
		parts = append(parts, "still: "+n.open[0].headline())
	default:
		parts = append(parts, fmt.Sprintf("%d problems still open", len(n.open)))
	}
	return strings.Join(parts, ", ")
}

// headline is the problem in two or three words.
func (p Problem) headline() string {
	words := strings.ReplaceAll(string(p.Rule), "_", " ")
	if p.Subject != "" {
		return words + " (" + p.Subject + ")"
	}
	return words
}

// list writes up to maxListed items under a heading.
func list[T any](b *strings.Builder, heading string, items []T, write func(T)) {
	if len(items) == 0 {
		return
	}
	if heading != "" {
		b.WriteString(heading + "\n")
	}
	for _, item := range items[:min(len(items), maxListed)] {
		write(item)
	}
	if more := len(items) - maxListed; more > 0 {
		fmt.Fprintf(b, "… and %d more: `callsync status` has them all\n", more)
	}
	b.WriteString("\n")
}

// line makes text from elsewhere fit for a line of a message.
func line(s string) string {
	var b strings.Builder
	n, gap := 0, false
	for _, r := range s {
		if unicode.IsSpace(r) || !unicode.IsPrint(r) {
			gap = b.Len() > 0
			continue
		}
		if n >= maxText {
			b.WriteString("…")
			break
		}
		if gap {
			b.WriteByte(' ')
		}
		gap = false
		b.WriteRune(r)
		n++
	}
	return strings.TrimRight(b.String(), ". ")
}

// span is a duration as people say it.
func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", max(0, int(d.Seconds())))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	default:
		return fmt.Sprintf("%dd", int(d.Hours())/24)
	}
}
