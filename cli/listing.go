package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hpcclab/oaas-go/cli/client"
)

// jsonByDefault marks commands that print JSON when they are called by OaaS-RS's name and no form is asked for.
var jsonByDefault = map[string]string{"form": "json"}

// column is a column of a table: its head, and the path to its value. A "*" in the path stands for all items of a list.
type column struct {
	head string
	path string
}

// listing is a command that shows what the Package Manager has of one kind.
type listing struct {
	// kind is the last part of the route, noun what one of them is called.
	kind, noun string
	// filter is the query parameter that NAME goes to; "" puts NAME into the path.
	filter  string
	columns []column
	// settled, if given, says of one whether waiting for it has an end, and if it is a bad one.
	settled func(item any) (done bool, err error)
}

// listFlags are those of listings.
type listFlags struct{ watch, wait bool }

// list makes the command of a listing.
func (a *app) list(l listing, use, short, example string) *cobra.Command {
	var flags listFlags
	name := strings.Trim(strings.TrimPrefix(use, "list"), " []")
	cmd := &cobra.Command{
		Use: use, Short: short, Example: example, Aliases: []string{"l", "ls"}, Annotations: jsonByDefault,
		Args: takes(), ValidArgsFunction: a.complete(),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case flags.watch && flags.wait:
				return &usageError{cmd, errors.New("give either --watch or --wait")}
			case flags.watch:
				return a.watchList(cmd.Context(), l, args)
			case flags.wait:
				return a.waitList(cmd.Context(), l, args)
			}
			ctx, c, stop, err := a.manager(cmd.Context())
			if err != nil {
				return err
			}
			defer stop()
			defer a.progress("listing")()
			raw, err := l.fetch(ctx, c, args)
			if err != nil && len(args) > 0 {
				return orHint(err, "list them with: "+cmd.CommandPath())
			}
			if err != nil {
				return err
			}
			return a.printList(l, raw, args)
		},
	}
	if name != "" {
		cmd.Args, cmd.ValidArgsFunction = takes(name+"?"), a.complete(named(l))
	}
	cmd.Flags().BoolVarP(&flags.watch, "watch", "w", false, "show it again whenever it changes, until interrupted")
	perRequest(cmd, "watch")
	if l.settled != nil {
		cmd.Flags().BoolVar(&flags.wait, "wait", false, "wait until all of them run, at most --timeout")
		perRequest(cmd, "wait")
	}
	return cmd
}

// fetch asks for the list, or for the one that args name.
func (l listing) fetch(ctx context.Context, c *client.Client, args []string) (json.RawMessage, error) {
	switch {
	case len(args) == 0:
		return c.Manager(ctx, nil, l.kind)
	case l.filter != "":
		return c.Manager(ctx, url.Values{l.filter: {args[0]}}, l.kind)
	}
	return c.Manager(ctx, nil, l.kind, args[0])
}

// named completes with the values of the first column.
func named(l listing) suggest {
	return func(ctx context.Context, c *client.Client, _ []string, _ string) ([]string, error) {
		raw, err := c.Manager(ctx, nil, l.kind)
		if err != nil {
			return nil, err
		}
		doc, err := decode(raw)
		if err != nil {
			return nil, err
		}
		var names []string
		for _, item := range itemsOf(doc) {
			names = append(names, field(item, l.columns[0].path))
		}
		return names, nil
	}
}

// decode reads JSON with its numbers as they are written.
func decode(raw json.RawMessage) (any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var doc any
	if err := d.Decode(&doc); err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	return doc, nil
}

// itemsOf gives the items of a list; one document is a list of one, null an empty one.
func itemsOf(doc any) []any {
	switch v := doc.(type) {
	case nil:
		return nil
	case []any:
		return v
	}
	return []any{doc}
}

