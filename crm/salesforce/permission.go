package salesforce

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/callsync/callsync/crm"
)

// permissionSet is the name of the permission set that shows callsync's fields
// to callsync's user: a field created through the API is visible to nobody.
const permissionSet = "callsync"

// permissionSetID returns the permission set's id, creating it if need be.
func (c *Connector) permissionSetID(ctx context.Context) (string, error) {
	s := selection{columns: []string{"Id"}, from: "PermissionSet"}
	id, err := c.firstID(ctx, "PermissionSet query", s, condition{"Name", quote(permissionSet)})
	if err != nil || id != "" {
		return id, err
	}
	return c.createRow(ctx, "PermissionSet", map[string]any{
		"Name": permissionSet, "Label": permissionSet, "Description": "Lets callsync's user read and edit callsync's fields.",
	})
}

// assignPermissionSet gives the permission set to the user callsync works as.
func (c *Connector) assignPermissionSet(ctx context.Context) error {
	set, err := c.permissionSetID(ctx)
	if err != nil {
		return err
	}
	user, err := c.userID(ctx)
	if err != nil {
		return err
	}
	s := selection{columns: []string{"Id"}, from: "PermissionSetAssignment", and: "AssigneeId = " + quote(user)}
	id, err := c.firstID(ctx, "PermissionSetAssignment query", s, condition{"PermissionSetId", quote(set)})
	if err != nil || id != "" {
		return err
	}
	_, err = c.createRow(ctx, "PermissionSetAssignment", map[string]any{"AssigneeId": user, "PermissionSetId": set})
	if already(err) {
		return nil
	}
	return err
}

// personSuffix ends the name that a contact's custom field has on the accounts
// that are persons.
const personSuffix = "__pc"

// grantField lets the permission set read and edit a field. A field of Activity
// is granted through Task and Event; doing so for one may do it for the other.
func (c *Connector) grantField(ctx context.Context, object, name string) error {
	set, err := c.permissionSetID(ctx)
	if err != nil {
		return err
	}
	full := object + "." + name
	s := selection{
		columns: []string{"Id", "PermissionsRead", "PermissionsEdit"}, from: "FieldPermissions",
		and: "ParentId = " + quote(set) + " AND SobjectType = " + quote(object),
	}
	rows, err := c.query(ctx, "FieldPermissions query", s, []condition{{"Field", quote(full)}}, false)
	if err != nil {
		return err
	}
	edit := map[string]any{"PermissionsRead": true, "PermissionsEdit": true}
	if len(rows) > 0 {
		if truth(rows[0]["PermissionsEdit"]) {
			return nil
		}
		path := c.client.data("sobjects/FieldPermissions/" + stringOf(rows[0]["Id"]))
		return c.client.sendJSON(ctx, "FieldPermissions update", http.MethodPatch, path, edit, nil)
	}
	edit["ParentId"], edit["SobjectType"], edit["Field"] = set, object, full
	_, err = c.createRow(ctx, "FieldPermissions", edit)
	if already(err) || strings.HasSuffix(name, personSuffix) && disallowed(err) {
		// An org that does not know the account's side of a contact's field
		// grants the two together.
		return nil
	}
	return err
}

// userID is the id of the user callsync works as.
func (c *Connector) userID(ctx context.Context) (string, error) {
	if _, user := c.session.identity(); user != "" {
		return user, nil
	}
	var who struct {
		UserID string `json:"user_id"`
	}
	if err := c.client.get(ctx, opUserinfo, pathUserinfo, &who); err != nil {
		return "", err
	}
	id, ok := id18(who.UserID)
	if !ok {
		return "", &crm.Error{Kind: crm.Permanent, Op: opUserinfo, Message: "Salesforce does not say which user callsync works as"}
	}
	return id, nil
}

func (c *Connector) firstID(ctx context.Context, op string, s selection, where condition) (string, error) {
	rows, err := c.query(ctx, op, s, []condition{where}, false)
	if err != nil || len(rows) == 0 {
		return "", err
	}
	id, _ := id18(stringOf(rows[0]["Id"]))
	return id, nil
}

func (c *Connector) createRow(ctx context.Context, table string, fields map[string]any) (string, error) {
	var made struct {
		ID string `json:"id"`
	}
	err := c.client.sendJSON(ctx, table+" create", http.MethodPost, c.client.data("sobjects/"+table+"/"), fields, &made)
	if err != nil {
		return "", err
	}
	id, _ := id18(made.ID)
	return id, nil
}

// already reports whether err says that what was to be created is there.
func already(err error) bool {
	var e *crm.Error
	return errors.As(err, &e) && (strings.HasPrefix(e.Code, "DUPLICATE_") || e.Code == "DUPLICATES_DETECTED")
}

// disallowed reports whether err says that a field cannot be as it was asked
// for, so that asking for less may help.
func disallowed(err error) bool {
	var e *crm.Error
	return errors.As(err, &e) && e.Status == http.StatusBadRequest && !strings.HasPrefix(e.Code, "INSUFFICIENT_ACCESS")
}
