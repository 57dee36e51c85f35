package main

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"runtime"
	"time"

	"golang.org/x/oauth2"

	"github.com/callsync/callsync/config"
	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/receiver"
)

type loginCmd struct {
	Destination string        `arg:"" optional:"" help:"Destination to log in to; needed when there are several."`
	NoBrowser   bool          `help:"Print the address instead of opening a browser."`
	Timeout     time.Duration `default:"10m" help:"How long to wait for the person in the browser (${default})."`
}

// Run asks a person, in a browser, to let callsync into a CRM, and keeps the
// token in the destination's token file.
func (c *loginCmd) Run(ctx context.Context, a *app) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	dest, err := oneDestination(cfg, c.Destination, "name the destination to log in to")
	if err != nil {
		return err
	}
	account, err := openCRM(dest, nil, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		return usageError{err}
	}
	authorizer, ok := account.(crm.Authorizer)
	if !ok {
		return usagef("%s: a %s destination has no login", dest.Name, dest.Type)
	}
	o, err := authorizer.OAuthConfig()
	if err != nil {
		return usageError{fmt.Errorf("%s: %w", dest.Name, err)}
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	token, err := c.ask(ctx, a, o)
	if err != nil {
		return fmt.Errorf("%s: %w", dest.Name, err)
	}
	if err := tokenFile(dest.TokenFile).Save(token); err != nil {
		return fmt.Errorf("%s: keep the token: %w", dest.Name, err)
	}
	a.out.f("%s: logged in; the token is kept in %s\n", dest.Name, dest.TokenFile)
	return nil
}

// ask runs the authorization code flow with PKCE and a redirect to this machine.
func (c *loginCmd) ask(ctx context.Context, a *app, o *oauth2.Config) (*oauth2.Token, error) {
	l, path, err := listenForRedirect(o)
	if err != nil {
		return nil, err
	}
	state, verifier := rand.Text(), oauth2.GenerateVerifier()
	codes := make(chan redirected, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
		got := redirectOf(r, state)
		text := "callsync may use the account now. You can close this window."
		if got.err != nil {
			w.WriteHeader(http.StatusBadRequest)
			text = "That did not work. The terminal says why."
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, text+"\n")
		if errors.Is(got.err, errForeign) { // not the answer to this login
			return
		}
		select {
		case codes <- got:
		default:
		}
	})
	serveCtx, stop := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() {
		served <- receiver.Serve(serveCtx, receiver.NewServer(mux, receiver.Timeouts{}, nil), l, nil, time.Second)
	}()
	defer func() {
		stop()
		<-served
	}()
	address := o.AuthCodeURL(state, oauth2.AccessTypeOffline, oauth2.S256ChallengeOption(verifier))
	a.out.f("Open this address in a browser and let callsync in:\n\n  %s\n\n", address)
	if !c.NoBrowser {
		openBrowser(ctx, address)
	}
	select {
	case <-ctx.Done():
		return nil, errors.New("nobody logged in in time")
	case err := <-served:
		served <- nil
		return nil, err
	case got := <-codes:
		if got.err != nil {
			return nil, got.err
		}
		return o.Exchange(ctx, got.code, oauth2.VerifierOption(verifier))
	}
}

// listenForRedirect listens where the CRM will send the browser: at the
// configured redirect_url if it is this machine, else on a free port.
func listenForRedirect(o *oauth2.Config) (net.Listener, string, error) {
	if o.RedirectURL == "" {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, "", err
		}
		o.RedirectURL = "http://" + l.Addr().String() + "/callback"
		return l, "/callback", nil
	}
	u, err := url.Parse(o.RedirectURL)
	if err != nil {
		return nil, "", usageError{err}
	}
	if u.Scheme != "http" || !config.Loopback(u.Hostname()) || u.Port() == "" {
		return nil, "", usagef("redirect_url must be an address of this machine with a port, such as http://localhost:8484/callback, and be registered with the CRM's app")
	}
	l, err := net.Listen("tcp", net.JoinHostPort(u.Hostname(), u.Port()))
	if err != nil {
		return nil, "", err
	}
	if u.Path == "" {
		u.Path = "/"
	}
	return l, u.Path, nil
}

// A redirected is what the browser brought back.
type redirected struct {
	code string
	err  error
}

var errForeign = errors.New("the answer belongs to another login")

func redirectOf(r *http.Request, state string) redirected {
	q := r.URL.Query()
	switch {
	case subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(state)) != 1:
		return redirected{err: errForeign}
	case q.Get("error") != "":
		return redirected{err: fmt.Errorf("the CRM refused: %s %s", q.Get("error"), q.Get("error_description"))}
	case q.Get("code") == "":
		return redirected{err: errors.New("the CRM sent no code")}
	default:
		return redirected{code: q.Get("code")}
	}
}

// openBrowser tries; the address has been printed anyway.
func openBrowser(ctx context.Context, address string) {
	switch runtime.GOOS {
	case "darwin":
		_ = exec.CommandContext(ctx, "open", address).Start()
	case "windows":
		_ = exec.CommandContext(ctx, "rundll32", "url.dll,FileProtocolHandler", address).Start()
	default:
		_ = exec.CommandContext(ctx, "xdg-open", address).Start()
	}
}
