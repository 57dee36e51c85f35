package hubspotsim

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// An Owner is a user records can be assigned to. AddOwner fills in an empty
// ID and a zero UserID.
type Owner struct {
	ID        string
	Email     string
	FirstName string
	LastName  string
	UserID    int
	Archived  bool
}

// AddOwner adds an owner and returns its id.
func (s *Server) AddOwner(o Owner) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.owners) + 1
	o.ID = cmp.Or(o.ID, strconv.Itoa(70_000+n))
	o.UserID = cmp.Or(o.UserID, 9_000+n)
	s.owners = append(s.owners, o)
	return o.ID
}

type ownerBody struct {
	ID        string `json:"id"`
	Email     string `json:"email"`
	Type      string `json:"type"`
	FirstName string `json:"firstName"`
	LastName  string `json:"lastName"`
	UserID    int    `json:"userId"`
	Inactive  int    `json:"userIdIncludingInactive"`
	CreatedAt string `json:"createdAt"`
	UpdatedAt string `json:"updatedAt"`
	Archived  bool   `json:"archived"`
}

func (c *call) owner(o Owner) ownerBody {
	return ownerBody{o.ID, o.Email, "PERSON", o.FirstName, o.LastName, o.UserID, o.UserID, stamp(c.now), stamp(c.now), o.Archived}
}

// listOwners pages by ascending id. Source: HubSpot owners reference: at most
// 500 a page, 100 by default.
func (s *Server) listOwners(c *call) (int, any, *apiError) {
	q := c.URL.Query()
	limit, fail := pageSize(q.Get("limit"), 100, 500)
	if fail != nil {
		return 0, nil, fail
	}
	after, err := strconv.Atoi(cmp.Or(q.Get("after"), "0"))
	if err != nil {
		return 0, nil, invalid("after is not a paging cursor")
	}
	archived := q.Get("archived") == "true"
	var found []Owner
	for _, o := range s.owners {
		if o.Archived == archived && numeric(o.ID) > after && (q.Get("email") == "" || strings.EqualFold(o.Email, q.Get("email"))) {
			found = append(found, o)
		}
	}
	slices.SortFunc(found, func(a, b Owner) int { return cmp.Compare(numeric(a.ID), numeric(b.ID)) })
	answer := struct {
		Results []ownerBody `json:"results"`
		Paging  *paging     `json:"paging,omitempty"`
	}{Results: []ownerBody{}}
	for _, o := range found[:min(limit, len(found))] {
		answer.Results = append(answer.Results, c.owner(o))
	}
	if len(found) > limit {
		answer.Paging = next(found[limit-1].ID)
	}
	return http.StatusOK, answer, nil
}

func (s *Server) getOwner(c *call) (int, any, *apiError) {
	id := c.PathValue("id")
	for _, o := range s.owners {
		match := o.ID
		if c.URL.Query().Get("idProperty") == "userId" {
			match = strconv.Itoa(o.UserID)
		}
		if match == id {
			return http.StatusOK, c.owner(o), nil
		}
	}
	return 0, nil, notFound("resource not found")
}

type disposition struct {
	ID      string `json:"id"`
	Label   string `json:"label"`
	Deleted bool   `json:"deleted"`
}

// dispositions are the default call outcomes and one of the account's own.
// Source: HubSpot calls guide.
var dispositions = []disposition{
	{ID: "9d9162e7-6cf3-4944-bf63-4dff82258764", Label: "Busy"},
	{ID: "f240bbac-87c9-4f6e-bf70-924b57d47db7", Label: "Connected"},
	{ID: "a4c4c377-d246-4b32-a13b-75a56a4cd0ff", Label: "Left live message"},
	{ID: "b2cf5968-551e-4856-9783-52b3da59a7d0", Label: "Left voicemail"},
	{ID: "73a0d17f-1163-4015-bdd5-ec830791da20", Label: "No answer"},
	{ID: "17b47fee-58de-441e-a44c-c6300d46f273", Label: "Wrong number"},
	{ID: "5b0c3a52-7f5e-4c0e-9d5a-2f6d1c1f7a10", Label: "Meeting booked"},
}

func (s *Server) listDispositions(*call) (int, any, *apiError) {
	return http.StatusOK, dispositions, nil
}

// accountDetails names the account and its time zone. Source: HubSpot account
// information guide.
func (s *Server) accountDetails(*call) (int, any, *apiError) {
	return http.StatusOK, map[string]any{
		"portalId": s.opts.PortalID, "accountType": "STANDARD", "timeZone": s.opts.Zone.String(),
		"companyCurrency": "USD", "uiDomain": "app.hubspot.com", "dataHostingLocation": "na1",
	}, nil
}