// printList gives the answer of the Package Manager: as it is (keys sorted), or as a table.
func (a *app) printList(l listing, raw json.RawMessage, args []string) error {
	doc, err := decode(raw)
	if err != nil {
		return err
	}
	if l.filter != "" && len(args) > 0 && !a.compat { // OaaS-RS's Package Manager ignores the filter
		doc = slices.DeleteFunc(orEmpty(itemsOf(doc)), func(item any) bool {
			return !strings.Contains(field(item, l.columns[0].path), args[0])
		})
	}
	return a.print(doc, func() { a.printItems(l, itemsOf(doc)) })
}

func (a *app) printItems(l listing, items []any) {
	if len(items) == 0 {
		fmt.Fprintf(a.Err, "no %s\n", strings.TrimPrefix(plural(2, l.noun), "2 "))
		return
	}
	rows := [][]string{{}}
	for _, c := range l.columns {
		rows[0] = append(rows[0], c.head)
	}
	for _, item := range items {
		var row []string
		for _, c := range l.columns {
			row = append(row, field(item, c.path))
		}
		rows = append(rows, row)
	}
	a.table(rows)
}

// field gives the value at a path of a document for people; "" if there is none.
func field(doc any, path string) string {
	if path == "" {
		return scalar(doc)
	}
	key, rest, _ := strings.Cut(path, ".")
	if key == "*" {
		list, _ := doc.([]any)
		var all []string
		for _, item := range list {
			all = append(all, field(item, rest))
		}
		return strings.Join(all, ", ")
	}
	m, _ := doc.(map[string]any)
	return field(m[key], rest)
}

func scalar(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case []any:
		return field(v, "*")
	case map[string]any:
		text, _ := json.Marshal(v) // it was decoded from JSON
		return string(text)
	}
	return fmt.Sprint(v)
}

// watchStep is the pause between two looks at what is watched.
const watchStep = time.Second

// poll calls look at once and then again and again, until it is done or fails, or ctx ends.
func poll(ctx context.Context, look func() (done bool, err error)) error {
	ticker := time.NewTicker(watchStep)
	defer ticker.Stop()
	for {
		if done, err := look(); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
}

// watchList shows a list whenever it changes.
func (a *app) watchList(ctx context.Context, l listing, args []string) error {
	c, err := a.connect(true)
	if err != nil {
		return err
	}
	defer c.Close()
	var last json.RawMessage
	return poll(ctx, func() (bool, error) {
		once, stop := a.withTimeout(ctx, c.URL())
		defer stop()
		raw, err := l.fetch(once, c, args)
		if err != nil || bytes.Equal(raw, last) {
			return false, err
		}
		if last != nil && a.output == tableFormat {
			fmt.Fprintln(a.Out)
		}
		last = raw
		doc, err := decode(raw)
		if err != nil {
			return false, err
		}
		return false, a.line(doc, func() { a.printItems(l, itemsOf(doc)) })
	})
}

// waitList waits until everything in a list has settled, and shows it.
func (a *app) waitList(ctx context.Context, l listing, args []string) error {
	ctx, c, stop, err := a.manager(ctx)
	if err != nil {
		return err
	}
	defer stop()
	defer a.progress("waiting")()
	var raw json.RawMessage
	var waitingFor string
	err = poll(ctx, func() (bool, error) {
		if raw, err = l.fetch(ctx, c, args); err != nil {
			return false, err
		}
		doc, err := decode(raw)
		if err != nil {
			return false, err
		}
		items := itemsOf(doc)
		waitingFor = "there is none yet"
		for _, item := range items {
			done, err := l.settled(item)
			if err != nil {
				return false, err
			}
			if !done {
				waitingFor = field(item, l.columns[0].path) + " is not running yet"
				return false, nil
			}
		}
		return len(items) > 0, nil
	})
	if err = stillWaiting(err, waitingFor, a.timeout); err != nil {
		return err
	}
	return a.printList(l, raw, args)
}

// stillWaiting says what was waited for when the time was over.
func stillWaiting(err error, what string, after time.Duration) error {
	if slow, ok := errors.AsType[*tooSlow](err); ok && what != "" {
		return &hinted{fmt.Errorf("%s after %s: %w", what, after, slow), "wait longer with --timeout, or see why with: oaas class-runtimes list"}
	}
	return err
}
