package admin

import (
	"context"
	"errors"
	"net/http"

	"github.com/callsync/callsync/erasure"
)

// An EraseRequest asks to remove a person, or one call.
type EraseRequest struct {
	erasure.Subject
	CRM    bool `json:"crm,omitempty"` // also from the CRMs
	DryRun bool `json:"dryRun,omitempty"`
}

// Erasing is the answer of /api/v1/erase: what there is, and unless it was a dry
// run, what was done about it.
type Erasing struct {
	Calls    []string     `json:"calls"`
	Mentions []string     `json:"mentions,omitempty"` // calls of others that mention the subject; they stay
	Rejected int          `json:"rejected"`           // refused deliveries that mention the subject
	At       []ErasableAt `json:"at"`
	// Unread are calls that cannot be read and may be the subject's, UnreadDeliveries
	// places in the log of refused deliveries. They stay.
	Unread           *Unread          `json:"unread,omitempty"`
	UnreadDeliveries []string         `json:"unreadDeliveries,omitempty"`
	Receipt          *erasure.Receipt `json:"receipt,omitempty"`
}

// ErasableAt counts what there is of a subject at one destination.
type ErasableAt struct {
	Destination string `json:"destination"`
	People      int    `json:"people"`
	Records     int    `json:"records"`
	Identities  int    `json:"identities"`
}

// erase finds a subject and removes it. Both happen while no destination is
// synced, so that no round writes back what it had read before; deliveries are
// taken meanwhile.
func (s *Server) erase(r *http.Request) (any, error) {
	var req EraseRequest
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	if err := req.Check(); err != nil {
		return nil, invalid("%v", err)
	}
	if req.DryRun {
		_, answer, err := s.findErasable(r.Context(), req.Subject)
		return answer, err
	}
	var answer *Erasing
	err := s.still(r.Context(), s.Destinations, func(ctx context.Context) (err error) {
		answer, err = s.carryOutErasure(ctx, req)
		return err
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// still runs f while none of the destinations is being synced.
func (s *Server) still(ctx context.Context, destinations []Destination, f func(context.Context) error) error {
	if len(destinations) == 0 {
		return f(ctx)
	}
	return destinations[0].Sync.Alone(ctx, func(ctx context.Context) error {
		return s.still(ctx, destinations[1:], f)
	})
}

func (s *Server) findErasable(ctx context.Context, subject erasure.Subject) (*erasure.Finding, *Erasing, error) {
	stats, err := s.Journal.Stats(ctx)
	if err != nil {
		return nil, nil, err
	}
	found, err := erasure.Find(ctx, s.Journal, subject, func(n int) { tell(ctx, Progress{Calls: n, Of: stats.Calls}) })
	if err != nil {
		return nil, nil, err
	}
	answer := &Erasing{Calls: append([]string{}, found.Calls...), Mentions: found.Mentions, Rejected: len(found.Rejected), At: []ErasableAt{}}
	for _, name := range found.Destinations() {
		answer.At = append(answer.At, ErasableAt{
			Destination: name, People: len(found.People[name]), Records: len(found.Records[name]), Identities: len(found.Identities[name]),
		})
	}
	for _, c := range found.Unread {
		answer.Unread = answer.Unread.call(c)
	}
	answer.UnreadDeliveries = found.UnreadDeliveries
	return found, answer, nil
}

// carryOutErasure erases from the CRMs first: what the journal knows is needed
// to do it, and to go on after a refusal.
func (s *Server) carryOutErasure(ctx context.Context, req EraseRequest) (*Erasing, error) {
	found, answer, err := s.findErasable(ctx, req.Subject)
	if err != nil {
		return nil, err
	}
	receipt := &erasure.Receipt{At: s.Now().UTC(), CRMs: []erasure.CRMReceipt{}}
	if req.CRM {
		if receipt.CRMs, err = s.eraseFromCRMs(ctx, found); err != nil {
			return nil, err
		}
	}
	receipt.Journal, err = found.FromJournal(ctx, s.Journal)
	if err != nil {
		return nil, err
	}
	receipt.Unread = len(found.Unread) + len(found.UnreadDeliveries) + receipt.Journal.Unread
	answer.Receipt = receipt
	s.Logger.Info("erased at a person's request", "calls", receipt.Journal.Calls, "people", receipt.Journal.People, "crm", req.CRM, "unread", receipt.Unread)
	return answer, nil
}

func (s *Server) eraseFromCRMs(ctx context.Context, found *erasure.Finding) ([]erasure.CRMReceipt, error) {
	names := found.Destinations()
	for _, name := range names {
		if _, err := s.destination(name); err != nil {
			return nil, invalid("the journal holds records at %s, which is no longer in the configuration: put it back, or erase there by hand and here without --crm; nothing was erased", name)
		}
	}
	receipts := []erasure.CRMReceipt{}
	for _, name := range names {
		d, err := s.destination(name)
		if err != nil {
			return nil, err
		}
		one, err := found.FromCRM(ctx, name, d.CRM)
		if err != nil {
			return nil, notErased(name, err)
		}
		receipts = append(receipts, one)
	}
	return receipts, nil
}

// notErased says where an erasure stopped.
func notErased(destination string, err error) error {
	e := asError(err)
	if errors.Is(err, erasure.ErrLater) {
		e = &Error{Status: http.StatusConflict, Code: "later", Message: err.Error()}
	}
	told := *e
	told.Message = destination + ": " + told.Message + "; the journal still holds everything: run it again to go on"
	return &told
}
