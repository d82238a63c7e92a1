package cli

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hpcclab/oaas-go/cli/client"
)

// errEnough ends a stream of which enough was seen.
var errEnough = errors.New("enough")

func (a *app) events() *cobra.Command {
	var w client.Watch
	var limit int
	cmd := &cobra.Command{
		Use: "events CLASS [OBJECT]", Short: "Watch the changes of a class or an object",
		Long: `Watch the changes of a class or an object, from now on or from a position, until it is interrupted.

Each line is one commit: the object and its version, its entries that were created (+), updated (~) and deleted (-),
and the method that did it. With -o json each line has a position, with which --from goes on after it. A lost connection
is made again, and nothing is missed that the platform still keeps; changes that it no longer has are told on stderr.`,
		Example: `  oaas events shop.cart
  oaas events shop.cart alice --entry total --entry 'item:*'
  oaas events shop.cart --from earliest --limit 10 -o json
  oaas events shop.cart --method checkout --action error`,
		Args: takes("CLASS", "OBJECT?"), ValidArgsFunction: a.complete(classes, objects),
		RunE: func(cmd *cobra.Command, args []string) error {
			if w.Class = args[0]; len(args) > 1 {
				w.Object = args[1]
			}
			c, err := a.stream()
			if err != nil {
				return err
			}
			defer c.Close()
			seen := 0
			err = c.Events(cmd.Context(), w, func(ev *client.Event) error {
				if err := a.line(ev.Raw, func() { a.showEvent(ev) }); err != nil {
					return err
				}
				if seen++; seen == limit {
					return errEnough
				}
				return nil
			})
			if errors.Is(err, errEnough) {
				return nil
			}
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&w.Partition, "partition", "p", "", "only this partition of the class")
	flags.StringVar(&w.From, "from", "", "begin after this position; earliest is everything that is kept")
	flags.StringSliceVar(&w.Entries, "entry", nil, "only entries of this key, or prefix that ends with *")
	flags.StringSliceVar(&w.Actions, "action", nil, "only create, update, delete, complete or error")
	flags.StringSliceVar(&w.Methods, "method", nil, "only ends of this method, or prefix that ends with *")
	flags.IntVarP(&limit, "limit", "n", 0, "end after so many; 0 is never")
	perRequest(cmd, "partition", "from", "entry", "action", "method", "limit")
	return cmd
}

// showEvent writes an event for people.
func (a *app) showEvent(ev *client.Event) {
	switch g := ev.Gap; {
	case g == nil:
	case g.Remade:
		fmt.Fprintf(a.Err, "… the changes of partition %d were made anew; those from %d on, as they were, are lost\n", ev.Partition, g.From)
		return
	default:
		fmt.Fprintf(a.Err, "… %d changes of partition %d are missing\n", g.Missing, ev.Partition)
		return
	}
	parts := []string{ev.Time.Local().Format(time.TimeOnly), ev.Object, fmt.Sprintf("v%d", ev.Version)}
	signs := map[string]string{"create": "+", "update": "~", "delete": "-"}
	for _, c := range ev.Changes {
		part := signs[c.Action] + c.Key
		if c.Value != nil {
			const most = 60
			part += "=" + show(*c.Value, most)
		}
		parts = append(parts, part)
	}
	if m := ev.Method; m != nil {
		part := m.Name + "()"
		if m.Action == "error" {
			part += " failed: " + m.Code + " " + m.Message
		}
		parts = append(parts, part)
	}
	fmt.Fprintln(a.Out, strings.Join(parts, " "))
}
