package endpoint

import (
	"fmt"
	"strconv"
)

// The variables that FromEnv reads, which are those of OaaS-RS.
const (
	EnvPublish  = "ODGM_ZENOH_EVENT_PUBLISH"
	EnvLocality = "ODGM_ZENOH_EVENT_LOCALITY"
)

// FromEnv gives the configuration with what the environment says.
func FromEnv(lookup func(string) (string, bool)) (cfg Config, err error) {
	if text, ok := lookup(EnvPublish); ok && text != "" {
		if cfg.Publish, err = strconv.ParseBool(text); err != nil {
			return cfg, fmt.Errorf("%s=%q: want true or false", EnvPublish, text)
		}
	}
	if text, ok := lookup(EnvLocality); ok && text != "" {
		if _, err := localityOf(text); err != nil {
			return cfg, fmt.Errorf("%s: %w", EnvLocality, err)
		}
		cfg.Locality = text
	}
	return cfg, nil
}
