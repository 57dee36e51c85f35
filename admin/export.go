package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/callsync/callsync/store"
)

// A Line is one revision of a call, as export writes it and import reads it.
// Import also takes bare payloads, one a line.
type Line struct {
	CallID   string          `json:"callId"`
	Revision int             `json:"revision"`
	At       time.Time       `json:"at"` // when it was received
	Body     json.RawMessage `json:"body"`
	// Undone says, by destination, when a person took the call back from there. A
	// journal that does not know the call takes it in as undone at destinations of
	// these names.
	Undone map[string]time.Time `json:"undone,omitempty"`
}

// Exported says what came of an export. It follows the lines as JSON in the
// HTTP trailer Callsync-Exported.
type Exported struct {
	Calls int `json:"calls"` // of which anything was written
	// Expired counts calls of which nothing was written, since their bodies have
	// expired, and OlderExpired the expired revisions of calls that were.
	Expired      int `json:"expired"`
	OlderExpired int `json:"olderExpired"`
	// Without names the expired ones among calls that were asked for by id.
	Without []string `json:"without,omitempty"`
	Unread  *Unread  `json:"unread,omitempty"` // left out, too
}

const exportedTrailer = "Callsync-Exported"

// export streams the selected calls with every revision, a JSON line each.
func (s *Server) export(w http.ResponseWriter, r *http.Request) {
	sel, err := selectionOf(r.URL.Query())
	for _, id := range sel.IDs {
		unknown := s.known(r.Context(), []string{id})
		if err == nil && !errors.Is(unknown, store.ErrDamaged) { // which is told behind the others
			err = unknown
		}
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Trailer", exportedTrailer)
	body := &begun{Writer: w}
	out := json.NewEncoder(body)
	out.SetEscapeHTML(false)
	sum, err := s.exportTo(r.Context(), sel, out)
	if err != nil {
		s.breakOff(w, r, body, err)
		return
	}
	w.Header().Set(exportedTrailer, inASCII(sum))
}

func (s *Server) exportTo(ctx context.Context, sel Selection, out *json.Encoder) (sum Exported, err error) {
	for c, err := range s.Journal.Calls(ctx, sel.filter()) {
		if err != nil {
			return sum, err
		}
		var revisions []store.Revision
		if c.Damaged == nil {
			revisions, err = s.Journal.Revisions(ctx, c.ID)
		}
		switch {
		case errors.Is(err, store.ErrNotFound):
			continue // erased meanwhile
		case errors.Is(err, store.ErrDamaged):
			c.Damaged = err
		}
		if c.Damaged != nil {
			sum.Unread = sum.Unread.call(c)
			continue
		}
		if err != nil {
			return sum, err
		}
		taken, err := s.undoneAt(ctx, c, sel)
		if err != nil {
			return sum, err
		}
		written, err := exportCall(c.ID, revisions, taken, out)
		if err != nil {
			return sum, err
		}
		sum.add(c.ID, written, len(revisions)-written, len(sel.IDs) > 0)
	}
	return sum, nil
}

// undoneAt says where a call is undone, also if only one destination's calls were
// selected.
func (s *Server) undoneAt(ctx context.Context, c store.CallView, sel Selection) (map[string]time.Time, error) {
	states := c.States
	if sel.Destination != "" {
		works, err := s.Journal.View(ctx, c.ID)
		if err != nil && !errors.Is(err, store.ErrNotFound) { // erased meanwhile
			return nil, err
		}
		for _, w := range works {
			states[w.Destination] = w.State
		}
	}
	var at map[string]time.Time
	for destination, state := range states {
		if state.Undone.IsZero() || state.Redo {
			continue
		}
		if at == nil {
			at = map[string]time.Time{}
		}
		at[destination] = state.Undone
	}
	return at, nil
}

// exportCall writes the revisions whose bodies are kept, and returns how many.
func exportCall(id string, revisions []store.Revision, undone map[string]time.Time, out *json.Encoder) (written int, err error) {
	for _, v := range revisions {
		if v.Body == nil {
			continue
		}
		if err := out.Encode(Line{CallID: id, Revision: v.N, At: v.At, Body: rawBody(v.Body), Undone: undone}); err != nil {
			return written, err
		}
		written++
	}
	return written, nil
}

func (e *Exported) add(id string, written, expired int, named bool) {
	switch {
	case written > 0:
		e.Calls++
		e.OlderExpired += expired
	case expired > 0:
		e.Expired++
		if named {
			e.Without = append(e.Without, id)
		}
	}
}

// rawBody is a body as received in a form that can stand inside JSON.
func rawBody(body []byte) json.RawMessage {
	return bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
}

// inASCII is JSON that can stand in a header.
func inASCII(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	var b strings.Builder
	for _, r := range string(data) {
		if r < 0x7f {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.String()
}

// Export writes the selected calls as JSON lines, each a [Line].
func (c *Client) Export(ctx context.Context, sel Selection, w io.Writer) (sum Exported, err error) {
	path := "/api/v1/export"
	if q := sel.query(); len(q) > 0 {
		path += "?" + q.Encode()
	}
	trailer, _, err := c.copy(ctx, path, w)
	if err != nil {
		return sum, err
	}
	if text := trailer.Get(exportedTrailer); text != "" { // an older daemon says nothing
		err = json.Unmarshal([]byte(text), &sum)
	}
	return sum, err
}
