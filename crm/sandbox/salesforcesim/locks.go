package salesforcesim

import (
	"net/http"
	"sync"
	"time"
)

// parentLocks are the records that requests under way have locked. Salesforce
// locks the parents of what it writes until the transaction ends.
type parentLocks struct {
	mu   sync.Mutex
	held map[string]*heldLocks // by record id
}

// heldLocks are those of one request.
type heldLocks struct {
	all *parentLocks
	ids []string
}

// take locks records, or none of them when another request holds one.
func (h *heldLocks) take(ids []string) (blocked string) {
	h.all.mu.Lock()
	defer h.all.mu.Unlock()
	for _, id := range ids {
		if by := h.all.held[id]; by != nil && by != h {
			return id
		}
	}
	if h.all.held == nil {
		h.all.held = map[string]*heldLocks{}
	}
	for _, id := range ids {
		h.all.held[id] = h
	}
	h.ids = append(h.ids, ids...)
	return ""
}

func (h *heldLocks) release() {
	h.all.mu.Lock()
	defer h.all.mu.Unlock()
	for _, id := range h.ids {
		delete(h.all.held, id)
	}
}

// lock takes the locks that saving a record needs.
func (c *call) lock(o *object, r *row, vals map[string]any) *apiError {
	if !c.g.settings.LockParents {
		return nil
	}
	var want []string
	if r != nil {
		want = append(want, r.id)
	}
	for _, f := range o.fields {
		if f.Type != "reference" || len(f.To) == 0 || f.To[0] == "User" {
			continue
		}
		if id, ok := canonicalID(toText(vals[f.Name])); ok {
			want = append(want, id)
		}
		if r != nil && r.text(f.Name) != "" {
			want = append(want, r.text(f.Name))
		}
	}
	if blocked := c.locks.take(want); blocked != "" {
		return bad("UNABLE_TO_LOCK_ROW",
			"unable to obtain exclusive access to this record or 1 records: "+blocked)
	}
	return nil
}

// writing runs f with the org to itself, then keeps the locks it took, if any,
// until the settings and WhileWriting let go of them.
func (s *Server) writing(r *http.Request, c *call, f func()) {
	c.locks = &heldLocks{all: &s.locks}
	defer c.locks.release()
	wait := s.exclusively(f)
	if len(c.locks.ids) == 0 {
		return
	}
	if s.opts.WhileWriting != nil {
		s.opts.WhileWriting()
	}
	if wait > 0 {
		select {
		case <-time.After(wait):
		case <-r.Context().Done():
		}
	}
}

// exclusively runs f under the server's lock and returns the settings' LockTime.
func (s *Server) exclusively(f func()) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	return time.Duration(s.settings.LockTime)
}
