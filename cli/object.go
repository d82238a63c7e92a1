package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hpcclab/oaas-go/cli/client"
)

func (a *app) object() *cobra.Command {
	cmd := group("object", "Read and write objects", `  oaas object list shop.cart
  oaas object get shop.cart alice
  oaas object set shop.cart alice total=12 note=hello
  oaas object delete shop.cart alice`, "obj", "o")
	cmd.AddCommand(a.objectGet(), a.objectSet(), a.objectList(), a.objectEntries(), a.objectDelete(), a.objectBatch(), a.objectLoad())
	return cmd
}

// partitionFlag adds --partition.
func partitionFlag(cmd *cobra.Command, into *string) {
	cmd.Flags().StringVarP(into, "partition", "p", client.AnyPartition, "partition of the class; _ is the one that the object's id belongs to")
}

// entryView is an entry as -o json gives it.
type entryView struct {
	// Value is what the bytes say: JSON as it is, else text; absent for other bytes.
	Value any    `json:"value,omitempty"`
	Data  []byte `json:"data"`
}

// objectView is an object as -o json gives it.
type objectView struct {
	Class     string `json:"class"`
	Partition uint32 `json:"partition"`
	ID        string `json:"id"`
	// Version is absent where the transport does not tell it: gRPC and Zenoh.
	Version uint64               `json:"version,omitempty"`
	Entries map[string]entryView `json:"entries"`
}

func (a *app) objectGet() *cobra.Command {
	var partition, key string
	var over transportFlags
	cmd := &cobra.Command{
		Use: "get CLASS ID", Short: "Show an object, or the bytes of one entry", Aliases: []string{"g"},
		Example: `  oaas object get shop.cart alice
  oaas object get shop.cart alice -o json
  oaas object get shop.cart alice --key photo > photo.jpg`,
		Args: takes("CLASS", "ID"), ValidArgsFunction: a.complete(classes, objects),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, c, stop, err := a.grid(cmd.Context(), &over)
			if err != nil {
				return err
			}
			defer stop()
			defer a.progress("reading")()
			ref := client.Ref{Class: args[0], Partition: partition, ID: args[1]}
			if key != "" {
				data, err := c.Entry(ctx, ref, key)
				if err != nil {
					return err
				}
				_, err = a.Out.Write(data)
				return err
			}
			obj, err := c.Object(ctx, ref)
			if err != nil {
				return err
			}
			return a.printObject(obj)
		},
	}
	partitionFlag(cmd, &partition)
	over.add(cmd)
	cmd.Flags().StringVarP(&key, "key", "k", "", "write the bytes of this entry, and nothing else")
	perRequest(cmd, "key")
	return cmd
}

func viewOf(obj *client.Object) objectView {
	view := objectView{Class: obj.Class, Partition: obj.Partition, ID: obj.ID, Version: obj.Version, Entries: map[string]entryView{}}
	for k, e := range obj.Entries {
		view.Entries[k] = entryView{value(e.Data), e.Data}
	}
	return view
}

func (a *app) printObject(obj *client.Object) error {
	return a.print(viewOf(obj), func() {
		fmt.Fprintf(a.Out, "%s/%d/%s", obj.Class, obj.Partition, obj.ID)
		if obj.Version > 0 {
			fmt.Fprintf(a.Out, "  version %d", obj.Version)
		}
		fmt.Fprintln(a.Out)
		rows := [][]string{{"KEY", "VALUE"}}
		for _, k := range slices.Sorted(maps.Keys(obj.Entries)) {
			rows = append(rows, []string{k, show(obj.Entries[k].Data, 0)})
		}
		if len(rows) == 1 {
			fmt.Fprintln(a.Out, "(no entries)")
			return
		}
		a.table(rows)
	})
}

func (a *app) objectSet() *cobra.Command {
	var partition, file string
	var version uint64
	var over transportFlags
	cmd := &cobra.Command{
		Use: "set CLASS ID [KEY=VALUE...]", Short: "Set entries of an object, and make it if it is not there", Aliases: []string{"s"},
		Long: `Set entries of an object, and make it if it is not there. Other entries stay.

A VALUE is stored as it stands; @FILE as value stores what is in the file, KEY= alone stores nothing (an empty value).
All entries are written together or not at all.`,
		Example: `  oaas object set shop.cart alice total=12 note=hello
  oaas object set shop.cart alice photo=@photo.jpg
  oaas object set shop.cart alice --file entries.json      # {"total": 12, "note": "hello"}
  oaas object set shop.cart alice total=13 --if-version 4  # only if nobody changed it since`,
		Args: takes("CLASS", "ID", "KEY=VALUE..."), ValidArgsFunction: a.complete(classes, objects),
		RunE: func(cmd *cobra.Command, args []string) error {
			set, err := a.entriesOf(cmd, args[2:], file)
			if err != nil {
				return err
			}
			change := client.Change{Set: set}
			if cmd.Flags().Changed("if-version") {
				change.ExpectedVersion = &version
			}
			return a.write(cmd, &over, client.Ref{Class: args[0], Partition: partition, ID: args[1]}, change, "set")
		},
	}
	partitionFlag(cmd, &partition)
	over.add(cmd)
	cmd.Flags().StringVarP(&file, "file", "f", "", "JSON file with an object of entries; - is stdin")
	cmd.Flags().Uint64Var(&version, "if-version", 0, "only if the object has this version; 0 is: only if it is not there")
	perRequest(cmd, "file", "if-version")
	return cmd
}

