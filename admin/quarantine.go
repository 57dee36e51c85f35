package admin

import (
	"context"
	"io"
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
}

// quarantined answers the body of a rejected delivery, as far as it was read.
func (s *Server) quarantined(w http.ResponseWriter, r *http.Request) {
	body, err := s.fromQuarantine(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(body)
}

func (s *Server) fromQuarantine(r *http.Request) ([]byte, error) {
	seq, err := strconv.ParseUint(r.PathValue("seq"), 10, 64)
	if err != nil {
		return nil, invalid("%q is not the number of a delivery", r.PathValue("seq"))
	}
	return s.Journal.Quarantined(r.Context(), seq)
}

// readmit takes a rejected delivery in after all: its own body, or the mended one
// that the request brings.
func (s *Server) readmit(r *http.Request) (any, error) {
	body, err := s.fromQuarantine(r)
	if err != nil {
		return nil, err
	}
	mended, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if len(mended) > 0 {
		body = mended
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
	return Readmitted{Seq: receipt.Seq, Verdict: receipt.Verdict, CallID: call.CallID, Revision: receipt.Revision}, nil
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

// Readmit takes a rejected delivery in; mended replaces its body unless it is nil.
func (c *Client) Readmit(ctx context.Context, seq uint64, mended io.Reader) (answer Readmitted, err error) {
	return answer, c.answer(ctx, http.MethodPost, quarantinePath(seq)+"/readmit", mended, &answer)
}
