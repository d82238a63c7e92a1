package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/spf13/cobra"

	"github.com/hpcclab/oaas-go/cli/client"
)

// batchFlags say what a batch does.
type batchFlags struct {
	set, del []string
	version  uint64
}

func (b *batchFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&b.set, "set", nil, "entry to set, as KEY=VALUE or KEY=@FILE; may be repeated")
	cmd.Flags().StringArrayVar(&b.del, "delete", nil, "entry to delete; may be repeated")
	cmd.Flags().Uint64Var(&b.version, "if-version", 0, "only if the object has this version; 0 is: only if it is not there")
	perRequest(cmd, "set", "delete", "if-version")
}

func (a *app) objectBatch() *cobra.Command {
	var partition string
	var over transportFlags
	var b batchFlags
	cmd := &cobra.Command{
		Use: "batch CLASS ID", Short: "Set and delete entries of an object, all or nothing",
		Example: "  oaas object batch shop.cart alice --set total=13 --delete note --if-version 4",
		Args:    takes("CLASS", "ID"), ValidArgsFunction: a.complete(classes, objects),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.batch(cmd, &over, client.Ref{Class: args[0], Partition: partition, ID: args[1]}, &b)
		},
	}
	partitionFlag(cmd, &partition)
	over.add(cmd)
	b.add(cmd)
	return cmd
}

func (a *app) batch(cmd *cobra.Command, over *transportFlags, ref client.Ref, b *batchFlags) error {
	if len(b.set)+len(b.del) == 0 {
		return &usageError{cmd, errors.New("nothing to do: give --set KEY=VALUE or --delete KEY")}
	}
	change := client.Change{Delete: b.del}
	var err error
	if len(b.set) > 0 {
		if change.Set, err = a.entriesOf(cmd, b.set, ""); err != nil {
			return err
		}
	}
	if cmd.Flags().Changed("if-version") {
		change.ExpectedVersion = &b.version
	}
	return a.write(cmd, over, ref, change, "changed")
}

// loadWriters is how many objects are written at once; a shard commits together what comes together.
const loadWriters = 32

func (a *app) objectLoad() *cobra.Command {
	var partition string
	var over transportFlags
	cmd := &cobra.Command{
		Use: "load CLASS FILE", Short: "Write many objects, one for each line of a file",
		Long: `Write many objects: each line of the file (- is stdin) is {"id": ID, "entries": {KEY: VALUE, …}}, with values as those of
oaas object set --file.

A line that fails does not stop the others; each one is told with its number, and the exit code is 1 then.`,
		Example: `  oaas object load shop.cart carts.jsonl`,
		Args:    takes("CLASS", "FILE"), ValidArgsFunction: a.complete(classes),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := a.In
			if args[1] != "-" {
				f, err := os.Open(args[1])
				if err != nil {
					return err
				}
				defer f.Close()
				in = f
			}
			g, err := a.dial(cmd.Context(), &over)
			if err != nil {
				return err
			}
			defer g.Close()
			defer a.progress("loading")()
			l := &load{app: a, grid: g, at: client.Ref{Class: args[0], Partition: partition}}
			if err := l.run(cmd.Context(), in); err != nil {
				return err
			}
			return l.print()
		},
	}
	partitionFlag(cmd, &partition)
	over.add(cmd)
	return cmd
}

// load writes objects, several at once.
type load struct {
	*app
	grid grid
	at   client.Ref

	done, failed int
}

// pending is a line that is being written. They are told in the order of the lines.
type pending struct {
	line int
	done chan error
}

// maxObjectLine bounds one line of a file to load.
const maxObjectLine = 64 << 20

// run writes all lines, and ends when all are written.
func (l *load) run(ctx context.Context, in io.Reader) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 0, 64<<10), maxObjectLine)
	begun := make(chan pending, loadWriters)
	var writing, telling sync.WaitGroup
	telling.Go(func() {
		for p := range begun {
			l.told(p.line, <-p.done)
		}
	})
	for n := 1; lines.Scan() && ctx.Err() == nil; n++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		line, p := bytes.Clone(line), pending{n, make(chan error, 1)}
		begun <- p
		writing.Go(func() { p.done <- l.write(ctx, line) })
	}
	close(begun)
	writing.Wait()
	telling.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read the lines: %w", err)
	}
	return nil
}

func (l *load) write(ctx context.Context, line []byte) error {
	var doc struct {
		ID      string          `json:"id"`
		Entries json.RawMessage `json:"entries"`
	}
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&doc); err != nil {
		return fmt.Errorf("want {\"id\", \"entries\"}: %w", err)
	}
	if doc.ID == "" || len(doc.Entries) == 0 {
		return errors.New("id or entries are missing")
	}
	set, err := entriesOfJSON(doc.Entries)
	if err != nil {
		return err
	}
	ctx, stop := l.withTimeout(ctx, l.grid.URL())
	defer stop()
	ref := l.at
	ref.ID = doc.ID
	_, err = l.grid.Write(ctx, ref, client.Change{Set: set})
	return err
}

// told counts a line that is done.
func (l *load) told(n int, err error) {
	if err == nil {
		l.done++
		return
	}
	l.failed++
	fmt.Fprintf(l.Err, "line %d: %v\n", n, err)
}

func (l *load) print() error {
	view := struct {
		Class   string `json:"class"`
		Written int    `json:"written"`
		Failed  int    `json:"failed"`
	}{l.at.Class, l.done, l.failed}
	err := l.app.print(view, func() { fmt.Fprintf(l.Out, "wrote %s of %s\n", plural(l.done, "object"), l.at.Class) })
	if err == nil && l.failed > 0 {
		err = fmt.Errorf("%s could not be written", plural(l.failed, "object"))
	}
	return err
}
