package keeper

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/hpcclab/oaas-go/odgm/engine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// states counts which states were freed.
type states struct {
	mu    sync.Mutex
	freed []int
}

func (s *states) free(n int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.freed = append(s.freed, n)
	if n < 0 {
		return errOwn
	}
	return nil
}

func (s *states) expect(t *testing.T, want ...int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if fmt.Sprint(s.freed) != fmt.Sprint(want) {
		t.Errorf("freed %v, want %v", s.freed, want)
	}
}

var errOwn = errors.New("own error")

func changed(int) (bool, error) { return true, nil }

// step makes next the current state.
func step(t *testing.T, k *Keeper[int], next int) {
	t.Helper()
	if err := k.Update(changed, func() (int, error) { return next, nil }); err != nil {
		t.Fatal(err)
	}
}

func TestStatesAreFreedOnce(t *testing.T) {
	var s states
	k := New(1, s.free)
	err := k.View(func(n int) error {
		step(t, k, 2)
		step(t, k, 3)
		s.expect(t, 2) // 1 is in use
		return k.View(func(now int) error {
			if n != 1 || now != 3 {
				t.Errorf("views show %d and %d, want 1 and 3", n, now)
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	s.expect(t, 2, 1)
	if err := k.Close(); err != nil {
		t.Error(err)
	}
	s.expect(t, 2, 1, 3)
	if err := k.Close(); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("second close: %v", err)
	}
}

func TestCloseReportsWhatFreeMet(t *testing.T) {
	var s states
	k := New(-1, s.free)
	step(t, k, -2)
	if err := k.Close(); !errors.Is(err, errOwn) {
		t.Errorf("close: %v", err)
	}
	s.expect(t, -1, -2)
}

func TestNothingToCommit(t *testing.T) {
	var s states
	k := New(1, s.free)
	never := func() (int, error) { t.Error("committed"); return 0, nil }
	if err := k.Update(func(int) (bool, error) { return false, nil }, never); err != nil {
		t.Error(err)
	}
	if err := k.Update(func(int) (bool, error) { return true, errOwn }, never); err != errOwn {
		t.Error(err)
	}
	if err := k.Close(); err != nil {
		t.Error(err)
	}
	s.expect(t, 1)
}

func TestFailureIsFinal(t *testing.T) {
	for name, commit := range map[string]func() (int, error){
		"error": func() (int, error) { return 0, errOwn },
		"panic": func() (int, error) { panic(errOwn) },
	} {
		t.Run(name, func(t *testing.T) {
			var s states
			k := New(1, s.free)
			func() {
				defer func() {
					if cause := recover(); (cause != nil) != (name == "panic") {
						t.Errorf("recovered %v", cause)
					}
				}()
				if err := k.Update(changed, commit); !errors.Is(err, engine.ErrFailed) || !errors.Is(err, errOwn) {
					t.Errorf("update: %v", err)
				}
			}()
			for range 2 {
				err := k.Update(func(int) (bool, error) { t.Error("ran"); return false, nil }, nil)
				if !errors.Is(err, engine.ErrFailed) {
					t.Errorf("later update: %v", err)
				}
			}
			if err := k.View(func(n int) error { return nil }); err != nil {
				t.Errorf("view: %v", err)
			}
			if err := k.Close(); err != nil {
				t.Error(err)
			}
			s.expect(t, 1)
		})
	}
}

// TestWithdraw has Views that come between Withdraw and the end of the commit: they wait and get the new state, or the failure.
func TestWithdraw(t *testing.T) {
	for _, fails := range []bool{false, true} {
		var s states
		k := New(1, s.free)
		got := make(chan error, 3)
		err := k.Update(changed, func() (int, error) {
			k.Withdraw()
			s.expect(t, 1)
			for range cap(got) {
				go func() {
					got <- k.View(func(n int) error {
						if n != 2 {
							return fmt.Errorf("state %d", n)
						}
						return nil
					})
				}()
			}
			if fails {
				return 0, errOwn
			}
			return 2, nil
		})
		if errors.Is(err, engine.ErrFailed) != fails {
			t.Errorf("update: %v", err)
		}
		for range cap(got) {
			if err := <-got; errors.Is(err, engine.ErrFailed) != fails || !fails && err != nil {
				t.Errorf("view: %v", err)
			}
		}
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	}
}
