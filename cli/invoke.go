package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/cli/client"
)

// payloadFlags say what a call carries.
type payloadFlags struct {
	data, file, contentType string
}

func (p *payloadFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&p.data, "data", "d", "", "payload; sent as application/json if it is JSON")
	cmd.Flags().StringVarP(&p.file, "file", "f", "", "file with the payload; - is stdin")
	cmd.Flags().StringVar(&p.contentType, "content-type", "", "content type of the payload (default: by what it is)")
	perRequest(cmd, "data", "file", "content-type")
}

// read gives the payload and its content type. A lone "-" among the arguments means stdin, as --file - does.
func (p *payloadFlags) read(a *app, cmd *cobra.Command) (data []byte, contentType string, err error) {
	switch {
	case p.file != "" && p.data != "":
		return nil, "", &usageError{cmd, errors.New("the payload is given twice: --data and --file")}
	case p.file != "":
		if data, err = a.readFile(p.file); err != nil {
			return nil, "", err
		}
	case p.data != "":
		data = []byte(p.data)
	}
	if p.contentType != "" {
		return data, p.contentType, nil
	}
	switch {
	case len(data) == 0:
		return nil, "", nil
	case json.Valid(data):
		return data, "application/json", nil
	case utf8.Valid(data):
		return data, "text/plain; charset=utf-8", nil
	}
	return data, "application/octet-stream", nil
}

func (a *app) invoke() *cobra.Command {
	var partition, key string
	var async bool
	var payload payloadFlags
	var over transportFlags
	cmd := &cobra.Command{
		Use: "invoke CLASS [OBJECT] METHOD [-]", Short: "Call a method of an object, or a stateless function of a class", Aliases: []string{"i", "ivk"},
		Long: `Call a method of an object, or a stateless function of a class.

With three names, METHOD is called on OBJECT, which need not be there before. With two names, METHOD is a
stateless function of the class (in the package file: stateless: true), which is called without an object.

The payload comes from --data, --file or, with a lone "-" at the end, from stdin. The result goes to stdout as it is. With --async the
platform keeps the call and runs it by itself; the id that is printed is for "oaas result".`,
		Example: `  oaas invoke shop.cart alice add --data '{"item":"apple","count":2}'
  oaas invoke shop.cart checkprice --data '{"item":"apple"}'   # stateless: no object
  echo '{"item":"pear"}' | oaas invoke shop.cart alice add -
  oaas invoke shop.cart alice add --async --data '{"item":"fig"}'
  oaas invoke shop.cart alice pay --key order-17               # a repeated call is done once`,
		Args: takes("CLASS", "OBJECT", "METHOD?", "-?"), ValidArgsFunction: a.complete(classes, objectsOrStateless, methods),
		RunE: func(cmd *cobra.Command, args []string) error {
			args, err := payload.stdin(cmd, args)
			if err != nil {
				return err
			}
			call := client.Call{Ref: client.Ref{Class: args[0], Partition: partition}, Method: args[len(args)-1], Key: key}
			if len(args) == 3 {
				call.Ref.ID = args[1]
			}
			if call.Payload, call.ContentType, err = payload.read(a, cmd); err != nil {
				return err
			}
			if async {
				return a.runAsync(cmd, &over, call)
			}
			return a.runCall(cmd, &over, call)
		},
	}
	partitionFlag(cmd, &partition)
	over.add(cmd)
	payload.add(cmd)
	cmd.Flags().StringVar(&key, "key", "", "idempotency key: a call that is repeated with it gives the stored result")
	cmd.Flags().BoolVar(&async, "async", false, "have the platform keep and run the call, and print its id")
	perRequest(cmd, "key", "async")
	return cmd
}

// stdin takes the lone "-" from the arguments.
func (p *payloadFlags) stdin(cmd *cobra.Command, args []string) ([]string, error) {
	if last := len(args) - 1; args[last] == "-" {
		if p.data != "" || p.file != "" {
			return nil, &usageError{cmd, errors.New("the payload is given twice: - and --data or --file")}
		}
		p.file, args = "-", args[:last]
	}
	switch {
	case len(args) < 2:
		return nil, &usageError{cmd, errors.New("METHOD is missing")}
	case len(args) > 3:
		return nil, &usageError{cmd, fmt.Errorf("%q is one argument too many", args[3])}
	}
	return args, nil
}

// callView is the result of a call as -o json gives it.
type callView struct {
	Status      int    `json:"status"`
	ContentType string `json:"content_type,omitempty"`
	Version     uint64 `json:"version,omitempty"`
	Millis      int64  `json:"ms"`
	// Value is what the payload says: JSON as it is, else text; absent for other bytes.
	Value   any    `json:"value,omitempty"`
	Payload []byte `json:"payload"`
}

func (a *app) runCall(cmd *cobra.Command, over *transportFlags, call client.Call) error {
	ctx, c, stop, err := a.grid(cmd.Context(), over)
	if err != nil {
		return err
	}
	defer stop()
	done := a.progress("waiting for " + call.Method)
	defer done()
	started := time.Now()
	answer, err := c.Invoke(ctx, call)
	done()
	if f, ok := errors.AsType[*client.Failure](err); ok && call.Ref.ID == "" && f.Code == string(fault.InvalidArgument) {
		return &hinted{err, fmt.Sprintf("oaas invoke %s OBJECT %s", call.Ref.Class, call.Method)}
	}
	if err != nil {
		return err
	}
	view := callView{
		Status: answer.Status, ContentType: answer.ContentType, Version: answer.Version, Millis: time.Since(started).Milliseconds(),
		Value: value(answer.Payload), Payload: answer.Payload,
	}
	return a.print(view, func() { a.raw(answer.Payload) })
}

// raw writes a payload as it is; at a terminal, with a line end.
func (a *app) raw(payload []byte) {
	_, err := a.Out.Write(payload)
	if err == nil && a.OutTerminal && len(payload) > 0 && payload[len(payload)-1] != '\n' {
		fmt.Fprintln(a.Out)
	}
}

// acceptedView is an asynchronous call that was begun as -o json gives it.
type acceptedView struct {
	ID     string `json:"invocation_id"`
	Class  string `json:"class"`
	Status string `json:"status"`
}

func (a *app) runAsync(cmd *cobra.Command, over *transportFlags, call client.Call) error {
	ctx, c, stop, err := a.grid(cmd.Context(), over)
	if err != nil {
		return err
	}
	defer stop()
	id, err := c.InvokeAsync(ctx, call)
	if err != nil {
		return err
	}
	view := acceptedView{id, call.Ref.Class, "pending"}
	return a.print(view, func() {
		fmt.Fprintln(a.Out, id)
		if a.ErrTerminal {
			fmt.Fprintf(a.Err, "wait for it with: oaas result %s %s --watch\n", call.Ref.Class, id)
		}
	})
}
