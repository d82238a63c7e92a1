package cli

import (
	"fmt"
	"sync"
	"time"
)

// progressAfter is how long something may take without a word.
const progressAfter = time.Second

// progress tells people at a terminal what is being waited for, once it takes longer than a second. The function that it gives ends it and
// clears the line.
func (a *app) progress(what string) func() {
	if !a.ErrTerminal {
		return func() {}
	}
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		started, shown := time.Now(), false
		ticker := time.NewTicker(progressAfter)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				if shown {
					fmt.Fprint(a.Err, "\r\x1b[K")
				}
				return
			case <-ticker.C:
				shown = true
				fmt.Fprintf(a.Err, "\r\x1b[K%s … %ds", what, int(time.Since(started).Seconds()))
			}
		}
	})
	return sync.OnceFunc(func() {
		close(done)
		running.Wait()
	})
}
