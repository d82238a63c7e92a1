package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/hpcclab/oaas-go/cli/client"
)

// waitStep is how long the platform is asked to hold one request that waits for a result.
const waitStep = 20 * time.Second

func (a *app) result() *cobra.Command {
	var partition string
	var watch, cancel, raw bool
	cmd := &cobra.Command{
		Use: "result CLASS ID", Short: "Show, await or cancel an asynchronous call", Aliases: []string{"res", "r"},
		Long: `Show, await or cancel an asynchronous call, by the id that "oaas invoke --async" printed.

The exit code is 0 for a call that is pending or succeeded, and 1 for one that failed or was cancelled.`,
		Example: `  oaas result shop.cart 0198c2…
  oaas result shop.cart 0198c2… --watch         # wait for it
  oaas result shop.cart 0198c2… --watch --raw   # only its payload
  oaas result shop.cart 0198c2… --cancel`,
		Args: takes("CLASS", "ID"), ValidArgsFunction: a.complete(classes),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.stream()
			if err != nil {
				return err
			}
			defer c.Close()
			at := client.Ref{Class: args[0], Partition: partition}
			if cancel {
				if err := c.Cancel(cmd.Context(), at, args[1]); err != nil {
					return err
				}
			}
			inv, err := a.await(cmd.Context(), c, client.Call{Ref: at}, args[1], watch)
			if err != nil {
				return err
			}
			return a.printResult(inv, raw, cancel)
		},
	}
	partitionFlag(cmd, &partition)
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "wait until the call has ended")
	cmd.Flags().BoolVar(&cancel, "cancel", false, "end the call without effect, if it has not ended")
	cmd.Flags().BoolVar(&raw, "raw", false, "print only the payload")
	perRequest(cmd, "watch", "cancel", "raw")
	return cmd
}

// await gives the call; with watch, once it has ended.
func (a *app) await(ctx context.Context, c caller, call client.Call, id string, watch bool) (*client.Invocation, error) {
	defer a.progress("waiting for the result")()
	wait := time.Duration(0)
	if watch {
		wait = waitStep
	}
	for {
		asked := time.Now()
		inv, err := c.Result(ctx, call, id, wait)
		if err != nil || !watch || !inv.Pending() {
			return inv, err
		}
		// A platform that answers at once instead of waiting is not to be asked in a tight loop.
		pause := time.NewTimer(max(0, time.Second-time.Since(asked)))
		select {
		case <-ctx.Done():
			pause.Stop()
			return nil, ctx.Err()
		case <-pause.C:
		}
	}
}

// resultView is an asynchronous call as -o json gives it.
type resultView struct {
	ID          string         `json:"id"`
	Object      string         `json:"object,omitempty"`
	Method      string         `json:"method"`
	Status      string         `json:"status"`
	Created     time.Time      `json:"created,omitzero"`
	Finished    time.Time      `json:"finished,omitzero"`
	ContentType string         `json:"content_type,omitempty"`
	Value       any            `json:"value,omitempty"`
	Payload     []byte         `json:"payload,omitempty"`
	Error       *client.Reason `json:"error,omitempty"`
}

// printResult shows a call; the error is that of a call that ended badly.
func (a *app) printResult(inv *client.Invocation, raw, cancelled bool) error {
	view := resultView{
		ID: inv.ID, Object: inv.Object, Method: inv.Method, Status: inv.Status, Created: inv.Created, Finished: inv.Finished, Error: inv.Error,
	}
	if inv.Result != nil {
		view.ContentType, view.Payload, view.Value = inv.Result.ContentType, inv.Result.Payload, value(inv.Result.Payload)
	}
	err := a.print(view, func() {
		if raw {
			a.raw(view.Payload)
			return
		}
		rows := [][]string{{"ID", inv.ID}, {"METHOD", inv.Method}, {"STATUS", inv.Status}}
		if inv.Object != "" {
			rows = append(rows, []string{"OBJECT", inv.Object})
		}
		if !inv.Finished.IsZero() {
			rows = append(rows, []string{"TOOK", inv.Finished.Sub(inv.Created).Round(time.Millisecond).String()})
		}
		if inv.Result != nil {
			rows = append(rows, []string{"RESULT", show(view.Payload, 0)})
		}
		a.table(rows)
	})
	switch {
	case err != nil:
		return err
	case inv.Error != nil:
		return &client.Failure{Status: inv.Error.Status, Code: inv.Error.Code, Message: inv.Error.Message}
	case inv.Status == "cancelled" && !cancelled:
		return fmt.Errorf("call %s was cancelled", inv.ID)
	}
	return nil
}
