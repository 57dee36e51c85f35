package admin

import (
	"net/http"
	"time"
)

// A MappingVersion is a mapping as it was in force once.
type MappingVersion struct {
	MappingSource
	Version string    `json:"version"`
	At      time.Time `json:"at"` // when it first came into force
}

// mappingVersion looks a version up that calls were synced by.
func (s *Server) mappingVersion(r *http.Request) (any, error) {
	m, err := s.Journal.Mapping(r.Context(), r.PathValue("version"))
	if err != nil {
		return nil, err
	}
	return MappingVersion{MappingSource{m.Name, string(m.Source), m.Routed}, m.Version, m.At}, nil
}
