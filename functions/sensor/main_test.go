package main

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/hpcclab/oaas-go/api/opackage"
	"github.com/hpcclab/oaas-go/odgm/condition"
	"github.com/hpcclab/oaas-go/runtime/oaas"
	"github.com/hpcclab/oaas-go/runtime/oaas/oaastest"
)

func TestReadings(t *testing.T) {
	grid := oaastest.New(t, classes()...)
	roof := oaas.Object("sensor.sensor", "roof")
	var got Sensor
	for _, temperature := range []float64{20, 30, 40} {
		if err := grid.Call(roof, "read", Reading{&temperature}, &got); err != nil {
			t.Fatal(err)
		}
	}
	if *got.Temperature != 40 || got.Average != 30 || got.Readings != 3 {
		t.Errorf("sensor %+v", got)
	}
	if err := grid.Call(roof, "read", Reading{}, nil); oaas.StatusOf(err) != 400 {
		t.Errorf("an empty reading gives %v", err)
	}
}

func TestAlarm(t *testing.T) {
	grid := oaastest.New(t, classes()...)
	alarm := oaas.Object("sensor.alarm", "main")
	hot := oaas.Change{
		Object: oaas.Object("sensor.sensor", "roof"), Kind: oaas.EntryUpdated, Key: "temperature", Value: []byte("35.5"), Time: time.UnixMilli(1000),
	}
	if err := grid.Call(alarm, "raise", hot, nil); err != nil {
		t.Fatal(err)
	}
	if got := grid.Entries(alarm)["hot:roof"]; got != `{"temperature":35.5,"time":"1970-01-01T00:00:01Z"}` {
		t.Errorf("the alarm has %s", got)
	}
	if events := grid.Events(); len(events) != 1 || events[0].Subject != "roof" {
		t.Errorf("events %+v", events)
	}
	hot.Value = []byte("20")
	if err := grid.Call(alarm, "clear", hot, nil); err != nil {
		t.Fatal(err)
	}
	var got Alarm
	if err := grid.Call(alarm, "show", nil, &got); err != nil || len(got.Hot) != 0 || got.Raised != 1 {
		t.Errorf("alarm %+v, %v", got, err)
	}
	hot.Value = []byte("warm")
	if err := grid.Call(alarm, "raise", hot, nil); err == nil {
		t.Error("a temperature that is no number raises an alarm")
	}
}

// The thresholds are in the package file: an alarm is raised when one is crossed, not at each reading beyond it.
func TestThresholds(t *testing.T) {
	text, err := os.ReadFile("oaas-package.yaml")
	if err != nil {
		t.Fatal(err)
	}
	pkg, err := opackage.ParseYAML(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		old, now float64
		want     string
	}{{20, 31, "too-hot"}, {31, 35, ""}, {30, 30.5, "too-hot"}, {35, 30, "cool-again"}, {20, 21, ""}} {
		fired := ""
		for _, trigger := range pkg.Classes[0].Triggers {
			if trigger.On != opackage.EntryUpdated {
				continue
			}
			compiled, err := condition.Compile(trigger.Condition)
			if err != nil {
				t.Fatal(err)
			}
			holds, err := compiled.Eval(condition.Input{Old: number(c.old), New: number(c.now), HasOld: true, HasNew: true, Key: "temperature"})
			if err != nil {
				t.Fatal(err)
			}
			if holds {
				fired += trigger.Name
			}
		}
		if fired != c.want {
			t.Errorf("from %v to %v fires %q, not %q", c.old, c.now, fired, c.want)
		}
	}
}

func number(f float64) []byte { return strconv.AppendFloat(nil, f, 'g', -1, 64) }
