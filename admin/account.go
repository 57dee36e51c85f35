package admin

import (
	"context"
	"errors"
	"net/http"

	"github.com/callsync/callsync/sync"
)

// An AccountRequest names the account that is to be used under a destination's name.
type AccountRequest struct {
	Account string `json:"account"`
	// DryRun answers what would be forgotten, and changes nothing.
	DryRun bool `json:"dryRun,omitempty"`
}

// account makes the account that a destination's token is for the one that is used,
// and forgets the one before.
func (s *Server) account(r *http.Request) (any, error) {
	d, err := s.destination(r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	var req AccountRequest
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	if req.Account == "" {
		return nil, invalid("name the account")
	}
	stats, err := s.Journal.Stats(r.Context())
	if err != nil {
		return nil, err
	}
	adopt := d.Sync.Adopt
	if req.DryRun {
		adopt = d.Sync.AdoptPlan
	}
	answer, err := adopt(r.Context(), req.Account, func(n int) { tell(r.Context(), Progress{Calls: n, Of: stats.Calls}) })
	var other *sync.OtherAccountNamed
	if errors.As(err, &other) {
		return nil, &Error{Status: http.StatusConflict, Code: "other_account", Message: d.Name + ": " + other.Error()}
	}
	return answer, err
}

// AdoptPlan asks what [Client.Adopt] would forget.
func (c *Client) AdoptPlan(ctx context.Context, destination, account string) (a sync.Adoption, err error) {
	return a, c.postLong(ctx, destinationPath(destination, "account"), AccountRequest{Account: account, DryRun: true}, &a)
}

// Adopt makes the account that a destination's token is for, which has to be named,
// the one that is used under its name; what the journal remembers of another is
// forgotten.
func (c *Client) Adopt(ctx context.Context, destination, account string) (a sync.Adoption, err error) {
	return a, c.postLong(ctx, destinationPath(destination, "account"), AccountRequest{Account: account}, &a)
}
