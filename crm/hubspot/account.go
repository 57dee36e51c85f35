package hubspot

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/callsync/callsync/crm"
)

// An account is what a portal says about itself.
type account struct {
	mu    sync.Mutex
	asked bool
	id    string
}

func newAccount() *account { return &account{} }

func (a *account) name() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.id
}

// ask reports whether the caller should ask HubSpot, which it does but once.
func (a *account) ask() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	asked := a.asked
	a.asked = true
	return !asked
}

func (a *account) answer(id string, asked bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.id, a.asked = id, asked
}

// learnAccount asks once for the portal's id and time zone (account information
// API). Both are conveniences: without them the portal goes unnamed, and the
// reset of the daily quota is found by trying.
func (p *Portal) learnAccount(ctx context.Context) {
	if !p.account.ask() {
		return
	}
	var details struct {
		PortalID text   `json:"portalId"`
		TimeZone string `json:"timeZone"`
	}
	_, err := p.do(ctx, request{op: "account read", method: http.MethodGet, path: "/account-info/v3/details"}, &details)
	if err != nil {
		p.account.answer("", crm.KindOf(err) != crm.Transient)
		return
	}
	p.account.answer(string(details.PortalID), true)
	if zone, err := time.LoadLocation(details.TimeZone); err == nil && details.TimeZone != "" {
		p.pace.setZone(zone)
	}
}
