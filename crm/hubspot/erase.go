package hubspot

import (
	"context"
	"net/http"

	"github.com/callsync/callsync/crm"
)

// Erase implements [crm.Eraser] for contacts, by HubSpot's permanent deletion:
// it takes along the activities that belong to the contact alone, and keeps the
// contact's addresses from coming back. HubSpot has it for no other object type
// (contacts guide, "Permanently delete contacts"). It asks for one contact a
// request, and before the first one whether the portal is still the same.
func (p *Portal) Erase(ctx context.Context, people []crm.Ref) []crm.Result {
	results := make([]crm.Result, len(people))
	sure := p.confirm(ctx, p.account.mark())
	for i, ref := range people {
		if results[i] = (crm.Result{ID: ref.ID, Err: sure}); sure == nil {
			results[i].Err = p.erase(ctx, ref)
		}
	}
	return results
}

func (p *Portal) erase(ctx context.Context, ref crm.Ref) error {
	op := ref.Object + " gdpr-delete"
	if ref.Object != contacts {
		return &crm.Error{Kind: crm.Permanent, Op: op, Message: "HubSpot deletes only contacts for good"}
	}
	_, err := p.do(ctx, request{
		op: op, method: http.MethodPost, path: p.paths.objects + contacts + "/gdpr-delete",
		body: map[string]string{"objectId": ref.ID},
	}, nil)
	return err
}
