package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
)

// A requestLog is what a sandbox's control API says about requests.
type requestLog struct {
	Total      int `json:"total"`
	Operations map[string]struct {
		Requests int `json:"requests"`
	} `json:"operations"`
}

func requestCounts(ctx context.Context, url string) (l requestLog, err error) {
	return l, getJSON(ctx, url+"/_sandbox/requests?last=0", nil, &l)
}

func (a demoAccount) resetCounters(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url+"/_sandbox/reset-counters", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

func (l requestLog) counts() map[string]int {
	counts := map[string]int{}
	for op, n := range l.Operations {
		counts[op] = n.Requests
	}
	return counts
}

// since is what came on top of an earlier state of the same log.
func (l requestLog) since(earlier requestLog) demoDifference {
	d := demoDifference{Total: l.Total - earlier.Total, counts: map[string]int{}}
	for op, n := range l.Operations {
		if extra := n.Requests - earlier.Operations[op].Requests; extra > 0 {
			d.counts[op] = extra
		}
	}
	return d
}

type demoDifference struct {
	Total  int
	counts map[string]int
}

// writes leaves out the operations that only read.
func (d demoDifference) writes() map[string]int {
	writes := map[string]int{}
	for op, n := range d.counts {
		reads := slices.ContainsFunc([]string{"search", "read", "list", "get", "query", "describe", "token", "labels", "limits", "retrieve"}, func(verb string) bool {
			return strings.Contains(strings.ToLower(op), verb)
		})
		if !reads {
			writes[op] = n
		}
	}
	return writes
}

// getJSON reads one answer of a CRM or a sandbox.
func getJSON(ctx context.Context, url string, header http.Header, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	for k, v := range header {
		req.Header[k] = v
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", req.URL.Path, resp.Status)
	}
	return json.NewDecoder(io.LimitReader(resp.Body, 64<<20)).Decode(into)
}
