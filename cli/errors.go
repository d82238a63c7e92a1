package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/cli/client"
	"github.com/hpcclab/oaas-go/runtime/builder"
)

// usageError is a command line that is wrong.
type usageError struct {
	cmd *cobra.Command
	err error
}

func (u *usageError) Error() string { return u.err.Error() }
func (u *usageError) Unwrap() error { return u.err }

// hinted is an error with the next thing to do.
type hinted struct {
	err  error
	hint string
}

func (h *hinted) Error() string { return h.err.Error() }
func (h *hinted) Unwrap() error { return h.err }

// exitCode prints an error with its hint, and gives the exit code.
func (a *app) exitCode(ctx context.Context, cmd *cobra.Command, err error) int {
	if err == nil {
		return exitOK
	}
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(ctx))) {
		fmt.Fprintln(a.Err, "interrupted")
		return exitInterrupted
	}
	if usage, ok := errors.AsType[*usageError](err); ok {
		a.printError(err)
		fmt.Fprintf(a.Err, "usage: %s\n", usageLine(usage.cmd))
		fmt.Fprintf(a.Err, "%s %s --help\n", a.paint(a.ErrTerminal, colorCyan, "hint: "), usage.cmd.CommandPath())
		return exitUsage
	}
	if !a.compat || !a.compatError(cmd, err) {
		a.printError(err)
	}
	if hint := a.hint(cmd, err); hint != "" {
		fmt.Fprintf(a.Err, "%s %s\n", a.paint(a.ErrTerminal, colorCyan, "hint: "), hint)
	}
	return exitFailed
}

func usageLine(cmd *cobra.Command) string {
	if cmd.HasSubCommands() {
		return cmd.CommandPath() + " COMMAND [flags]"
	}
	return cmd.UseLine()
}

func (a *app) printError(err error) {
	text := strings.TrimRight(err.Error(), "\n")
	if f, ok := errors.AsType[*client.Failure](err); ok && f.Code != "" && !strings.Contains(text, "\n") {
		text += " (" + f.Code + ")"
	}
	fmt.Fprintf(a.Err, "%s %s\n", a.paint(a.ErrTerminal, colorRed, "error:"), text)
}

// orHint adds what to do when something is not there.
func orHint(err error, hint string) error {
	if client.IsNotFound(err) {
		return &hinted{err, hint}
	}
	return err
}

// hint says what to do next.
func (a *app) hint(cmd *cobra.Command, err error) string {
	if _, ok := errors.AsType[*client.Failure](err); ok && a.compat {
		return "" // stderr is as that of OaaS-RS, and the hints speak our grammar
	}
	if h, ok := errors.AsType[*hinted](err); ok {
		return h.hint
	}
	if _, ok := errors.AsType[*client.Unreachable](err); ok {
		return a.unreachableHint()
	}
	if m, ok := errors.AsType[*builder.MissingTool](err); ok {
		return m.Install
	}
	if f, ok := errors.AsType[*client.Failure](err); ok {
		return a.failureHint(f)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "wait longer with --timeout, or see what the function does with: oaas func logs NAME"
	}
	return ""
}

// unreachableHint says what to do when nobody is there.
func (a *app) unreachableHint() string {
	switch {
	case strings.HasPrefix(a.at.Origin, "context "):
		return fmt.Sprintf("the address is that of %s; name another one with --url, or: %s context set", a.at.Origin, a.name())
	case a.at.Origin == "--grpc-url", a.at.Origin == "--zenoh-peer":
		return "is the address right, and does the platform run?"
	}
	return "start it with: oaas dev    (or name another one with --url)"
}

// hints say what to do about the platform's errors.
var hints = map[fault.Code]string{
	fault.NoClass:             "list what is deployed with: oaas func list    or deploy with: oaas func deploy DIR",
	fault.NoObject:            "list the objects with: oaas object list CLASS    or make it with: oaas object set CLASS ID KEY=VALUE",
	fault.NoEntry:             "see the object's entries with: oaas object get CLASS ID",
	fault.NoFunction:          "list the methods with: oaas func list",
	fault.NoInvocation:        "results are kept for a day; the id is the one that oaas invoke --async printed",
	fault.InvalidObjectID:     "allowed are 1 to 160 of a-z 0-9 . _ : -",
	fault.VersionMismatch:     "read the object again, and try with the version that it has now",
	fault.Conflict:            "nothing was changed; try again",
	fault.Busy:                "too many calls are waiting for this object or function; try again in a moment",
	fault.FunctionError:       "see what the function wrote with: oaas func logs NAME",
	fault.FunctionUnavailable: "see why with: oaas func logs NAME",
	fault.BadReply:            "the function's answer breaks the contract; see docs/function-contract.md and: oaas func logs NAME",
	fault.DeadlineExceeded:    "the method's timeout: is in the package file; see what it does with: oaas func logs NAME",
	fault.LoopDetected:        "methods call each other in a circle; the path is in the message",
	fault.Unavailable:         "the platform is starting or stopping; try again in a moment",
}

func (a *app) failureHint(f *client.Failure) string {
	if hint, ok := hints[fault.Code(f.Code)]; ok {
		return hint
	}
	if f.Code == "" && f.Status == 404 {
		return fmt.Sprintf("is %s the address of an oaas platform? set it with --url", a.at.Value)
	}
	return ""
}
