package admin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/store"
)

// Imported is the answer of an import.
type Imported struct {
	Verdicts map[store.Verdict]int `json:"verdicts"`
	// Refused are lines that hold no usable payload; at most the first hundred
	// are listed.
	Refused []RefusedLine `json:"refused,omitempty"`
}

// A RefusedLine says where and why.
type RefusedLine struct {
	Line   int    `json:"line"` // from 1
	Reason string `json:"reason"`
}

const (
	maxLine    = maxRequest // bytes
	maxRefused = 100
	// importers deliver side by side, so that they share the journal's commits.
	importers = 64
)

// begun is the body of an answer, and tells whether any of it was written.
type begun struct {
	io.Writer
	yes bool
}

func (b *begun) Write(p []byte) (int, error) {
	b.yes = true
	return b.Writer.Write(p)
}

// breakOff ends a stream that failed. Where nothing of it was written, the error is
// the answer; half way it breaks the connection, so that a cut-off copy is never taken
// for a whole one.
func (s *Server) breakOff(w http.ResponseWriter, r *http.Request, body *begun, err error) {
	if !body.yes {
		w.Header().Del("Trailer")
		s.fail(w, r, err)
		return
	}
	s.Logger.Error("the answer broke off", "path", r.URL.Path, "error", err)
	panic(http.ErrAbortHandler)
}

// backup streams a copy of the journal.
func (s *Server) backup(w http.ResponseWriter, r *http.Request) {
	// A large copy to a slow disk may take longer than any other answer.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
	w.Header().Set("Content-Type", "application/octet-stream")
	body := &begun{Writer: w}
	if err := s.Journal.Backup(r.Context(), body); err != nil {
		s.breakOff(w, r, body, err)
	}
}

// importCalls takes lines in as if each had been delivered, but in bulk: live
// deliveries overtake them, and they are wanted from now on, however old.
// Revisions of a call keep their order; different calls go side by side.
func (s *Server) importCalls(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{})
	_ = control.SetWriteDeadline(time.Time{})
	answer, err := s.importFrom(r.Context(), r.Body)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

func (s *Server) importFrom(ctx context.Context, body io.Reader) (*Imported, error) {
	t := &importTally{answer: Imported{Verdicts: map[store.Verdict]int{}}}
	g, ctx := errgroup.WithContext(ctx)
	var lanes [importers]chan store.Delivery
	for i := range lanes {
		lanes[i] = make(chan store.Delivery, 4)
		g.Go(func() error { return s.importLane(ctx, lanes[i], t) })
	}
	g.Go(func() error {
		defer func() {
			for _, lane := range lanes {
				close(lane)
			}
		}()
		return s.readLines(ctx, body, t, func(d store.Delivery) error {
			h := fnv.New32a()
			_, _ = h.Write([]byte(d.CallID))
			select {
			case lanes[h.Sum32()%importers] <- d:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return &t.answer, nil
}

func (s *Server) importLane(ctx context.Context, lane <-chan store.Delivery, t *importTally) error {
	for d := range lane {
		receipt, err := s.Journal.Deliver(ctx, d)
		if err != nil {
			return fmt.Errorf("call %s: %w", d.CallID, err)
		}
		t.took(receipt.Verdict)
	}
	return nil
}

func (s *Server) readLines(ctx context.Context, body io.Reader, t *importTally, deliver func(store.Delivery) error) error {
	lines := bufio.NewScanner(body)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	n := 0
	var last store.Delivery
	for lines.Scan() {
		n++
		text := bytes.TrimSpace(rawBody(lines.Bytes()))
		if len(text) == 0 {
			continue
		}
		d, err := s.deliveryOf(bytes.Clone(text))
		if err != nil {
			t.refuse(n, err)
			continue
		}
		if d.CallID == last.CallID && d.At.Before(last.At) {
			d.At = last.At // a clock was set back between two revisions
		}
		if err := deliver(d); err != nil {
			return err
		}
		last = d
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return invalid("line %d is longer than %d bytes; the lines before it were taken in", n+1, maxLine)
	}
	return lines.Err()
}

// deliveryOf reads a line: an exported revision, or a bare payload.
func (s *Server) deliveryOf(text []byte) (store.Delivery, error) {
	now := s.Now()
	at := now
	var undone map[string]time.Time
	var line Line
	if err := json.Unmarshal(text, &line); err == nil && line.Revision > 0 && len(line.Body) > 0 {
		text, undone = line.Body, line.Undone
		if !line.At.IsZero() {
			at = line.At
		}
	}
	for _, t := range append(slices.Collect(maps.Values(undone)), at) {
		if !store.Writable(t) {
			return store.Delivery{}, invalid("the time %s cannot be kept: in UTC it is outside the years 0 to 9999", t.Format(time.RFC3339))
		}
	}
	call, hash, err := julian.Receive(text)
	if err != nil {
		return store.Delivery{}, err
	}
	return store.Delivery{
		At: at, Peer: "import", Status: http.StatusOK, Verdict: store.Accepted, CallID: call.CallID,
		Size: len(text), Hash: hash, Body: text, Call: call,
		Lane: store.Replay, Due: now, Undone: undone,
	}, nil
}

// An importTally counts what came of lines.
type importTally struct {
	mu     sync.Mutex
	answer Imported
}

func (t *importTally) took(v store.Verdict) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.answer.Verdicts[v]++
}

func (t *importTally) refuse(line int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.answer.Verdicts[store.Rejected]++
	if len(t.answer.Refused) < maxRefused {
		t.answer.Refused = append(t.answer.Refused, RefusedLine{line, err.Error()})
	}
}
