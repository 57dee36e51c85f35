package hubspot

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/callsync/callsync/crm"
)

// probeProperty is created by Probe and removed again.
const probeProperty = "callsync_probe"

// Probe finds out whether calls, meetings and tasks of this portal can have a
// unique property, which HubSpot's documentation leaves open: it creates one
// with a record, tries a second record with the same value, reads the first by
// that value, and removes all of it. What it learns is remembered for setup.
func (p *Portal) Probe(ctx context.Context) ([]crm.Finding, error) {
	var findings []crm.Finding
	for _, object := range keyed {
		if object == contacts {
			continue // documented
		}
		f, err := p.probeUnique(ctx, object)
		if err != nil {
			return findings, err
		}
		findings = append(findings, f)
	}
	return findings, nil
}

func (p *Portal) probeUnique(ctx context.Context, object string) (crm.Finding, error) {
	finding := crm.Finding{Name: "unique properties on " + object}
	err := p.createProbe(ctx, object, true)
	if crm.KindOf(err) == crm.Permanent {
		if p.createProbe(ctx, object, false) != nil {
			return finding, err // it is not about being unique
		}
		p.cleanUp(ctx, p.droppingProbe(object))
		finding.Text = fmt.Sprintf("HubSpot refuses a unique property on %s; callsync looks its records up by search, once the search lag has passed", object)
		return finding, p.remember(ctx, object, refusedUnique)
	}
	if err != nil {
		return finding, err
	}
	value := fmt.Sprintf("callsync probe %d", p.now().UnixNano())
	defer p.removeProbe(ctx, object, value)

	id, err := p.createProbeRecord(ctx, object, value)
	if err != nil {
		return finding, err
	}
	twin, err := p.createProbeRecord(ctx, object, value)
	if err == nil {
		p.cleanUp(ctx, p.archiving(object, twin))
		p.cleanUp(ctx, p.archiving(object, id))
		finding.Text = fmt.Sprintf("HubSpot takes a unique property on %s but does not enforce it", object)
		return finding, p.remember(ctx, object, refusedUnique)
	}
	if kind := crm.KindOf(err); kind != crm.Exists && kind != crm.Permanent {
		return finding, err
	}
	records, err := p.batchRead(ctx, object, probeProperty, []string{value}, []string{probeProperty})
	if err != nil {
		return finding, err
	}
	if len(records) != 1 || string(records[0].ID) != id {
		p.cleanUp(ctx, p.archiving(object, id))
		finding.Text = fmt.Sprintf("HubSpot keeps a property on %s unique but does not find records by it", object)
		return finding, p.remember(ctx, object, refusedUnique)
	}
	finding.OK = true
	finding.Text = fmt.Sprintf("unique properties work on %s: HubSpot itself refuses a second record with callsync's key", object)
	return finding, p.remember(ctx, object, takesUnique)
}

// createProbe creates the property in a group that is there, HubSpot's own if
// setup has not been run: an archived group would be left otherwise, of which
// HubSpot's properties guide does not say that its name can be used again.
func (p *Portal) createProbe(ctx context.Context, object string, unique bool) error {
	groups, err := p.groups(ctx, object)
	if err != nil {
		return err
	}
	d := define(crm.Property{
		Name: probeProperty, Label: "callsync probe", Type: crm.TypeString, Unique: unique,
		Description: "Created by `callsync check --live`, which removes it again.",
	})
	if len(groups) > 0 && !slices.Contains(groups, groupName) {
		d.GroupName = groups[0]
	}
	return p.createProperty(ctx, object, d)
}

func (p *Portal) createProbeRecord(ctx context.Context, object, value string) (string, error) {
	var o record
	_, err := p.do(ctx, request{
		op: object + " create", method: http.MethodPost, path: p.paths.objects + object,
		body: input{Properties: map[string]string{"hs_timestamp": wire(crm.Time(p.now())), probeProperty: value}},
	}, &o)
	return string(o.ID), err
}

// removeProbe removes the record with a probe's value, also one whose creation
// was not answered, and the property.
func (p *Portal) removeProbe(ctx context.Context, object, value string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	records, err := p.batchRead(ctx, object, probeProperty, []string{value}, nil)
	if err != nil {
		p.leftBehind(object+" record", err)
	}
	for _, r := range records {
		p.cleanUp(ctx, p.archiving(object, string(r.ID)))
	}
	p.cleanUp(ctx, p.droppingProbe(object))
}

func (p *Portal) droppingProbe(object string) request {
	return request{op: object + " properties archive", method: http.MethodDelete, path: p.paths.properties + object + "/" + probeProperty}
}

func (p *Portal) archiving(object, id string) request {
	return request{op: object + " archive", method: http.MethodDelete, path: p.paths.objects + object + "/" + id}
}

func (p *Portal) cleanUp(ctx context.Context, r request) {
	if _, err := p.do(ctx, r, nil); err != nil {
		p.leftBehind(r.op, err)
	}
}

func (p *Portal) leftBehind(what string, err error) {
	p.log.Warn("something of the probe may be left in HubSpot; remove it by hand", "what", what, "property", probeProperty, "error", err)
}
