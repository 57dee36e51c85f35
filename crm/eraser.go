package crm

import "context"

// An Eraser is a Destination that can remove people for good, beyond what
// archiving does. Where a CRM's API cannot, a connector does not implement it,
// and what is archived waits in the recycle bin until the CRM empties it.
type Eraser interface {
	// Erase removes people and what the CRM keeps about them alone. Answer i is
	// for people[i]; somebody who is not there answers an error of kind Gone.
	Erase(ctx context.Context, people []Ref) []Result
}
