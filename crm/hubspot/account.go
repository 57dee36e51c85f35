package hubspot

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/callsync/callsync/crm"
)

// An account is what a portal says about itself, and whether it may be used.
type account struct {
	asking lock // held while HubSpot and [crm.Settings.Admit] are asked

	mu       sync.Mutex
	id       string // digits; "" where HubSpot does not tell
	answered bool   // HubSpot has said what it has to say
	doubted  bool   // it may be another portal's by now
	admitted bool
	last     string // the id before
	asked    time.Time
	answers  int // how often HubSpot has said
	logins   int // how often the token became another; what was said before is not of its portal
}

func newAccount() *account { return &account{asking: newLock()} }

// accountAge is how long HubSpot's word on whose portal it is holds while there is
// something to write, and until it is asked again where it does not answer. News that
// would surprise has it asked at once.
const accountAge = 2 * time.Minute

func (a *account) name() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.id
}

func (a *account) passes() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.admitted
}

// pass admits the portal of a login, unless there was another since.
func (a *account) pass(login int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.logins == login {
		a.admitted = true
	}
	return a.logins == login
}

// known answers what HubSpot said; ok is false while it is to be asked.
func (a *account) known() (id string, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.id, a.answered
}

// answer notes what HubSpot said to a login, unless there was another since, and
// reports whether it is another portal than before.
func (a *account) answer(id string, now time.Time, login int) (moved bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.logins != login {
		return false
	}
	a.admitted = a.admitted && id == a.id
	a.id, a.answered, a.asked = id, true, now
	a.answers++
	moved = id != "" && a.last != "" && id != a.last
	if id != "" {
		a.last = id
	}
	return moved
}

// forget has the portal asked anew before anything else is.
func (a *account) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.unlearn()
}

// moveIn is forget for a token that is another.
func (a *account) moveIn() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.unlearn()
	a.logins++
}

func (a *account) unlearn() { a.id, a.answered, a.doubted, a.admitted = "", false, false, false }

func (a *account) login() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.logins
}

// doubt has the portal in use asked anew before anything else is, and the id stand
// until then. Where HubSpot never told it, there is nothing to be asked.
func (a *account) doubt() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.admitted && a.last != "" {
		a.answered, a.doubted, a.admitted = false, false, false
	}
}

// unanswered notes that HubSpot was asked and did not answer.
func (a *account) unanswered() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.id = ""
}

// mark counts HubSpot's answers: where it is as it was, HubSpot has not been asked since.
func (a *account) mark() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.answers
}

// aged reports whether HubSpot said too long ago whose the portal in use is.
func (a *account) aged(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.admitted && a.last != "" && now.Sub(a.asked) >= accountAge
}

// hold has HubSpot's last word hold for longer.
func (a *account) hold(now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = now
}

// lacks has it asked anew at the next [Portal.reconsider] if the object type, which
// has no key, has one wherever callsync was set up: another portal may have taken its
// place, as a sandbox does that was started again.
func (a *account) lacks(object string) {
	if !slices.Contains(keyed, object) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.doubted = true
}

// stand reports whether the portal is in doubt, and whether it is known and may not
// be used.
func (a *account) stand() (open, refused bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.doubted || !a.answered, a.answered && !a.admitted
}

// reconsider has the portal asked anew if there is reason to, and takes up a login
// that somebody has made since to a portal that may be used.
func (p *Portal) reconsider(ctx context.Context) {
	open, refused := p.account.stand()
	switch {
	case open, refused && p.settings.Admit != nil:
		p.account.forget()
	case p.account.aged(p.now()):
		p.renew(ctx)
	}
	if refused {
		p.auth.reread(ctx)
	}
}

// renew asks whose the portal in use is by now. That HubSpot does not answer speaks
// for no other portal, and stops nothing.
func (p *Portal) renew(ctx context.Context) {
	a := p.account
	if a.asking.acquire(ctx) != nil {
		return
	}
	defer a.asking.release()
	if !a.aged(p.now()) {
		return
	}
	if _, err := p.askAccount(ctx, false); err != nil {
		a.hold(p.now())
	}
}

// confirm asks whose portal it is, unless that was done since a mark. Before it there
// is no knowing whether somebody deleted a record or it is another portal's absence.
// An error means that nothing may be concluded.
func (p *Portal) confirm(ctx context.Context, mark int) error {
	if p.settings.Admit == nil {
		return nil
	}
	if p.account.mark() == mark {
		p.account.doubt()
	}
	return p.admit(ctx, false)
}

// believe returns the error of an operation that began at a mark: what another
// portal would say as well is believed only of the one that may be used.
func (p *Portal) believe(ctx context.Context, mark int, err error) error {
	if !surprises(err) {
		return err
	}
	if other := p.confirm(ctx, mark); other != nil {
		return other
	}
	return err
}

// surprises reports whether an error says that something is missing that was there:
// a record, callsync's key, another property.
func surprises(err error) bool {
	var e *crm.Error
	return errors.As(err, &e) && (e.Kind == crm.Gone || e.Kind == crm.NotReady || e.Code == "PROPERTY_DOESNT_EXIST")
}

// admit sees to it that nothing is read or written in a portal that may not be
// used. asks is the request's for which it is: see [request].
func (p *Portal) admit(ctx context.Context, asks bool) error {
	a := p.account
	if p.settings.Admit == nil || a.passes() {
		return nil
	}
	if err := a.asking.acquire(ctx); err != nil {
		return unsent(accountRead, err)
	}
	defer a.asking.release()
	if a.passes() {
		return nil
	}
	for {
		login := a.login()
		id, err := p.readAccount(ctx, asks)
		if a.login() != login {
			continue
		}
		if err := p.settings.Admit(ctx, id, err); err != nil || a.pass(login) {
			return err
		}
	}
}

const accountRead = "account read"

// readAccount asks once for the portal's id and time zone. The error says why HubSpot
// did not answer; that it does not tell is none.
func (p *Portal) readAccount(ctx context.Context, asks bool) (id string, err error) {
	if id, ok := p.account.known(); ok {
		return id, nil
	}
	if id, err = p.askAccount(ctx, asks); err != nil {
		p.account.unanswered()
	}
	return id, err
}

// askAccount asks the account information API. Without the zone, the reset of the
// daily quota is found by trying.
func (p *Portal) askAccount(ctx context.Context, asks bool) (id string, err error) {
	var details struct {
		PortalID text   `json:"portalId"`
		TimeZone string `json:"timeZone"`
	}
	login := p.account.login()
	_, err = p.do(ctx, request{op: accountRead, method: http.MethodGet, path: "/account-info/v3/details", asks: asks, identifies: true}, &details)
	if err != nil && !untold(err) {
		return "", err
	}
	if id = string(details.PortalID); id == "0" || strings.Trim(id, "0123456789") != "" {
		id = ""
	}
	if p.account.answer(id, p.now(), login) {
		p.keys.forgetAll()
	}
	if zone, err := time.LoadLocation(details.TimeZone); err == nil && details.TimeZone != "" {
		p.pace.setZone(zone)
	}
	return id, nil
}

// untold reports whether an error is HubSpot's last word: the token may not ask, or
// there is nothing to be asked.
func untold(err error) bool {
	var e *crm.Error
	return errors.As(err, &e) && (e.Kind == crm.Credential && e.Status == http.StatusForbidden || e.Kind == crm.Permanent || e.Kind == crm.Gone)
}
