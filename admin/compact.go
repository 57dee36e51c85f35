package admin

import (
	"context"
	"net/http"
	"time"
)

// Compacted is the answer of /api/v1/compact: the journal's size on disk, in
// bytes.
type Compacted struct {
	Before int64 `json:"before"`
	After  int64 `json:"after"`
}

func (s *Server) compact(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
	s.answer(w, r, func(r *http.Request) (any, error) {
		before, after, err := s.Journal.Compact(r.Context())
		if err != nil {
			return nil, err
		}
		s.Logger.Info("the journal was compacted", "before", before, "after", after)
		return Compacted{before, after}, nil
	})
}

// Compact gives freed space in the journal back; it may take minutes.
func (c *Client) Compact(ctx context.Context) (a Compacted, err error) {
	return a, c.post(ctx, "/api/v1/compact", struct{}{}, &a)
}
