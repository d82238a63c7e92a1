package cli

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/cli/client"
	"github.com/hpcclab/oaas-go/cli/client/rpc"
)

// The sizes of partition numbers in OaaS-RS, in bits: of writes and calls, and of reads.
const (
	writePartition = 16
	readPartition  = 32
)

func isNumber(text string, bits int) bool {
	_, err := strconv.ParseUint(text, 10, bits)
	return err == nil
}

func (a *app) compatObject() *cobra.Command {
	cmd := group("object", "Read and write objects", "  oaas object get 0 alice -c shop.cart", "obj", "o")
	cmd.AddCommand(a.compatSet(), a.compatGet(), a.compatKeys(), a.compatList(), a.compatDelete(), a.compatBatch())
	return cmd
}

// overRPC reports whether a transport is gRPC, with which OaaS-RS treats what is not there as an error.
func overRPC(g grid) bool {
	_, is := g.(*rpc.Client)
	return is
}

func (a *app) compatSet() *cobra.Command {
	var at compatPlace
	var bytesValues, strValues []string
	cmd := &cobra.Command{
		Use: "set PARTITION ID", Short: "Set entries of an object", Aliases: []string{"s", "ss", "setstr"},
		Example: "  oaas object set 0 alice -c shop.cart -s total=12", Args: takes("PARTITION", "ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := a.ref(&at, args[0], args[1], writePartition)
			if err != nil {
				return err
			}
			ctx, g, stop, err := a.grid(cmd.Context(), &at.transportFlags)
			if err != nil {
				return err
			}
			defer stop()
			set := a.compatPairs(append(bytesValues, strValues...))
			label := "set_object entries"
			if overRPC(g) {
				label = "entries to set"
			}
			fmt.Fprintf(a.say(), "DEBUG: %s: %s\n", label, debugList(slices.Sorted(maps.Keys(set))))
			version, err := g.Write(ctx, ref, client.Change{Set: set})
			if err != nil {
				return err
			}
			return a.print(writtenView{ref.Class, ref.ID, version}, func() {
				if !overRPC(g) {
					fmt.Fprintln(a.Out, "✓ Object set successfully")
				}
			})
		},
	}
	at.add(cmd)
	cmd.Flags().StringArrayVarP(&bytesValues, "byte-value", "b", nil, "entry, as KEY=VALUE; may be repeated")
	cmd.Flags().StringArrayVarP(&strValues, "str", "s", nil, "entry, as KEY=VALUE; may be repeated")
	return cmd
}

// compatPairs reads KEY=VALUE; what is none is told and left out, as in OaaS-RS.
func (a *app) compatPairs(pairs []string) map[string]client.Value {
	set := map[string]client.Value{}
	for _, pair := range pairs {
		key, value, found := strings.Cut(pair, "=")
		if !found {
			fmt.Fprintf(a.Err, "%q is not KEY=VALUE; it is left out\n", pair)
			continue
		}
		set[key] = client.Value{Data: []byte(value)}
	}
	return set
}

