package cli

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/hpcclab/oaas-go/cli/client"
)

// entryRow is an entry of a listing as -o json gives it.
type entryRow struct {
	Key string `json:"key"`
	// Version is absent where the transport does not tell it: gRPC and Zenoh.
	Version uint64 `json:"version,omitempty"`
	entryView
}

func (a *app) objectEntries() *cobra.Command {
	var partition string
	var page pageFlags
	var over transportFlags
	cmd := &cobra.Command{
		Use: "entries CLASS ID", Short: "List the entries of an object, page by page", Aliases: []string{"e"},
		Example: `  oaas object entries shop.cart alice
  oaas object entries shop.cart alice --prefix item: --all`,
		Args: takes("CLASS", "ID"), ValidArgsFunction: a.complete(classes, objects),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, c, stop, err := a.grid(cmd.Context(), &over)
			if err != nil {
				return err
			}
			defer stop()
			done := a.progress("listing")
			defer done()
			rows := []entryRow{}
			ref := client.Ref{Class: args[0], Partition: partition, ID: args[1]}
			next, version := page.Cursor, uint64(0)
			for {
				page.Cursor = next
				var list []client.EntryRow
				if list, version, next, err = c.Entries(ctx, ref, page.Page); err != nil {
					return err
				}
				for _, e := range list {
					rows = append(rows, entryRow{e.Key, e.Version, entryView{value(e.Data), e.Data}})
				}
				if next == "" || !page.all {
					break
				}
			}
			done()
			return a.printEntries(rows, version, next)
		},
	}
	partitionFlag(cmd, &partition)
	over.add(cmd)
	page.add(cmd)
	return cmd
}

// valueWidth is where a value in a table is cut.
const valueWidth = 80

func (a *app) printEntries(rows []entryRow, version uint64, next string) error {
	view := struct {
		Version uint64     `json:"version,omitempty"`
		Entries []entryRow `json:"entries"`
		Next    string     `json:"next_cursor,omitempty"`
	}{version, rows, next}
	return a.print(view, func() {
		if len(rows) == 0 {
			fmt.Fprintln(a.Err, "no entries")
			return
		}
		lines := [][]string{{"KEY", "VERSION", "VALUE"}}
		for _, e := range rows {
			version := "-"
			if e.Version > 0 {
				version = strconv.FormatUint(e.Version, 10)
			}
			lines = append(lines, []string{e.Key, version, show(e.Data, valueWidth)})
		}
		a.table(lines)
		a.more(next)
	})
}

func (a *app) objectDelete() *cobra.Command {
	var partition string
	var version uint64
	var over transportFlags
	cmd := &cobra.Command{
		Use: "delete CLASS ID [KEY...]", Short: "Delete an object, or some of its entries", Aliases: []string{"rm"},
		Example: `  oaas object delete shop.cart alice
  oaas object delete shop.cart alice note photo    # only these entries
  oaas object delete shop.cart alice --if-version 7`,
		Args: takes("CLASS", "ID", "KEY..."), ValidArgsFunction: a.complete(classes, objects),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref := client.Ref{Class: args[0], Partition: partition, ID: args[1]}
			var expected *uint64
			if cmd.Flags().Changed("if-version") {
				expected = &version
			}
			return a.deleteObject(cmd, &over, ref, args[2:], expected)
		},
	}
	partitionFlag(cmd, &partition)
	over.add(cmd)
	cmd.Flags().Uint64Var(&version, "if-version", 0, "only if the object has this version")
	perRequest(cmd, "if-version")
	return cmd
}

// deleteObject deletes an object, or only the entries of the keys.
func (a *app) deleteObject(cmd *cobra.Command, over *transportFlags, ref client.Ref, keys []string, version *uint64) error {
	if len(keys) > 0 {
		return a.write(cmd, over, ref, client.Change{Delete: keys, ExpectedVersion: version}, "deleted")
	}
	ctx, c, stop, err := a.grid(cmd.Context(), over)
	if err != nil {
		return err
	}
	defer stop()
	defer a.progress("deleting")()
	if err := c.Delete(ctx, ref, version); err != nil {
		return err
	}
	view := struct {
		Class   string `json:"class"`
		ID      string `json:"id"`
		Deleted bool   `json:"deleted"`
	}{ref.Class, ref.ID, true}
	return a.print(view, func() { fmt.Fprintf(a.Out, "deleted %s/%s\n", ref.Class, ref.ID) })
}
