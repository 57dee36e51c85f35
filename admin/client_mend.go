package admin

import (
	"context"
	"net/url"

	"github.com/callsync/callsync/sync"
)

// UndoPlan asks what undoing a call would do: at one destination, or all.
func (c *Client) UndoPlan(ctx context.Context, id, destination string) (u []sync.Undo, err error) {
	q := url.Values{}
	set(q, "destination", destination)
	return u, c.get(ctx, undoPath(id), q, &u)
}

// Undo takes a call back from one destination, or all.
func (c *Client) Undo(ctx context.Context, id, destination string) (u []sync.Undo, err error) {
	return u, c.post(ctx, undoPath(id), UndoRequest{Destination: destination}, &u)
}

func undoPath(id string) string { return "/api/v1/calls/" + url.PathEscape(id) + "/undo" }
