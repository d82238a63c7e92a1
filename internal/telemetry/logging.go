package telemetry

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// Names of the environment variables.
const (
	EnvLogFormat = "LOG_FORMAT"
	EnvLogLevel  = "LOG_LEVEL"
	EnvRustLog   = "RUST_LOG" // as OaaS-RS has it; LOG_LEVEL goes before it
)

// Logger makes a logger that writes to w: in the format of LOG_FORMAT (plain, which is the default, or json), from the level of LOG_LEVEL on
// (debug, info, warn or error; info is the default). Without LOG_LEVEL the general level of RUST_LOG counts.
func Logger(w io.Writer, env func(string) string) (*slog.Logger, error) {
	level, err := levelFrom(env)
	if err != nil {
		return nil, err
	}
	options := &slog.HandlerOptions{Level: level}
	switch format := env(EnvLogFormat); strings.ToLower(format) {
	case "", "plain", "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	default:
		return nil, fmt.Errorf("%s=%q: allowed are plain and json", EnvLogFormat, format)
	}
}

var levels = map[string]slog.Level{
	"debug": slog.LevelDebug, "info": slog.LevelInfo, "": slog.LevelInfo, "warn": slog.LevelWarn, "warning": slog.LevelWarn, "error": slog.LevelError,
}

// levelFrom takes from RUST_LOG only the part that is not about one module, and takes its finer levels for debug.
func levelFrom(env func(string) string) (slog.Level, error) {
	if text := env(EnvLogLevel); text != "" {
		level, known := levels[strings.ToLower(text)]
		if !known {
			return 0, fmt.Errorf("%s=%q: allowed are debug, info, warn and error", EnvLogLevel, text)
		}
		return level, nil
	}
	for directive := range strings.SplitSeq(env(EnvRustLog), ",") {
		directive = strings.ToLower(strings.TrimSpace(directive))
		if directive == "trace" {
			return slog.LevelDebug, nil
		}
		if level, known := levels[directive]; known && directive != "" {
			return level, nil
		}
	}
	return slog.LevelInfo, nil
}
