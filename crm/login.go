package crm

import "golang.org/x/oauth2"

// An Authorizer is a Destination that a person can grant access to in a browser.
// `callsync login` runs the authorization code flow with its configuration and
// saves the token in [Settings.Tokens], where the connector finds it.
type Authorizer interface {
	// OAuthConfig returns the flow's endpoints, client and scopes. It sends no
	// request. The error says which setting is missing.
	OAuthConfig() (*oauth2.Config, error)
}
