package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// Progress says how far a long request has come.
type Progress struct {
	Calls int   `json:"calls"`        // looked at so far
	Of    int64 `json:"of,omitempty"` // 0 when nobody counted them
}

// A progressLine is one of the lines of an answer to somebody who accepts
// progressType: how far it is, again and again, then the answer or an error.
type progressLine struct {
	Progress *Progress       `json:"progress,omitempty"`
	Answer   json.RawMessage `json:"answer,omitempty"`
	Error    *Error          `json:"failed,omitempty"`
}

const progressType = "application/x-ndjson"

type tellKey struct{}

// tell reports progress to whoever sent the request, if they want to know.
func tell(ctx context.Context, p Progress) {
	if f, ok := ctx.Value(tellKey{}).(func(Progress)); ok {
		f(p)
	}
}

// long is route for requests that may take minutes.
func (s *Server) long(pattern string, h func(*http.Request) (any, error)) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept") != progressType {
			s.answer(w, r, h)
			return
		}
		begun := false
		line := func(l progressLine) {
			if !begun {
				w.Header().Set("Content-Type", progressType)
				w.Header().Set("Cache-Control", "no-store")
			}
			begun = true
			if err := json.NewEncoder(w).Encode(l); err != nil {
				s.Logger.Debug("progress was not delivered", "path", r.URL.Path, "error", err)
			}
			_ = http.NewResponseController(w).Flush()
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
		ctx := context.WithValue(r.Context(), tellKey{}, func(p Progress) { line(progressLine{Progress: &p}) })
		answer, err := h(r.WithContext(ctx))
		var l progressLine
		if err == nil {
			l.Answer, err = json.Marshal(answer)
		}
		switch {
		case err != nil && !begun:
			s.fail(w, r, err)
			return
		case err != nil:
			l.Error = asError(err)
		}
		line(l)
	})
}

// Reporting returns a client that tells how far its plans and resyncs are while
// they are being worked on.
func (c *Client) Reporting(tell func(Progress)) *Client {
	reporting := *c
	reporting.tell = tell
	return &reporting
}

// postLong is post for requests that may take minutes.
func (c *Client) postLong(ctx context.Context, path string, body, into any) error {
	if c.tell == nil {
		return c.post(ctx, path, body, into)
	}
	resp, err := c.send(ctx, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	for dec := json.NewDecoder(resp.Body); ; {
		var l progressLine
		switch err := dec.Decode(&l); {
		case errors.Is(err, io.EOF):
			return fmt.Errorf("the daemon's answer broke off: %w", io.ErrUnexpectedEOF)
		case err != nil:
			return fmt.Errorf("the daemon's answer cannot be read: %w", err)
		case l.Progress != nil:
			c.tell(*l.Progress)
			if ctx.Err() != nil {
				return ctx.Err()
			}
		case l.Error != nil && ctx.Err() != nil: // the caller gave up, not the daemon
			return ctx.Err()
		case l.Error != nil:
			return l.Error
		default:
			return json.Unmarshal(l.Answer, into)
		}
	}
}
