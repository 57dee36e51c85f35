package alert

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/nicholas-fedor/shoutrrr/pkg/router"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"
)

// sendTimeout bounds one attempt to hand over a message.
const sendTimeout = 30 * time.Second

// Dial returns the receiver that a shoutrrr URL names; it sends nothing. The
// error says what is wrong without the URL.
func Dial(rawURL string) (Sender, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme == "" {
		return nil, errors.New(`is not a URL such as "slack://…" or "smtp://…"`)
	}
	service, _, _ := strings.Cut(strings.ToLower(u.Scheme), "+")
	r, err := router.New(nil)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(r.ListServices(), service) {
		return nil, errors.New("names no service that shoutrrr knows; it begins with slack://, smtp://, teams://, discord://, telegram://, ntfy://, generic+https:// and the like")
	}
	if err := r.AddService(rawURL); err != nil {
		return nil, fmt.Errorf("does not have the form that shoutrrr documents for %s", service)
	}
	r.Timeout = sendTimeout
	return &shoutrrr{service, r, parts(u)}, nil
}

// untitled are the services whose messages have no title of their own.
var untitled = []string{"googlechat", "hangouts", "rocketchat", "signal", "wecom", "pagerduty", "notifiarr", "logger"}

// A shoutrrr is one receiver.
type shoutrrr struct {
	service string
	router  *router.ServiceRouter
	secrets []string // parts of the URL that no error may show
}

func (s *shoutrrr) Service() string { return s.service }

// Send implements [Sender]. The library knows no contexts: an attempt ends after
// 30 s, or is left to itself when ctx ends before.
func (s *shoutrrr) Send(ctx context.Context, m Message) error {
	params := types.Params{}
	body := m.Body
	if slices.Contains(untitled, s.service) {
		body = m.Title + "\n\n" + body
	} else {
		params.SetTitle(m.Title)
	}
	select {
	case err := <-s.router.SendAsync(body, &params):
		if err != nil {
			return errors.New(s.scrub(err.Error()))
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// parts are the pieces of a URL that may be secret, longest first.
func parts(u *url.URL) []string {
	found := []string{u.String(), u.RequestURI(), u.Opaque}
	add := func(s string) { found = append(found, s, url.PathEscape(s), url.QueryEscape(s)) }
	if u.User != nil {
		add(u.User.Username())
		password, _ := u.User.Password()
		add(password)
	}
	for _, s := range strings.FieldsFunc(u.EscapedPath(), func(r rune) bool { return r == '/' || r == ':' }) {
		found = append(found, s)
		if plain, err := url.PathUnescape(s); err == nil {
			add(plain)
		}
	}
	for _, values := range u.Query() {
		for _, v := range values {
			add(v)
		}
	}
	// The host is a token in some URLs, and a name people need in others; a
	// token has no dots.
	if host := u.Hostname(); !strings.ContainsAny(host, ".:") && host != "localhost" {
		add(host)
	}
	found = slices.DeleteFunc(found, func(s string) bool { return len(s) < 4 })
	slices.SortFunc(found, func(a, b string) int { return len(b) - len(a) })
	return slices.Compact(found)
}

func (s *shoutrrr) scrub(text string) string {
	for _, secret := range s.secrets {
		text = strings.ReplaceAll(text, secret, "***")
	}
	return line(text)
}
