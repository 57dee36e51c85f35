package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/store"
)

// maxRows bounds one answer; a longer list says that there is more.
const maxRows = 10_000

func (s *Server) calls(r *http.Request) (any, error) {
	sel, err := selectionOf(r.URL.Query())
	if err != nil {
		return nil, err
	}
	if sel.Destination != "" {
		if _, err := s.destination(sel.Destination); err != nil {
			return nil, err
		}
	}
	limit := sel.Limit
	if limit <= 0 || limit > maxRows {
		limit = maxRows
	}
	sel.Limit = limit + 1
	var why *causes
	if sel.State != "" && r.URL.Query().Get("causes") == "1" {
		why, sel.Limit = newCauses(sel.State), maxRows+1
	}
	answer := Calls{Calls: []store.CallView{}}
	seen := 0
	for c, err := range s.Journal.Calls(r.Context(), sel.filter()) {
		if err != nil {
			return nil, err
		}
		if c.Damaged != nil {
			answer.Unread = answer.Unread.call(c)
			continue
		}
		if seen++; seen <= limit {
			answer.Calls = append(answer.Calls, c)
		} else {
			answer.More = true
		}
		if seen == sel.Limit { // one more than is looked at
			answer.Partial = why != nil
			break
		}
		if why != nil {
			why.add(c)
		}
	}
	if why != nil {
		answer.Causes = why.list()
	}
	return answer, nil
}

func (s *Server) deliveries(r *http.Request) (any, error) {
	q := r.URL.Query()
	f := store.DeliveryFilter{CallID: q.Get("call"), Verdict: store.Verdict(q.Get("verdict"))}
	if f.Verdict != "" && !slices.Contains(store.Verdicts(), f.Verdict) {
		return nil, invalid("%q is not a verdict; there are: %s", f.Verdict, namesOf(store.Verdicts()))
	}
	var err error
	if f.Since, err = timeOf(q, "since"); err != nil {
		return nil, err
	}
	if f.Until, err = timeOf(q, "until"); err != nil {
		return nil, err
	}
	if before := q.Get("before"); before != "" {
		if f.Before, err = strconv.ParseUint(before, 10, 64); err != nil {
			return nil, invalid("before=%q is not a delivery's number", before)
		}
	}
	limit, err := limitOf(q)
	if err != nil {
		return nil, err
	}
	if limit == 0 || limit > maxRows {
		limit = maxRows
	}
	f.Limit, f.Damaged = limit+1, true
	answer := Deliveries{Deliveries: []store.Delivery{}}
	for d, err := range s.Journal.Deliveries(r.Context(), f) {
		if err != nil {
			return nil, err
		}
		if d.Damaged != nil {
			if len(answer.Damaged) < maxUnread {
				answer.Damaged = append(answer.Damaged, d.Damaged.Error())
			}
			continue
		}
		if len(answer.Deliveries) == limit {
			answer.More = true
			break
		}
		answer.Deliveries = append(answer.Deliveries, d)
	}
	return answer, nil
}

// detailDeliveries bounds the deliveries shown with one call.
const detailDeliveries = 200

func (s *Server) call(r *http.Request) (any, error) {
	ctx, id := r.Context(), r.PathValue("id")
	call, err := s.Journal.Call(ctx, id)
	if err != nil {
		return nil, err
	}
	answer := CallDetail{Call: call, Deliveries: []store.Delivery{}, Revisions: []Revision{}, Destinations: []CallAt{}}
	for d, err := range s.Journal.Deliveries(ctx, store.DeliveryFilter{CallID: id, Limit: detailDeliveries, Damaged: true}) {
		if err != nil {
			return nil, err
		}
		if d.Damaged != nil {
			answer.Damaged = append(answer.Damaged, d.Damaged.Error())
			continue
		}
		answer.Deliveries = append(answer.Deliveries, d)
	}
	slices.Reverse(answer.Deliveries)
	revisions, err := s.Journal.Revisions(ctx, id)
	if errors.Is(err, store.ErrDamaged) {
		answer.Damaged = append(answer.Damaged, err.Error())
	} else if err != nil {
		return nil, err
	}
	bodies := r.URL.Query().Get("bodies") == "1"
	for _, v := range revisions {
		rev := Revision{N: v.N, At: v.At, Hash: v.Hash, Size: len(v.Body)}
		if bodies && v.Body != nil {
			rev.Body = rawBody(v.Body)
		}
		answer.Revisions = append(answer.Revisions, rev)
	}
	views, err := s.Journal.View(ctx, id)
	if err != nil {
		return nil, err
	}
	for _, w := range views {
		at := CallAt{Destination: w.Destination, State: w.State, Hold: s.hold(w.Destination, w.State), Records: []store.Record{}}
		for _, rec := range w.Records {
			at.Records = append(at.Records, rec)
		}
		slices.SortFunc(at.Records, func(a, b store.Record) int { return compareKeys(a.Key, b.Key) })
		if at.Contact, err = s.contact(ctx, w); err != nil {
			return nil, err
		}
		answer.Destinations = append(answer.Destinations, at)
	}
	return answer, nil
}

