package sandbox

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"
)

// ControlHandler serves the control API of core and sim. It expects to be
// mounted at ControlPrefix without stripping it.
//
//	GET    /_sandbox/                what there is
//	GET    /_sandbox/faults          the faults in force
//	POST   /_sandbox/faults          one Fault; answers its id
//	DELETE /_sandbox/faults[/{id}]   ends all, or one
//	GET    /_sandbox/requests?last=N counters and the newest N requests (20)
//	POST   /_sandbox/reset-counters  empties log and counters
//	GET    /_sandbox/settings        the CRM's settings
//	PUT    /_sandbox/settings        changes those named in the body
//	GET    /_sandbox/state           every record
//	POST   /_sandbox/advance         {"by":"30s"} moves the clock
func ControlHandler(core *Core, sim Simulator) http.Handler {
	c := control{core, sim}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_sandbox/{$}", c.index)
	mux.HandleFunc("GET /_sandbox/faults", c.listFaults)
	mux.HandleFunc("POST /_sandbox/faults", c.addFault)
	mux.HandleFunc("DELETE /_sandbox/faults", c.clearFaults)
	mux.HandleFunc("DELETE /_sandbox/faults/{id}", c.removeFault)
	mux.HandleFunc("GET /_sandbox/requests", c.requests)
	mux.HandleFunc("POST /_sandbox/reset-counters", c.resetCounters)
	mux.HandleFunc("GET /_sandbox/settings", c.settings)
	mux.HandleFunc("PUT /_sandbox/settings", c.changeSettings)
	mux.HandleFunc("GET /_sandbox/state", c.state)
	mux.HandleFunc("POST /_sandbox/advance", c.advance)
	return mux
}

type control struct {
	core *Core
	sim  Simulator
}

func (c control) index(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, map[string]any{
		"sandbox": c.core.opts.Name,
		"account": c.core.opts.Account,
		"now":     c.core.Now().UTC(),
		"control": []string{
			"GET POST DELETE /_sandbox/faults",
			"GET /_sandbox/requests?last=20",
			"POST /_sandbox/reset-counters",
			"GET PUT /_sandbox/settings",
			"GET /_sandbox/state",
			"POST /_sandbox/advance",
		},
	})
}

func (c control) listFaults(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, map[string]any{"faults": c.core.Faults()})
}

func (c control) addFault(w http.ResponseWriter, r *http.Request) {
	var f Fault
	if !read(w, r, &f) {
		return
	}
	var err error
	if f.ID, err = c.core.AddFault(f); err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	reply(w, http.StatusCreated, map[string]string{"id": f.ID})
}

func (c control) clearFaults(w http.ResponseWriter, _ *http.Request) {
	c.core.ClearFaults()
	w.WriteHeader(http.StatusNoContent)
}

func (c control) removeFault(w http.ResponseWriter, r *http.Request) {
	if !c.core.RemoveFault(r.PathValue("id")) {
		refuse(w, http.StatusNotFound, errors.New("no such fault"))
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (c control) requests(w http.ResponseWriter, r *http.Request) {
	last := 20
	if s := r.FormValue("last"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 {
			refuse(w, http.StatusBadRequest, errors.New("last is not a number of requests"))
			return
		}
		last = n
	}
	list := c.core.Requests()
	if len(list) > last {
		list = list[len(list)-last:]
	}
	reply(w, http.StatusOK, map[string]any{
		"total": c.core.Total(), "operations": c.core.Counts(), "requests": list,
	})
}

func (c control) resetCounters(w http.ResponseWriter, _ *http.Request) {
	c.core.ResetCounters()
	w.WriteHeader(http.StatusNoContent)
}

func (c control) settings(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, c.sim.Settings())
}

func (c control) changeSettings(w http.ResponseWriter, r *http.Request) {
	patch, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err == nil {
		err = c.sim.ChangeSettings(patch)
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	reply(w, http.StatusOK, c.sim.Settings())
}

func (c control) state(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, c.sim.Dump())
}

func (c control) advance(w http.ResponseWriter, r *http.Request) {
	var body struct {
		By Duration `json:"by"`
	}
	if !read(w, r, &body) {
		return
	}
	if body.By <= 0 {
		refuse(w, http.StatusBadRequest, errors.New(`by is missing or not positive; give a duration such as "30s"`))
		return
	}
	c.core.Advance(time.Duration(body.By))
	reply(w, http.StatusOK, map[string]any{"now": c.core.Now().UTC()})
}

// read decodes a control request's body. On failure it has answered.
func read(w http.ResponseWriter, r *http.Request, v any) bool {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		refuse(w, http.StatusBadRequest, err)
		return false
	}
	return true
}

func refuse(w http.ResponseWriter, status int, err error) {
	reply(w, status, map[string]string{"error": err.Error()})
}

func reply(w http.ResponseWriter, status int, v any) {
	body, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"error":"the answer could not be encoded"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // a client that left needs no answer
}
