package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/callsync/callsync/store"
	"github.com/callsync/callsync/sync"
)

// A VerifyRequest asks how calls stand in the CRM.
type VerifyRequest struct {
	Selection
	// Repair has the loops write again what drifted and may be written; Recreate
	// also makes anew what is missing.
	Repair   bool `json:"repair,omitempty"`
	Recreate bool `json:"recreate,omitempty"`
}

// A VerifyLine is one JSON line of the answer: a drift, or, at the end, the
// totals or why there are none.
type VerifyLine struct {
	Drift *sync.Drift `json:"drift,omitempty"`
	Total *Verified   `json:"total,omitempty"`
	Error *Error      `json:"error,omitempty"`
}

// Verified sums a verification up.
type Verified struct {
	Calls   int `json:"calls"`
	Records int `json:"records"`
	People  int `json:"people"`
	Busy    int `json:"busy"` // calls left out: they are on their way
	// Forgotten are calls of which nothing is in the CRM: what they brought is in an
	// account that was forgotten since.
	Forgotten int                    `json:"forgotten,omitempty"`
	Unread    *Unread                `json:"unread,omitempty"` // left out, too
	Drifts    map[sync.DriftKind]int `json:"drifts"`
	// Kept is how many of the changed ones are people's edits and nothing else,
	// in properties where those win.
	Kept    int `json:"kept"`
	Fixable int `json:"fixable"` // drifts that a repair, as asked for, mends
	// Requested is how many calls a repair had synced again.
	Requested int `json:"requested"`
}

// verifyPage is how many calls are verified in one step: what CRMs read in one
// request.
const verifyPage = 100

// verify streams its answer: memory does not grow with the number of calls.
func (s *Server) verify(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
	var req VerifyRequest
	destinations, err := s.asked(r, &req, &req.Selection)
	if err == nil && req.Recreate && !req.Repair {
		err = invalid("recreate goes with repair")
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Time{})
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := json.NewEncoder(w)
	total, err := s.verifyTo(r.Context(), destinations, req, func(d *sync.Drift) error {
		return out.Encode(VerifyLine{Drift: d})
	})
	last := VerifyLine{Total: total}
	if err != nil {
		last = VerifyLine{Error: asError(err)}
	}
	if err := out.Encode(last); err != nil {
		s.Logger.Debug("an answer of the admin API was not delivered", "path", r.URL.Path, "error", err)
	}
}

func (s *Server) verifyTo(ctx context.Context, destinations []Destination, req VerifyRequest, found func(*sync.Drift) error) (*Verified, error) {
	t := &Verified{Drifts: map[sync.DriftKind]int{}}
	unread, err := s.eachChunk(ctx, req.Selection, func(ids []string, _ []store.CallView) error {
		t.Calls += len(ids)
		for page := range slices.Chunk(ids, verifyPage) {
			for _, d := range destinations {
				if err := s.verifyChunk(ctx, d, page, req, t, found); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if req.Repair && t.Requested > 0 {
		s.Logger.Info("repair requested", "calls", t.Requested, "recreate", req.Recreate)
	}
	t.Unread = unread
	return t, err
}

func (s *Server) verifyChunk(ctx context.Context, d Destination, ids []string, req VerifyRequest, t *Verified, found func(*sync.Drift) error) error {
	v, err := d.Sync.Verify(ctx, ids)
	if err != nil {
		return err
	}
	t.Records += v.Records
	t.People += v.People
	t.Busy += v.Busy
	t.Forgotten += v.Forgotten
	for i := range v.Drifts {
		t.Drifts[v.Drifts[i].Kind]++
		if v.Drifts[i].Kind == sync.Changed && !v.Drifts[i].Fixes(false) {
			t.Kept++
		}
		if v.Drifts[i].Fixes(req.Recreate) {
			t.Fixable++
		}
		if err := found(&v.Drifts[i]); err != nil {
			return err
		}
	}
	if !req.Repair {
		return nil
	}
	n, err := d.Sync.Repair(ctx, v.Drifts, req.Recreate)
	t.Requested += n
	return err
}

// Verify asks how calls stand in the CRM; found is called for every drift as it
// comes in.
func (c *Client) Verify(ctx context.Context, req VerifyRequest, found func(sync.Drift) error) (*Verified, error) {
	resp, err := c.send(ctx, "/api/v1/verify", req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	dec := json.NewDecoder(resp.Body)
	for {
		var line VerifyLine
		if err := dec.Decode(&line); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, errors.Join(errors.New("the verification broke off"), err)
		}
		switch {
		case line.Error != nil:
			return nil, line.Error
		case line.Total != nil:
			return line.Total, nil
		case line.Drift != nil:
			if err := found(*line.Drift); err != nil {
				return nil, err
			}
		}
	}
}
