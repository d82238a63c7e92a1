package runner

import (
	"errors"
	"log/slog"
	"os"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Defaults of [Config] and [Spec].
const (
	DefaultScaleToZeroGrace = 30 * time.Second
	DefaultQueueDepth       = 1000
	DefaultDrainTimeout     = 30 * time.Second
	DefaultStopTimeout      = 5 * time.Second
	DefaultStartTimeout     = 60 * time.Second
	DefaultLogLines         = 1000
)

// Config is what all functions of a [Runner] share. The zero value is usable.
type Config struct {
	// Logger gets what an operator acts on: crashes, failed starts, a lost guard. Default: discard.
	Logger *slog.Logger
	// Registerer gets the metrics; nil keeps them unregistered.
	Registerer prometheus.Registerer
	// OnEvent is told everything that happens, log lines included. It is called from many goroutines at once and must not block: a
	// function that writes faster than OnEvent takes waits for it.
	OnEvent func(Event)

	// ScaleToZeroGrace is how long the last instance stays after the stable window passed without traffic, as Knative's
	// scale-to-zero-grace-period. Default 30 s.
	ScaleToZeroGrace time.Duration
	// QueueDepth bounds the requests of one function that wait for an instance. Default 1000.
	QueueDepth int
	// DrainTimeout bounds how long an instance that is to stop may go on with the requests it has. Default 30 s.
	DrainTimeout time.Duration
	// StopTimeout is the time between SIGTERM and SIGKILL. Default 5 s.
	StopTimeout time.Duration
	// LogLines is how many lines of output are kept for each function. Default 1000.
	LogLines int
	// HostEnv names the variables that functions inherit from oaas. Everything else of the developer's environment stays out, as it would in
	// a container. Default: what programs need to run at all (PATH, HOME, TMPDIR, locale, time zone).
	HostEnv []string
	// Clock drives the autoscaler. Default: the system's clock.
	Clock Clock
}

// Clock is the autoscaler's time. Everything else (start time-outs, drains) happens in real time.
type Clock interface {
	// Now gives the time.
	Now() time.Time
	// Tick gives a channel that delivers every d, and the function that stops it.
	Tick(d time.Duration) (<-chan time.Time, func())
}

type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }

func (systemClock) Tick(d time.Duration) (<-chan time.Time, func()) {
	t := time.NewTicker(d)
	return t.C, t.Stop
}

// withDefaults fills what is absent and refuses what makes no sense.
func (c Config) withDefaults() (Config, error) {
	for name, d := range map[string]time.Duration{
		"ScaleToZeroGrace": c.ScaleToZeroGrace, "DrainTimeout": c.DrainTimeout, "StopTimeout": c.StopTimeout,
	} {
		if d < 0 {
			return c, errors.New("runner: " + name + " is negative")
		}
	}
	if c.QueueDepth < 0 || c.LogLines < 0 {
		return c, errors.New("runner: QueueDepth or LogLines is negative")
	}
	orDefault(&c.ScaleToZeroGrace, DefaultScaleToZeroGrace)
	orDefault(&c.DrainTimeout, DefaultDrainTimeout)
	orDefault(&c.StopTimeout, DefaultStopTimeout)
	orDefault(&c.QueueDepth, DefaultQueueDepth)
	orDefault(&c.LogLines, DefaultLogLines)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.OnEvent == nil {
		c.OnEvent = func(Event) {}
	}
	if c.Clock == nil {
		c.Clock = systemClock{}
	}
	if c.HostEnv == nil {
		c.HostEnv = defaultHostEnv()
	}
	return c, nil
}

func orDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// defaultHostEnv lists what a program needs to find its interpreter, its home and its temporary files.
func defaultHostEnv() []string {
	names := []string{"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR"}
	if runtime.GOOS == "windows" {
		names = append(names, "SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "TEMP", "TMP", "USERPROFILE", "APPDATA",
			"LOCALAPPDATA", "PROGRAMDATA", "PROGRAMFILES")
	}
	return names
}

// hostEnv gives the inherited variables as KEY=value.
func (c Config) hostEnv() []string {
	env := make([]string, 0, len(c.HostEnv)+8)
	for _, name := range c.HostEnv {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}
