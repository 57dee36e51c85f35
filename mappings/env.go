package mappings

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/expr-lang/expr/types"

	"github.com/callsync/callsync/julian"
)

var (
	typeTime = types.TypeOf(time.Time{})
	typeFree = types.TypeOf(map[string]any{})

	typeAction = types.Map{
		"description": types.String,
		"status":      types.String,
		"actionKey":   types.String,
		"completedAt": typeTime,
		"metadata":    typeFree,
	}
	typeOutcome = types.Map{
		"name":      types.String,
		"reasoning": types.String,
	}
	typeResult = types.Map{
		"resultType":         types.String,
		"summary":            types.String,
		"extractedVariables": typeFree,
		"agentActions":       types.Array(typeAction),
		"humanActions":       types.Array(typeAction),
		"transcription":      types.String,
		"outcomes":           types.Array(typeOutcome),
		"followUpMeetingDetails": types.Map{
			"startTime": typeTime,
			"endTime":   typeTime,
			"hostEmail": types.String,
		},
	}
	typeCall = types.Map{
		"agentId":              types.String,
		"agentName":            types.String,
		"callId":               types.String,
		"name":                 types.String,
		"phoneNumber":          types.String,
		"phoneNumberExt":       types.String,
		"fromPhoneNumber":      types.String,
		"scheduledAt":          typeTime,
		"timezone":             types.String,
		"direction":            types.String,
		"customInputVariables": typeFree,
		"duration":             types.Int,
		"callUrl":              types.String,
		"rescheduledAt":        typeTime,
		"callResult":           typeResult,
		"crmSchedulingDetails": typeFree,
		"sequence": types.Map{
			"sequenceId":      types.String,
			"lifecycleStatus": types.String,
		},
		"raw":      typeFree,
		"terminal": types.Bool,
		"interim":  types.Bool,
		"received": typeTime,
	}
)

// callTypes is what expressions may name, with the types they are checked
// against: the call, callResult's fields once more without the prefix, and what
// callsync adds. item is the type of a for_each list's items, nil outside one.
func callTypes(options map[string]any, item types.Type) types.Map {
	env := maps.Clone(typeCall)
	maps.Copy(env, typeResult)
	declared := types.Map{}
	for name, value := range options {
		declared[name] = types.TypeOf(value)
	}
	env["options"] = declared
	if item != nil {
		env["item"] = item
		env["index"] = types.Int
	}
	return env
}

// knownNames lists all names of env, fields of fields included, in order.
func knownNames(env types.Map) []string {
	found := map[string]bool{}
	var walk func(types.Map)
	walk = func(m types.Map) {
		for name, t := range m {
			found[name] = true
			if sub, ok := t.(types.Map); ok {
				walk(sub)
			}
		}
	}
	walk(env)
	walk(typeAction)
	walk(typeOutcome)
	return slices.Sorted(maps.Keys(found))
}

// callValues is the environment of one call, of the types that callTypes
// promises, except that what is missing is nil. Numbers of the free-form
// objects are int where they fit, else float64.
func callValues(c *julian.Call, received time.Time, options map[string]any, withRaw bool) map[string]any {
	result := map[string]any{
		"resultType":         string(c.Result.ResultType),
		"summary":            c.Result.Summary,
		"extractedVariables": plainMap(c.Result.ExtractedVariables),
		"agentActions":       actionValues(c.Result.AgentActions),
		"humanActions":       actionValues(c.Result.HumanActions),
		"transcription":      c.Result.Transcription,
		"outcomes":           outcomeValues(c.Result.Outcomes),
	}
	if f := c.Result.FollowUp; f != nil {
		result["followUpMeetingDetails"] = map[string]any{
			"startTime": timeValue(f.StartTime),
			"endTime":   timeValue(f.EndTime),
			"hostEmail": f.HostEmail,
		}
	}
	env := map[string]any{
		"agentId":              c.AgentID,
		"agentName":            c.AgentName,
		"callId":               c.CallID,
		"name":                 c.Name,
		"phoneNumber":          c.PhoneNumber,
		"phoneNumberExt":       c.PhoneNumberExt,
		"fromPhoneNumber":      c.FromPhoneNumber,
		"scheduledAt":          timeValue(c.ScheduledAt),
		"timezone":             c.Timezone,
		"direction":            c.Direction,
		"customInputVariables": plainMap(c.CustomInputVariables),
		"duration":             c.Duration,
		"callUrl":              c.CallURL,
		"rescheduledAt":        timeValue(c.RescheduledAt),
		"callResult":           result,
		"crmSchedulingDetails": plainMap(c.CRMSchedulingDetails),
		"sequence": map[string]any{
			"sequenceId":      c.Sequence.SequenceID,
			"lifecycleStatus": c.Sequence.LifecycleStatus,
		},
		"terminal": !c.Interim(),
		"interim":  c.Interim(),
		"received": received.UTC(),
		"options":  options,
	}
	if withRaw {
		env["raw"] = plainMap(c.Raw)
	}
	maps.Copy(env, result)
	return env
}

func timeValue(t *time.Time) any {
	if t == nil {
		return nil
	}
	return *t
}

func actionValues(actions []julian.Action) []any {
	out := make([]any, len(actions))
	for i, a := range actions {
		out[i] = map[string]any{
			"description": a.Description,
			"status":      a.Status,
			"actionKey":   a.ActionKey,
			"completedAt": timeValue(a.CompletedAt),
			"metadata":    plainMap(a.Metadata),
		}
	}
	return out
}

func outcomeValues(outcomes []julian.Outcome) []any {
	out := make([]any, len(outcomes))
	for i, o := range outcomes {
		out[i] = map[string]any{"name": o.Name, "reasoning": o.Reasoning}
	}
	return out
}

func plainMap(m map[string]any) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = plainValue(v)
	}
	return out
}

func plainValue(v any) any {
	switch v := v.(type) {
	case json.Number:
		return plainNumber(v)
	case map[string]any:
		return plainMap(v)
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = plainValue(x)
		}
		return out
	default:
		return v
	}
}

// plainNumber keeps as text an integer too long for int, such as an id: rounding
// it would make it another one.
func plainNumber(n json.Number) any {
	if i, err := strconv.Atoi(n.String()); err == nil {
		return i
	}
	f, err := n.Float64()
	if err != nil || math.IsInf(f, 0) || (f == math.Trunc(f) && math.Abs(f) >= 1<<53) {
		return n.String()
	}
	return f
}
