package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"

	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/store"
)

// Readmitted is the answer of /api/v1/deliveries/{seq}/readmit.
type Readmitted struct {
	Seq      uint64        `json:"seq"` // of the delivery that this became
	Verdict  store.Verdict `json:"verdict"`
	CallID   string        `json:"callId"`
	Revision int           `json:"revision"`
	Reason   string        `json:"reason,omitempty"` // why it is stale
}

// quarantined answers the body of a rejected delivery, as far as it was read, or of a
// stale one, if the call has it as a revision.
func (s *Server) quarantined(w http.ResponseWriter, r *http.Request) {
	d, err := s.rejectedDelivery(r)
	var body []byte
	switch {
	case err == nil:
		body, err = s.keptBody(r.Context(), d)
	case d.Verdict == store.Stale:
		body, err = s.staleBody(r.Context(), d)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(body)
}

// delivery finds the delivery that a request names.
func (s *Server) delivery(r *http.Request) (store.Delivery, error) {
	seq, err := strconv.ParseUint(r.PathValue("seq"), 10, 64)
	if err != nil || seq == math.MaxUint64 {
		return store.Delivery{}, invalid("%q is not the number of a delivery", r.PathValue("seq"))
	}
	var newest uint64
	for _, before := range []uint64{seq + 1, 0} {
		for d, err := range s.Journal.Deliveries(r.Context(), store.DeliveryFilter{Before: before, Limit: 1}) {
			if err != nil {
				return store.Delivery{}, err
			}
			if d.Seq == seq {
				return d, nil
			}
			newest = d.Seq
		}
	}
	if seq == 0 || seq > newest {
		text := fmt.Sprintf("there is no delivery %d", seq)
		if newest > 0 {
			text += fmt.Sprintf("; the newest is %d", newest)
		}
		return store.Delivery{}, &Error{Status: http.StatusNotFound, Code: "not_found", Message: text, Hint: "`callsync deliveries` lists their numbers"}
	}
	return store.Delivery{}, &Error{
		Status: http.StatusGone, Code: "gone", Message: fmt.Sprintf("delivery %d is no longer in the log: it has expired, or was erased", seq),
		Hint: "what [retention] drops, its body included, is gone for good",
	}
}

// rejectedDelivery finds the delivery that a request names and that was turned away.
func (s *Server) rejectedDelivery(r *http.Request) (store.Delivery, error) {
	d, err := s.delivery(r)
	switch {
	case err != nil:
		return d, err
	case d.Verdict == store.Rejected:
		return d, nil
	case d.Verdict == store.Stale:
		return d, stale(d)
	default:
		return d, &Error{
			Status: http.StatusConflict, Code: "not_rejected",
			Message: fmt.Sprintf("delivery %d was not turned away: it is %s, and call %s has it", d.Seq, d.Verdict, d.CallID),
			Hint:    fmt.Sprintf("`callsync show %s --body` prints what it brought, `callsync resync %s` writes the call to the CRM again", d.CallID, d.CallID),
		}
	}
}

// stale says why a delivery did not count, and what to do if it should.
func stale(d store.Delivery) error {
	e := &Error{Status: http.StatusConflict, Code: "stale", Message: fmt.Sprintf("delivery %d of call %s is stale: it is %s", d.Seq, d.CallID, d.Reason)}
	switch d.Reason {
	case "": // of a version that did not say
		e.Message = fmt.Sprintf("delivery %d of call %s is stale", d.Seq, d.CallID)
	case store.StaleInterim:
		e.Hint = "a call that has its final result takes no interim one: there is nothing to do"
		return e
	}
	e.Hint = fmt.Sprintf("to have it count after all, make it a correction: `callsync show %s --body --json` has every revision; add a field such as \"again\": 1 to a copy of it, and give that with --file", d.CallID)
	return e
}

// keptBody is the body of a rejected delivery, or says why there is none.
func (s *Server) keptBody(ctx context.Context, d store.Delivery) ([]byte, error) {
	body, err := s.Journal.Quarantined(ctx, d.Seq)
	if !errors.Is(err, store.ErrNotFound) {
		return body, err
	}
	e := &Error{
		Status: http.StatusNotFound, Code: "not_kept", Message: fmt.Sprintf("the body of delivery %d was not kept: ", d.Seq),
		Hint: "have it sent again, or give its body with --file, if you have it",
	}
	switch {
	case d.Size > 0:
		e.Message = fmt.Sprintf("the body of delivery %d is no longer kept: there is room for so many rejected ones, and the oldest go first", d.Seq)
	case d.Status == http.StatusUnauthorized:
		e.Message += "it came without an accepted key, and was not read"
	case d.Status == http.StatusRequestEntityTooLarge:
		e.Message += "it was larger than max_body, and was not read"
	default:
		e.Message += "it was empty, or none of it arrived"
	}
	return nil, e
}

// staleBody is the body of a delivery that came again, as the call keeps it.
func (s *Server) staleBody(ctx context.Context, d store.Delivery) ([]byte, error) {
	revisions, err := s.Journal.Revisions(ctx, d.CallID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	for _, v := range revisions {
		if v.Hash == d.Hash && v.Body != nil {
			return v.Body, nil
		}
	}
	return nil, &Error{
		Status: http.StatusNotFound, Code: "not_kept", Message: fmt.Sprintf("the body of delivery %d was not kept: it is stale, and %s", d.Seq, d.Reason),
		Hint: fmt.Sprintf("`callsync show %s --body` prints what the call has", d.CallID),
	}
}

// readmit takes a rejected delivery in after all: its own body, or the mended one
// that the request brings, which may be a stale one's as well.
func (s *Server) readmit(r *http.Request) (any, error) {
	mended, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	body, err := s.bodyToReadmit(r, mended)
	if err != nil {
		return nil, err
	}
	call, hash, err := julian.Receive(body)
	if err != nil {
		return nil, &Error{
			Status: http.StatusUnprocessableEntity, Code: "malformed", Message: err.Error(),
			Hint: "mend a copy of the body and give it with --file",
		}
	}
	d := store.Delivery{
		At: s.Now(), Peer: "readmit", Status: http.StatusOK, Verdict: store.Accepted,
		CallID: call.CallID, Size: len(body), Hash: hash, Body: body, Call: call,
	}
	receipt, err := s.Journal.Deliver(r.Context(), d)
	if err != nil {
		return nil, err
	}
	return Readmitted{Seq: receipt.Seq, Verdict: receipt.Verdict, CallID: call.CallID, Revision: receipt.Revision, Reason: receipt.Reason}, nil
}

// bodyToReadmit is mended, if there is one, else what was kept of the delivery.
func (s *Server) bodyToReadmit(r *http.Request, mended []byte) ([]byte, error) {
	d, err := s.rejectedDelivery(r)
	if len(mended) > 0 && (err == nil || d.Verdict == store.Stale) {
		return mended, nil
	}
	if err != nil {
		return nil, err
	}
	body, err := s.keptBody(r.Context(), d)
	if err == nil && d.Status == http.StatusRequestEntityTooLarge {
		return nil, &Error{
			Status: http.StatusConflict, Code: "not_whole",
			Message: fmt.Sprintf("delivery %d was larger than max_body, and only the first %d bytes of it are kept", d.Seq, len(body)),
			Hint:    "have it sent again once max_body is raised, or give its body with --file, if you have it",
		}
	}
	return body, err
}

func quarantinePath(seq uint64) string { return "/api/v1/deliveries/" + strconv.FormatUint(seq, 10) }

// Quarantined writes the body of a rejected delivery to w.
func (c *Client) Quarantined(ctx context.Context, seq uint64, w io.Writer) error {
	resp, err := c.do(ctx, http.MethodGet, quarantinePath(seq)+"/body", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(w, resp.Body)
	return err
}

// Readmit takes a rejected delivery in; mended replaces its body unless it is nil,
// and may be a stale one's.
func (c *Client) Readmit(ctx context.Context, seq uint64, mended io.Reader) (answer Readmitted, err error) {
	return answer, c.answer(ctx, http.MethodPost, quarantinePath(seq)+"/readmit", mended, &answer)
}