// contact is what was last applied to the person a call belongs to, who may have
// been merged or converted since.
func (s *Server) contact(ctx context.Context, w store.Work) (map[string]store.Applied, error) {
	if w.State.Person == nil {
		return nil, nil
	}
	_, p, err := store.Follow(ctx, s.Journal, w.Destination, w.State.Person.Ref)
	return p.Properties, err
}

// explain says how the mappings in force read the newest body of a call.
func (s *Server) explain(r *http.Request) (any, error) {
	ctx, id := r.Context(), r.PathValue("id")
	call, err := s.Journal.Call(ctx, id)
	if err != nil {
		return nil, err
	}
	destinations, err := s.chosen(r.URL.Query().Get("destination"))
	if err != nil {
		return nil, err
	}
	revisions, err := s.Journal.Revisions(ctx, id)
	if err != nil {
		return nil, err
	}
	if len(revisions) == 0 || !call.HasBody() {
		return nil, &Error{Status: http.StatusGone, Code: "gone", Message: "the journal no longer holds the body of call " + id}
	}
	parsed, err := julian.Parse(revisions[len(revisions)-1].Body)
	if err != nil {
		return nil, err
	}
	answer := []Explained{}
	for _, d := range destinations {
		if d.Explain == nil {
			continue
		}
		// What was explained before the mapping failed says where to look.
		e, problem := d.Explain(parsed, call.ReceivedAt)
		one := Explained{Destination: d.Name}
		if problem != nil {
			one.Problem = problem.Error()
		}
		if one.Explanation, err = json.Marshal(e); err != nil {
			return nil, err
		}
		answer = append(answer, one)
	}
	return answer, nil
}

// compareKeys orders record keys so that "…/10" comes after "…/9".
func compareKeys(a, b string) int {
	if len(a) != len(b) && block(a) == block(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

// block is a record's key without its place in a list.
func block(key string) string {
	if i := strings.LastIndexByte(key, '/'); i >= 0 {
		return key[:i]
	}
	return key
}

func selectionOf(q url.Values) (sel Selection, err error) {
	sel = Selection{
		IDs:         q["id"],
		Result:      julian.ResultType(q.Get("result")),
		Agent:       q.Get("agent"),
		State:       store.Status(q.Get("state")),
		Destination: q.Get("destination"),
	}
	if sel.Since, err = timeOf(q, "since"); err != nil {
		return sel, err
	}
	if sel.Until, err = timeOf(q, "until"); err != nil {
		return sel, err
	}
	if sel.Limit, err = limitOf(q); err != nil {
		return sel, err
	}
	return sel, checkSelection(sel)
}

func checkSelection(sel Selection) error {
	if sel.State != "" && !slices.Contains(store.Statuses(), sel.State) {
		return invalid("%q is not a state; there are: %s", sel.State, namesOf(store.Statuses()))
	}
	return nil
}

func namesOf[S ~string](values []S) string {
	var names []string
	for _, v := range values {
		names = append(names, string(v))
	}
	return list(names)
}

func timeOf(q url.Values, name string) (time.Time, error) {
	v := q.Get(name)
	if v == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, v)
	if err != nil {
		return t, invalid("%s=%q is not an RFC 3339 time", name, v)
	}
	return t, nil
}

func limitOf(q url.Values) (int, error) {
	v := q.Get("limit")
	if v == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		return 0, invalid("limit=%q is not a positive number", v)
	}
	return n, nil
}
