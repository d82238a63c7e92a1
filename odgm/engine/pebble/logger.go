package pebble

import (
	"context"
	"fmt"
	"log/slog"
)

// logger hands what pebble says to slog. Its work in the background is of interest when something is looked for, hence the debug level.
type logger struct{ log *slog.Logger }

// Infof logs at debug level; the text is only made if somebody reads it.
func (l *logger) Infof(format string, args ...any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug(fmt.Sprintf(format, args...))
	}
}

// Errorf logs at error level.
func (l *logger) Errorf(format string, args ...any) { l.log.Error(fmt.Sprintf(format, args...)) }

// Fatalf logs and panics, for pebble relies on not going on. In a commit the panic becomes an error of Update.
func (l *logger) Fatalf(format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	l.log.Error(message)
	panic(message)
}
