package dev

import (
	"context"
	"log/slog"
	"strings"

	"github.com/hpcclab/oaas-go/dev/control"
)

// tellingHandler passes records on, and has warnings and errors told as activity, so that they are seen also where nobody reads a log.
type tellingHandler struct {
	slog.Handler
	activity *activity
	attrs    []slog.Attr
}

// telling gives a logger that tells what an operator should know.
func telling(log *slog.Logger, a *activity) *slog.Logger {
	return slog.New(&tellingHandler{Handler: log.Handler(), activity: a})
}

// Enabled takes warnings and errors whatever the other handler takes.
func (h *tellingHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn || h.Handler.Enabled(ctx, level)
}

// Handle tells a record and passes it on.
func (h *tellingHandler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn {
		var text strings.Builder
		text.WriteString(r.Message)
		add := func(a slog.Attr) bool {
			text.WriteString(" " + a.Key + "=" + a.Value.String())
			return true
		}
		for _, a := range h.attrs {
			add(a)
		}
		r.Attrs(add)
		h.activity.add(control.Activity{Time: r.Time, Kind: control.KindError, Message: text.String()})
	}
	if !h.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs gives a handler that adds attributes to each record.
func (h *tellingHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &tellingHandler{h.Handler.WithAttrs(attrs), h.activity, append(h.attrs[:len(h.attrs):len(h.attrs)], attrs...)}
}

// WithGroup gives a handler that puts attributes into a group; what is told has them flat.
func (h *tellingHandler) WithGroup(name string) slog.Handler {
	return &tellingHandler{h.Handler.WithGroup(name), h.activity, h.attrs}
}
