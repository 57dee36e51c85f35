package sandbox

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// When says where in a request's life a fault strikes.
type When string

const (
	// Before strikes before the CRM sees the request: nothing is committed.
	Before When = "before"
	// After strikes when the CRM has committed: its answer is lost.
	After When = "after"
	// Hang commits, then answers only once the fault is released or removed.
	Hang When = "hang"
)

// A Fault makes requests fail that would have succeeded. Operation, Method and
// Path choose the requests, "*" in Operation and Path standing for any run of
// characters; an empty one matches everything. When several faults match, the
// oldest strikes.
type Fault struct {
	ID        string `json:"id"`
	Operation string `json:"operation,omitempty"`
	Method    string `json:"method,omitempty"`
	Path      string `json:"path,omitempty"`

	// When defaults to Before.
	When When `json:"when,omitempty"`
	// Status is the HTTP status answered. With neither Status nor Reset, a
	// Before fault only delays.
	Status int `json:"status,omitempty"`
	// Kind names the CRM's error for Status (HubSpot: a category or policy
	// name, or "html"; Salesforce: an errorCode). Ignored when Body is set.
	Kind        string `json:"kind,omitempty"`
	Body        string `json:"body,omitempty"`
	ContentType string `json:"contentType,omitempty"`
	// RetryAfter is the Retry-After header's value.
	RetryAfter string `json:"retryAfter,omitempty"`
	// Reset drops the connection in place of an answer.
	Reset bool `json:"reset,omitempty"`
	// Delay passes on the real clock before the request is looked at.
	Delay Duration `json:"delay,omitempty"`

	// Skip lets that many matching requests through first.
	Skip int `json:"skip,omitempty"`
	// Times is how often the fault strikes. 0 means until it is removed.
	Times int `json:"times,omitempty"`
	// Probability of striking a matching request. 0 means always. The same
	// Seed gives the same sequence of decisions.
	Probability float64 `json:"probability,omitempty"`
	Seed        uint64  `json:"seed,omitempty"`

	// Struck counts the requests struck so far.
	Struck int `json:"struck"`
}

func (f *Fault) passes() bool { return f.Status == 0 && !f.Reset }

func (f *Fault) validate() error {
	switch f.When {
	case "":
		f.When = Before
	case Before, After, Hang:
	default:
		return fmt.Errorf("when is %q; use before, after or hang", f.When)
	}
	switch {
	case f.Status != 0 && (f.Status < 200 || f.Status > 599):
		return fmt.Errorf("status is %d; use 200 to 599", f.Status)
	case f.Status != 0 && f.Reset:
		return errors.New("status and reset exclude each other")
	case f.When == After && f.passes():
		return errors.New("a fault after the commit needs a status or reset")
	case f.When == Hang && !f.passes():
		return errors.New("a hanging fault has neither status nor reset")
	case f.When == Before && f.passes() && f.Delay <= 0:
		return errors.New("the fault does nothing; give it a status, reset or delay")
	case f.Probability < 0 || f.Probability > 1:
		return fmt.Errorf("probability is %g; use 0 to 1", f.Probability)
	case f.Times < 0 || f.Skip < 0 || f.Delay < 0:
		return errors.New("times, skip and delay are not negative")
	}
	return nil
}

// ParseFault reads a fault as a command line gives it: comma-separated
// key=value pairs with the keys of Fault's JSON, such as
// "operation=contacts batch create,status=503,times=2,when=after". Values
// cannot hold a comma; "reset" may stand without a value.
func ParseFault(s string) (Fault, error) {
	var f Fault
	for _, pair := range strings.Split(s, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		var err error
		switch key {
		case "operation":
			f.Operation = value
		case "method":
			f.Method = value
		case "path":
			f.Path = value
		case "when":
			f.When = When(value)
		case "status":
			f.Status, err = strconv.Atoi(value)
		case "kind":
			f.Kind = value
		case "body":
			f.Body = value
		case "contentType":
			f.ContentType = value
		case "retryAfter":
			f.RetryAfter = value
		case "reset":
			f.Reset = true
			if value != "" {
				f.Reset, err = strconv.ParseBool(value)
			}
		case "delay":
			err = f.Delay.UnmarshalText([]byte(value))
		case "skip":
			f.Skip, err = strconv.Atoi(value)
		case "times":
			f.Times, err = strconv.Atoi(value)
		case "probability":
			f.Probability, err = strconv.ParseFloat(value, 64)
		case "seed":
			f.Seed, err = strconv.ParseUint(value, 10, 64)
		default:
			return Fault{}, fmt.Errorf("fault %q: unknown key %q", s, key)
		}
		if err != nil {
			return Fault{}, fmt.Errorf("fault %q: %s: %w", s, key, err)
		}
	}
	if err := f.validate(); err != nil {
		return Fault{}, fmt.Errorf("fault %q: %w", s, err)
	}
	return f, nil
}

type activeFault struct {
	Fault
	seen     int
	rng      *rand.Rand
	released chan struct{}
}

// AddFault puts a fault in force and returns its id. ID and Struck of the
// argument are ignored.
func (c *Core) AddFault(f Fault) (string, error) {
	if err := f.validate(); err != nil {
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastID++
	f.ID, f.Struck = "f"+strconv.Itoa(c.lastID), 0
	c.faults = append(c.faults, &activeFault{
		Fault:    f,
		rng:      rand.New(rand.NewPCG(f.Seed, 0)),
		released: make(chan struct{}),
	})
	return f.ID, nil
}

// Faults returns the faults in force, spent ones included.
func (c *Core) Faults() []Fault {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]Fault, len(c.faults))
	for i, f := range c.faults {
		list[i] = f.Fault
	}
	return list
}

// RemoveFault ends one fault and lets the requests it holds continue. It
// reports whether there was such a fault.
func (c *Core) RemoveFault(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, f := range c.faults {
		if f.ID == id {
			close(f.released)
			c.faults = append(c.faults[:i], c.faults[i+1:]...)
			return true
		}
	}
	return false
}

// ClearFaults ends every fault and lets held requests continue.
func (c *Core) ClearFaults() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.faults {
		close(f.released)
	}
	c.faults = nil
}

// pick chooses the fault that strikes this request and counts it.
func (c *Core) pick(r *Request) *activeFault {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.faults {
		if f.Method != "" && f.Method != r.Method || !match(f.Operation, r.Operation) || !match(f.Path, r.Path) {
			continue
		}
		f.seen++
		if f.seen <= f.Skip || f.Times > 0 && f.Struck >= f.Times {
			continue
		}
		if f.Probability > 0 && f.rng.Float64() >= f.Probability {
			continue
		}
		f.Struck++
		return f
	}
	return nil
}

// match reports whether s fits the pattern; "*" stands for any characters and
// an empty pattern fits everything.
func match(pattern, s string) bool {
	if pattern == "" {
		return true
	}
	first, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == s
	}
	s, ok := strings.CutPrefix(s, first)
	if !ok {
		return false
	}
	parts := strings.Split(rest, "*")
	last := parts[len(parts)-1]
	for _, part := range parts[:len(parts)-1] {
		_, after, found := strings.Cut(s, part)
		if !found {
			return false
		}
		s = after
	}
	return strings.HasSuffix(s, last)
}

// Duration is a time.Duration that reads and writes as text, such as "1.5s".
type Duration time.Duration

// MarshalText renders the duration as time.Duration does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return err
	}
	*d = Duration(v)
	return nil
}
