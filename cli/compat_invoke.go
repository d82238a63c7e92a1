package cli

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/cli/client"
	"github.com/hpcclab/oaas-go/cli/client/mesh"
)

func (a *app) compatInvoke() *cobra.Command {
	var at compatPlace
	var object, file, id string
	var all, async bool
	cmd := &cobra.Command{
		Use: "invoke PARTITION FUNCTION", Short: "Call a function, or a method of an object", Aliases: []string{"ivk", "i"},
		Example: "  oaas invoke 0 greet -c shop.cart -p payload.json\n  oaas invoke 0 add -c shop.cart -o alice -p -",
		Args:    takes("PARTITION", "FUNCTION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := a.ref(&at, args[0], object, writePartition)
			if err != nil {
				return err
			}
			call := client.Call{Ref: ref, Method: args[1]}
			payload := payloadFlags{file: file}
			if call.Payload, call.ContentType, err = payload.read(a, cmd); err != nil {
				return err
			}
			if async {
				return a.compatAsync(cmd, &at, call, id)
			}
			ctx, g, stop, err := a.grid(cmd.Context(), &at.transportFlags)
			if err != nil {
				return err
			}
			defer stop()
			answer, err := g.Invoke(ctx, call)
			return a.printCompatAnswer(answer, err, all)
		},
	}
	at.add(cmd)
	cmd.Flags().StringVarP(&object, "object-id", "o", "", "call a method of this object")
	cmd.Flags().StringVarP(&file, "payload", "p", "", "file with the payload; - is stdin")
	cmd.Flags().BoolVar(&all, "print-all", false, "print status and headers too")
	cmd.Flags().BoolVar(&async, "async-mode", false, "do not wait for the result, and print the id of the call")
	cmd.Flags().StringVar(&id, "invocation-id", "", "id of the asynchronous call (default: a new one)")
	return cmd
}

// rustStatus names the status of an answer as Rust prints it.
func rustStatus(status int) string {
	switch {
	case status < 300:
		return "Okay"
	case status == http.StatusBadRequest:
		return "InvalidRequest"
	case status == http.StatusBadGateway, status == http.StatusServiceUnavailable, status == http.StatusGatewayTimeout:
		return "SystemError"
	}
	return "AppError"
}

// rustMap gives a map as Rust prints it, in the order of the keys.
func rustMap(m map[string]string) string {
	var all []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		all = append(all, fmt.Sprintf("%q: %q", k, m[k]))
	}
	return "{" + strings.Join(all, ", ") + "}"
}

// printCompatAnswer prints what a call gave. A function that says no is an answer as well: its status does not change the exit code.
func (a *app) printCompatAnswer(answer *client.Answer, err error, all bool) error {
	if f, ok := errors.AsType[*client.Failure](err); ok && f.Code == string(fault.FunctionError) {
		answer, err = &client.Answer{Status: f.Status, ContentType: f.ContentType, Payload: f.Body}, nil
	}
	if err != nil {
		return err
	}
	if answer.Headers == nil && answer.ContentType != "" {
		answer.Headers = map[string]string{"content-type": answer.ContentType}
	}
	status := rustStatus(answer.Status)
	view := callView{Status: answer.Status, ContentType: answer.ContentType, Version: answer.Version, Value: value(answer.Payload), Payload: answer.Payload}
	return a.print(view, func() {
		if all {
			fmt.Fprintf(a.Out, "status: %s\nheaders: %s\n======= payload =======\n", status, rustMap(answer.Headers))
		}
		if answer.Empty {
			fmt.Fprintf(a.Out, "InvocationResponse { payload: None, status: %s, headers: %s, invocation_id: \"\" }\n", status, rustMap(answer.Headers))
			return
		}
		fmt.Fprintln(a.Out, lossy(answer.Payload))
	})
}

func (a *app) compatAsync(cmd *cobra.Command, at *compatPlace, call client.Call, id string) error {
	ctx, g, stop, err := a.grid(cmd.Context(), &at.transportFlags)
	if err != nil {
		return err
	}
	defer stop()
	if z, ok := g.(*mesh.Client); ok {
		id, err = z.InvokeAs(ctx, call, id)
	} else if id != "" {
		return &usageError{cmd, errors.New("--invocation-id needs Zenoh (-z): with HTTP the platform chooses the id")}
	} else {
		id, err = g.InvokeAsync(ctx, call)
	}
	if err != nil {
		return err
	}
	view := acceptedView{id, call.Ref.Class, "pending"}
	return a.print(view, func() { fmt.Fprintln(a.Out, id) })
}

func (a *app) compatResult() *cobra.Command {
	var at compatPlace
	var object string
	var watch, all bool
	cmd := &cobra.Command{
		Use: "result PARTITION FUNCTION INVOCATION", Short: "Show the result of an asynchronous call", Aliases: []string{"res", "r"},
		Example: "  oaas result 0 add V1StGXR8_Z5jdHi6B-myT -c shop.cart -o alice --watch",
		Args:    takes("PARTITION", "FUNCTION", "INVOCATION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := a.ref(&at, args[0], object, writePartition)
			if err != nil {
				return err
			}
			g, err := a.dial(cmd.Context(), &at.transportFlags)
			if err != nil {
				return err
			}
			defer g.Close()
			inv, err := a.await(cmd.Context(), g, client.Call{Ref: ref, Method: args[1]}, args[2], watch)
			if client.IsNotFound(err) || err == nil && inv.Pending() {
				return a.print(resultView{ID: args[2], Method: args[1], Status: "pending"}, func() {
					fmt.Fprintf(a.Out, "Result not yet available for invocation: %s\n", args[2])
				})
			}
			if err != nil {
				return err
			}
			return a.printCompatResult(inv, all)
		},
	}
	at.add(cmd)
	cmd.Flags().StringVarP(&object, "object-id", "o", "", "the call was one of this object's method")
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "wait for the result")
	cmd.Flags().BoolVar(&all, "print-all", false, "print status and headers too")
	return cmd
}

func (a *app) printCompatResult(inv *client.Invocation, all bool) error {
	answer := &client.Answer{Status: http.StatusOK}
	if inv.Result != nil {
		answer.Payload, answer.ContentType = inv.Result.Payload, inv.Result.ContentType
	}
	if inv.Error != nil {
		answer.Status, answer.Payload = max(inv.Error.Status, http.StatusBadRequest), []byte(inv.Error.Message)
	}
	return a.printCompatAnswer(answer, nil, all)
}
