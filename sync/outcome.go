package sync

import (
	"errors"
	"net/http"
	"time"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
)

// outcomeOf turns a CRM's error into what becomes of the call it concerns.
func outcomeOf(now time.Time, record string, err error) outcome {
	problem := problemOf(now, record, err)
	switch problem.Kind {
	case crm.Permanent:
		return outcome{status: store.Failed, problem: problem}
	case crm.Credential, crm.Quota, crm.NotReady, crm.OtherAccount:
		return outcome{deferred: true, problem: problem}
	case crm.Exists, crm.Gone:
		return outcome{again: true, problem: problem, reason: problem.Text}
	}
	o := outcome{status: store.Retrying, problem: problem}
	if d := retryAfter(err); d > 0 {
		o.retryAt = now.Add(d)
	}
	return o
}

func problemOf(now time.Time, record string, err error) *store.Problem {
	p := &store.Problem{At: now, Kind: crm.KindOf(err), Record: record, Text: err.Error()}
	var e *crm.Error
	if errors.As(err, &e) {
		p.Code, p.Hint, p.RequestID, p.Property = e.Code, e.Hint, e.RequestID, e.Property
	}
	return p
}

func retryAfter(err error) time.Duration {
	var e *crm.Error
	if errors.As(err, &e) {
		return e.RetryAfter
	}
	return 0
}

// wholesale reports whether a transient error concerns a request as a whole, not
// one record in it: there was no answer, or one that refuses everything.
func wholesale(err error) bool {
	var e *crm.Error
	if !errors.As(err, &e) {
		return true
	}
	return e.Status == 0 && e.Code == "" || e.Status == http.StatusTooManyRequests || e.Status >= 500
}

// blocks reports whether err stops the whole destination, not just a call.
func blocks(err error) bool {
	switch crm.KindOf(err) {
	case crm.Credential, crm.Quota, crm.NotReady, crm.OtherAccount:
		return true
	}
	return false
}

// existing is the record that an error of kind Exists names.
func existing(err error) crm.Ref {
	var e *crm.Error
	if errors.As(err, &e) {
		return e.Existing
	}
	return crm.Ref{}
}