// debugList gives texts as Rust prints a list of them.
func debugList(texts []string) string {
	quoted := make([]string, len(texts))
	for i, t := range texts {
		quoted[i] = strconv.Quote(t)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// lossy gives bytes as text, with a replacement for what is none.
func lossy(data []byte) string { return strings.ToValidUTF8(string(data), "\ufffd") }

// compatObjectOf reads an object. One that is not there is nil without an error where OaaS-RS has exit code 0 for it.
func (a *app) compatObjectOf(cmd *cobra.Command, at *compatPlace, args []string) (*client.Object, grid, error) {
	ref, err := a.ref(at, args[0], args[1], readPartition)
	if err != nil {
		return nil, nil, err
	}
	ctx, g, stop, err := a.grid(cmd.Context(), &at.transportFlags)
	if err != nil {
		return nil, nil, err
	}
	defer stop()
	obj, err := g.Object(ctx, ref)
	if f, ok := errors.AsType[*client.Failure](err); ok && f.Code == string(fault.NoObject) && !overRPC(g) {
		return nil, g, nil
	}
	return obj, g, err
}

func (a *app) compatGet() *cobra.Command {
	var at compatPlace
	var key string
	cmd := &cobra.Command{
		Use: "get PARTITION ID", Short: "Show an object, or the bytes of one entry", Aliases: []string{"g", "gs", "getstr", "gsk", "getstrkey"},
		Example: "  oaas object get 0 alice -c shop.cart\n  oaas object get 0 alice -k total", Args: takes("PARTITION", "ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			obj, g, err := a.compatObjectOf(cmd, &at, args)
			switch {
			case err != nil:
				return err
			case obj == nil:
				return a.print(nil, func() { fmt.Fprintln(a.Out, "Object not found") })
			case key == "":
				return a.printCompatObject(obj)
			}
			value, found := obj.Entries[key]
			switch {
			case found:
				_, err = a.Out.Write(value.Data)
				return err
			case overRPC(g):
				return &client.Failure{Status: 404, Code: string(fault.NoEntry), Message: fmt.Sprintf("object %s has no entry %q", obj.ID, key)}
			}
			fmt.Fprintf(a.Out, "Key '%s' not found\n", key)
			return nil
		},
	}
	at.add(cmd)
	cmd.Flags().StringVarP(&key, "key", "k", "", "write the bytes of this entry, and nothing else")
	return cmd
}

func (a *app) printCompatObject(obj *client.Object) error {
	return a.print(viewOf(obj), func() {
		fmt.Fprintf(a.Out, "{\n  meta: {cls_id:%q, partition_id:\"%d\", object_id:%q},\n", obj.Class, obj.Partition, obj.ID)
		for _, key := range slices.Sorted(maps.Keys(obj.Entries)) {
			fmt.Fprintf(a.Out, "  %s: %s\n", key, lossy(obj.Entries[key].Data))
		}
		fmt.Fprintln(a.Out, "}")
	})
}

func (a *app) compatKeys() *cobra.Command {
	var at compatPlace
	var values bool
	cmd := &cobra.Command{
		Use: "list-str PARTITION ID", Short: "List the entries of an object", Aliases: []string{"lss", "liststr"},
		Example: "  oaas object list-str 0 alice --with-values", Args: takes("PARTITION", "ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			obj, _, err := a.compatObjectOf(cmd, &at, args)
			switch {
			case err != nil:
				return err
			case obj == nil:
				return a.print(nil, func() { fmt.Fprintln(a.Out, "NONE") })
			}
			return a.print(viewOf(obj), func() {
				for _, key := range slices.Sorted(maps.Keys(obj.Entries)) {
					if values {
						fmt.Fprintf(a.Out, "%s: %s\n", key, lossy(obj.Entries[key].Data))
						continue
					}
					fmt.Fprintln(a.Out, key)
				}
			})
		},
	}
	at.add(cmd)
	cmd.Flags().BoolVar(&values, "with-values", false, "show the values too")
	return cmd
}

// compatListing is what `object list --json` of OaaS-RS prints.
type compatListing struct {
	Count   int                `json:"count"`
	Next    *string            `json:"next_cursor"`
	Objects []compatListingRow `json:"objects"`
}

type compatListingRow struct {
	Entries uint64 `json:"entry_count"`
	ID      string `json:"object_id"`
	Version uint64 `json:"version"`
}

func (a *app) compatList() *cobra.Command {
	var at compatPlace
	var page client.Page
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list PARTITION", Short: "List the objects of a partition", Aliases: []string{"l", "ls"},
		Example: "  oaas object list 0 -f al -n 10 --json", Args: takes("PARTITION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := a.ref(&at, args[0], "", readPartition)
			if err != nil {
				return err
			}
			ctx, g, stop, err := a.grid(cmd.Context(), &at.transportFlags)
			if err != nil {
				return err
			}
			defer stop()
			rows, next, err := g.Objects(ctx, ref.Class, ref.Partition, page)
			if err != nil {
				return err
			}
			if asJSON {
				a.output = jsonFormat
			}
			return a.printCompatList(rows, next)
		},
	}
	at.add(cmd)
	cmd.Flags().StringVarP(&page.Prefix, "prefix", "f", "", "only those whose id begins so")
	cmd.Flags().IntVarP(&page.Limit, "limit", "n", 100, "how many, at most")
	cmd.Flags().StringVar(&page.Cursor, "cursor", "", "go on where the listing before ended")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (a *app) printCompatList(rows []client.ObjectRow, next string) error {
	view := compatListing{Count: len(rows), Objects: []compatListingRow{}}
	if next != "" {
		view.Next = &next
	}
	for _, r := range rows {
		view.Objects = append(view.Objects, compatListingRow{r.Entries, r.ID, r.Version})
	}
	return a.print(view, func() {
		for _, r := range rows {
			fmt.Fprintf(a.Out, "%s  v%d  entries=%d\n", r.ID, r.Version, r.Entries)
		}
		fmt.Fprintf(a.Out, "--- %d object(s) ---\n", len(rows))
		if next != "" {
			fmt.Fprintf(a.Out, "Next cursor: %s\n", next)
		}
	})
}

func (a *app) compatDelete() *cobra.Command {
	var at compatPlace
	cmd := &cobra.Command{
		Use: "delete PARTITION ID [KEY...]", Short: "Delete an object, or some of its entries", Aliases: []string{"d", "rm"},
		Example: "  oaas object delete 0 alice -c shop.cart", Args: takes("PARTITION", "ID", "KEY..."),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := a.ref(&at, args[0], args[1], writePartition)
			if err != nil {
				return err
			}
			return a.deleteObject(cmd, &at.transportFlags, ref, args[2:], nil)
		},
	}
	at.add(cmd)
	return cmd
}

func (a *app) compatBatch() *cobra.Command {
	var at compatPlace
	var b batchFlags
	cmd := &cobra.Command{
		Use: "batch PARTITION ID", Short: "Set and delete entries of an object, all or nothing",
		Example: "  oaas object batch 0 alice --set total=13 --delete note --if-version 4", Args: takes("PARTITION", "ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := a.ref(&at, args[0], args[1], writePartition)
			if err != nil {
				return err
			}
			return a.batch(cmd, &at.transportFlags, ref, &b)
		},
	}
	at.add(cmd)
	b.add(cmd)
	return cmd
}