// entriesOf gathers the entries of a set command.
func (a *app) entriesOf(cmd *cobra.Command, pairs []string, file string) (map[string]client.Value, error) {
	set := map[string]client.Value{}
	if file != "" {
		text, err := a.readFile(file)
		if err != nil {
			return nil, err
		}
		if set, err = entriesOfJSON(text); err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
	}
	for _, pair := range pairs {
		key, text, found := strings.Cut(pair, "=")
		if !found || key == "" {
			return nil, &usageError{cmd, fmt.Errorf("%q is not KEY=VALUE", pair)}
		}
		data := []byte(text)
		if name, isFile := strings.CutPrefix(text, "@"); isFile {
			var err error
			if data, err = a.readFile(name); err != nil {
				return nil, err
			}
		}
		set[key] = client.Value{Data: data}
	}
	if len(set) == 0 {
		return nil, &usageError{cmd, errors.New("nothing to set: give KEY=VALUE or --file")}
	}
	return set, nil
}

// entriesOfJSON reads {"key": value, …}: text becomes its characters, anything else its JSON.
func entriesOfJSON(text []byte) (map[string]client.Value, error) {
	var doc map[string]json.RawMessage
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("want a JSON object of entries: %w", err)
	}
	set := make(map[string]client.Value, len(doc))
	for k, raw := range doc {
		var s string
		if json.Unmarshal(raw, &s) == nil && !bytes.Equal(raw, []byte("null")) {
			set[k] = client.Value{Data: []byte(s)}
			continue
		}
		set[k] = client.Value{Data: raw}
	}
	return set, nil
}

// readFile reads a file, or stdin if its name is "-".
func (a *app) readFile(name string) ([]byte, error) {
	if name != "-" {
		return os.ReadFile(name)
	}
	text, err := io.ReadAll(a.In)
	if err != nil {
		return nil, fmt.Errorf("read stdin: %w", err)
	}
	return text, nil
}

// writtenView is the result of a write as -o json gives it.
type writtenView struct {
	Class string `json:"class"`
	ID    string `json:"id"`
	// Version is absent where the transport does not tell it: gRPC and Zenoh.
	Version uint64 `json:"version,omitempty"`
}

func (a *app) write(cmd *cobra.Command, over *transportFlags, ref client.Ref, change client.Change, done string) error {
	ctx, c, stop, err := a.grid(cmd.Context(), over)
	if err != nil {
		return err
	}
	defer stop()
	defer a.progress("writing")()
	version, err := c.Write(ctx, ref, change)
	if err != nil {
		return err
	}
	count := len(change.Set) + len(change.Delete)
	return a.print(writtenView{ref.Class, ref.ID, version}, func() {
		entries := plural(count, "entry")
		if count != 1 {
			entries = fmt.Sprintf("%d entries", count)
		}
		fmt.Fprintf(a.Out, "%s %s of %s/%s", done, entries, ref.Class, ref.ID)
		if version > 0 {
			fmt.Fprintf(a.Out, ", version %d", version)
		}
		fmt.Fprintln(a.Out)
	})
}

// objectRow is an object of a listing as -o json gives it.
type objectRow struct {
	ID      string `json:"id"`
	Version uint64 `json:"version"`
	Entries uint64 `json:"entries"`
}

// pageFlags are those of listings.
type pageFlags struct {
	client.Page
	all bool
}

func (p *pageFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.Prefix, "prefix", "", "only those whose name begins so")
	cmd.Flags().IntVarP(&p.Limit, "limit", "n", 100, "how many, at most")
	cmd.Flags().StringVar(&p.Cursor, "cursor", "", "go on where the listing before ended")
	cmd.Flags().BoolVar(&p.all, "all", false, "everything, page by page")
	perRequest(cmd, "prefix", "cursor", "all")
}

func (a *app) objectList() *cobra.Command {
	var partition string
	var page pageFlags
	var over transportFlags
	cmd := &cobra.Command{
		Use: "list CLASS", Short: "List the objects of a class", Aliases: []string{"ls", "l"},
		Example: `  oaas object list shop.cart
  oaas object list shop.cart --prefix user: --limit 20
  oaas object list shop.cart --all -o json`,
		Args: takes("CLASS"), ValidArgsFunction: a.complete(classes),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, c, stop, err := a.grid(cmd.Context(), &over)
			if err != nil {
				return err
			}
			defer stop()
			done := a.progress("listing")
			defer done()
			rows := []objectRow{}
			next := page.Cursor
			for {
				page.Cursor = next
				var list []client.ObjectRow
				if list, next, err = c.Objects(ctx, args[0], partition, page.Page); err != nil {
					return err
				}
				for _, o := range list {
					rows = append(rows, objectRow(o))
				}
				if next == "" || !page.all {
					break
				}
			}
			done()
			return a.printObjects(rows, next)
		},
	}
	partitionFlag(cmd, &partition)
	cmd.Flag("partition").Usage = "partition of the class; _ is all of them"
	over.add(cmd)
	page.add(cmd)
	return cmd
}

func (a *app) printObjects(rows []objectRow, next string) error {
	view := struct {
		Objects []objectRow `json:"objects"`
		Next    string      `json:"next_cursor,omitempty"`
	}{rows, next}
	return a.print(view, func() {
		if len(rows) == 0 {
			fmt.Fprintln(a.Err, "no objects")
			return
		}
		lines := [][]string{{"ID", "VERSION", "ENTRIES"}}
		for _, o := range rows {
			lines = append(lines, []string{o.ID, strconv.FormatUint(o.Version, 10), strconv.FormatUint(o.Entries, 10)})
		}
		a.table(lines)
		a.more(next)
	})
}

// more says how to go on, on stderr so that the table stays a table.
func (a *app) more(next string) {
	if next != "" {
		fmt.Fprintf(a.Err, "there are more: --cursor %s, or --all\n", next)
	}
}
