package cli

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/hpcclab/oaas-go/cli/client"
)

func (a *app) trigger() *cobra.Command {
	cmd := group("trigger", "Look at triggers, and at events that could not be delivered", `  oaas trigger list shop.stock
  oaas trigger dead shop.stock
  oaas trigger replay shop.stock --all`, "trg", "t")
	cmd.AddCommand(a.triggerList(), a.triggerDead(), a.triggerMove("replay", "Deliver dead letters again", false),
		a.triggerMove("drop", "Forget dead letters", true))
	return cmd
}

func (a *app) triggerList() *cobra.Command {
	return &cobra.Command{
		Use: "list CLASS", Short: "List the triggers that a class declares", Aliases: []string{"ls"},
		Example: `  oaas trigger list shop.stock
  oaas trigger list shop.stock -o yaml`,
		Args: takes("CLASS"), ValidArgsFunction: a.complete(classes),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, c, stop, err := a.client(cmd.Context())
			if err != nil {
				return err
			}
			defer stop()
			triggers, err := c.Triggers(ctx, args[0])
			if err != nil {
				return err
			}
			view := struct {
				Triggers []client.Trigger `json:"triggers"`
			}{orEmpty(triggers)}
			return a.print(view, func() {
				if len(triggers) == 0 {
					fmt.Fprintf(a.Err, "class %s declares no triggers\n", args[0])
					return
				}
				rows := [][]string{{"NAME", "ON", "OF", "CONDITION", "TARGET"}}
				for _, t := range triggers {
					rows = append(rows, []string{t.Name, t.On, orDash(t.Entry + t.Method), orDash(t.Condition), t.Target.String()})
				}
				a.table(rows)
			})
		},
	}
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func (a *app) triggerDead() *cobra.Command {
	var partition string
	var limit int
	var after uint64
	cmd := &cobra.Command{
		Use: "dead CLASS", Short: "List events that were given up, with the reason",
		Example: `  oaas trigger dead shop.stock
  oaas trigger dead shop.stock -o json`,
		Args: takes("CLASS"), ValidArgsFunction: a.complete(classes),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, c, stop, err := a.client(cmd.Context())
			if err != nil {
				return err
			}
			defer stop()
			letters, err := c.DeadLetters(ctx, args[0], partition, after, limit)
			if err != nil {
				return err
			}
			view := struct {
				Letters []client.DeadLetter `json:"dead_letters"`
			}{orEmpty(letters)}
			return a.print(view, func() { a.printLetters(letters) })
		},
	}
	partitionFlag(cmd, &partition)
	cmd.Flag("partition").Usage = "partition of the class; _ is all of them"
	cmd.Flags().IntVarP(&limit, "limit", "n", 100, "how many, at most")
	cmd.Flags().Uint64Var(&after, "after", 0, "only those with a higher number, in one partition")
	perRequest(cmd, "after")
	return cmd
}

func (a *app) printLetters(letters []client.DeadLetter) {
	if len(letters) == 0 {
		fmt.Fprintln(a.Err, "no dead letters")
		return
	}
	rows := [][]string{{"SEQ", "PARTITION", "EVENT", "OBJECT", "TARGET", "DIED", "ATTEMPTS", "REASON"}}
	for _, l := range letters {
		event := l.Type
		if of := l.Key + l.Method; of != "" {
			event += " " + of
		}
		rows = append(rows, []string{
			strconv.FormatUint(l.Seq, 10), strconv.FormatUint(uint64(l.Partition), 10), event, l.Object, l.Target.String(),
			l.Died.Local().Format(time.DateTime), strconv.FormatUint(uint64(l.Attempts), 10), show([]byte(l.Reason), 2*valueWidth),
		})
	}
	a.table(rows)
}

func (a *app) triggerMove(verb, short string, drop bool) *cobra.Command {
	var partition string
	var all bool
	cmd := &cobra.Command{
		Use: verb + " CLASS [SEQ...]", Short: short,
		Long: short + ": those of the given numbers (the column SEQ of \"oaas trigger dead\"), or --all.\nNumbers are those of one partition; of 0, if --partition does not say otherwise.",
		Example: fmt.Sprintf(`  oaas trigger %[1]s shop.stock 3 4
  oaas trigger %[1]s shop.stock --all`, verb),
		Args: takes("CLASS", "SEQ..."), ValidArgsFunction: a.complete(classes),
		RunE: func(cmd *cobra.Command, args []string) error {
			seqs, err := sequenceNumbers(cmd, args[1:])
			if err != nil {
				return err
			}
			if all == (len(seqs) > 0) {
				return &usageError{cmd, errors.New("give either numbers or --all")}
			}
			if len(seqs) > 0 && partition == client.AnyPartition {
				partition = "0"
			}
			ctx, c, stop, err := a.client(cmd.Context())
			if err != nil {
				return err
			}
			defer stop()
			count, err := c.MoveDeadLetters(ctx, args[0], partition, seqs, drop)
			if err != nil {
				return err
			}
			view := struct {
				Class string `json:"class"`
				Count int    `json:"count"`
			}{args[0], count}
			return a.print(view, func() {
				if drop {
					fmt.Fprintf(a.Out, "dropped %s\n", plural(count, "dead letter"))
					return
				}
				fmt.Fprintf(a.Out, "%s on the way again\n", plural(count, "dead letter"))
			})
		},
	}
	partitionFlag(cmd, &partition)
	cmd.Flag("partition").Usage = "partition of the class; _ is all of them"
	cmd.Flags().BoolVar(&all, "all", false, "all dead letters")
	perRequest(cmd, "all")
	return cmd
}

func sequenceNumbers(cmd *cobra.Command, args []string) ([]uint64, error) {
	var seqs []uint64
	for _, text := range args {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return nil, &usageError{cmd, fmt.Errorf("%q is not the number of a dead letter", text)}
		}
		seqs = append(seqs, n)
	}
	return seqs, nil
}
