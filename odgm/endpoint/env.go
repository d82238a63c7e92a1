package endpoint

import (
	"fmt"
	"strconv"
)

// FromEnv gives the configuration with what the environment says: ODGM_ZENOH_EVENT_PUBLISH and ODGM_ZENOH_EVENT_LOCALITY, as in OaaS-RS.
func FromEnv(lookup func(string) (string, bool)) (cfg Config, err error) {
	if text, ok := lookup("ODGM_ZENOH_EVENT_PUBLISH"); ok && text != "" {
		if cfg.Publish, err = strconv.ParseBool(text); err != nil {
			return cfg, fmt.Errorf("ODGM_ZENOH_EVENT_PUBLISH=%q: want true or false", text)
		}
	}
	if text, ok := lookup("ODGM_ZENOH_EVENT_LOCALITY"); ok && text != "" {
		if _, err := localityOf(text); err != nil {
			return cfg, fmt.Errorf("ODGM_ZENOH_EVENT_LOCALITY: %w", err)
		}
		cfg.Locality = text
	}
	return cfg, nil
}
