package overlay

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hpcclab/oaas-go/odgm/engine"
	"github.com/hpcclab/oaas-go/odgm/engine/memory"
)

// TestReplay gives each key once, in order, with the last thing that happened to it; and leaves what is below alone.
func TestReplay(t *testing.T) {
	below := memory.New()
	if err := below.Update(func(tx engine.Tx) error { return errors.Join(tx.Put([]byte("b"), nil), tx.Put([]byte("d"), nil)) }); err != nil {
		t.Fatal(err)
	}
	err := below.View(func(r engine.Reader) error {
		tx := New(r)
		err := errors.Join(tx.Put([]byte("c"), []byte("1")), tx.Put([]byte("a"), []byte("2")), tx.Put([]byte("c"), []byte("3")),
			tx.Put([]byte("e"), nil), tx.DeleteRange([]byte("d"), nil), tx.Delete([]byte("x")))
		var log []string
		replayErr := tx.Replay(
			func(key, value []byte) error { log = append(log, fmt.Sprintf("%s=%s", key, value)); return nil },
			func(key []byte) error { log = append(log, fmt.Sprintf("-%s", key)); return nil })
		if got := strings.Join(log, " "); got != "a=2 c=3 -d -e -x" || tx.Len() != 5 {
			t.Errorf("replayed %s", got)
		}
		_, found, getErr := r.Get([]byte("d"))
		if !found {
			t.Error("the state below was changed")
		}
		own := errors.New("own error")
		if err := tx.Replay(func(_, _ []byte) error { return own }, nil); err != own {
			t.Errorf("replay does not stop at an error: %v", err)
		}
		return errors.Join(err, replayErr, getErr)
	})
	if err := errors.Join(err, below.Close()); err != nil {
		t.Error(err)
	}
}

// broken is a state that cannot be read.
type broken struct{}

var errBroken = errors.New("cannot be read")

func (broken) Get([]byte) ([]byte, bool, error)                 { return nil, false, errBroken }
func (broken) Scan(_, _ []byte, _ func(_, _ []byte) bool) error { return errBroken }

// TestErrorsBelow are handed on, and show nothing of what would be wrong without the rest.
func TestErrorsBelow(t *testing.T) {
	tx := New(broken{})
	if err := tx.Put([]byte("a"), nil); err != nil {
		t.Fatal(err)
	}
	_, _, getErr := tx.Get([]byte("b"))
	scanErr := tx.Scan(nil, nil, func(_, _ []byte) bool { t.Error("shown"); return true })
	for name, err := range map[string]error{"get": getErr, "scan": scanErr, "delete range": tx.DeleteRange(nil, nil)} {
		if !errors.Is(err, errBroken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
