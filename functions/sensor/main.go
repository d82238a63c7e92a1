// Command sensor takes readings of sensors and raises an alarm when a threshold is crossed. The threshold is a condition in the package
// file: the function of the sensor knows nothing of alarms.
package main

import (
	"net/http"
	"time"

	"github.com/hpcclab/oaas-go/runtime/oaas"
)

func main() { oaas.Serve(classes()...) }

func classes() []oaas.Part {
	return []oaas.Part{
		oaas.Class("sensor.sensor", oaas.Method("read", (*Sensor).Read)),
		oaas.Class("sensor.alarm",
			oaas.Method("raise", (*Alarm).Raise),
			oaas.Method("clear", (*Alarm).Clear),
			oaas.ReadOnly("show", (*Alarm).Show)),
	}
}

// Sensor is the state of a sensor: its last temperature, which a device may also write as an entry, and the average over all readings.
type Sensor struct {
	Temperature *float64 `oaas:"temperature" json:"temperature"`
	Average     float64  `oaas:"average" json:"average"`
	Readings    int      `oaas:"readings" json:"readings"`
}

// Reading is what a sensor sends.
type Reading struct {
	Temperature *float64 `json:"temperature"`
}

// Read takes a reading.
func (s *Sensor) Read(_ oaas.Context, in Reading) (*Sensor, error) {
	if in.Temperature == nil {
		return nil, oaas.Errorf(http.StatusBadRequest, "the reading has no temperature")
	}
	s.Temperature = in.Temperature
	s.Readings++
	s.Average += (*in.Temperature - s.Average) / float64(s.Readings)
	return s, nil
}

// Alarm is the state of an alarm object: the sensors that are too hot at the moment, and since when. There is one, "main".
type Alarm struct {
	Hot    map[string]Since `oaas:"hot:*" json:"hot"`
	Raised int              `oaas:"raised" json:"raised"`
}

// Since tells how hot a sensor was when it crossed the threshold.
type Since struct {
	Temperature float64   `json:"temperature"`
	Time        time.Time `json:"time"`
}

// Raise is called by the trigger too-hot, with the change of the temperature.
func (a *Alarm) Raise(ctx oaas.Context, change oaas.Change) (oaas.None, error) {
	since := Since{Time: change.Time}
	if err := change.Decode(&since.Temperature); err != nil {
		return oaas.None{}, err
	}
	if a.Hot == nil {
		a.Hot = map[string]Since{}
	}
	a.Hot[change.Object.Object] = since
	a.Raised++
	ctx.Emit(oaas.Event{Type: "sensor.alarm.raised", Subject: change.Object.Object, Data: since})
	return oaas.None{}, nil
}

// Clear is called by the trigger cool-again.
func (a *Alarm) Clear(_ oaas.Context, change oaas.Change) (oaas.None, error) {
	delete(a.Hot, change.Object.Object)
	return oaas.None{}, nil
}

// Show gives the alarm.
func (a *Alarm) Show(oaas.Context, oaas.None) (*Alarm, error) { return a, nil }
