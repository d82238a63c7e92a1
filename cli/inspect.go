package cli

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/hpcclab/oaas-go/broker/keys"
	"github.com/hpcclab/oaas-go/broker/topology"
	"github.com/hpcclab/oaas-go/cli/client/mesh"
	"github.com/hpcclab/oaas-go/cli/client/rpc"
)

// quietTime is how long one look at the network waits for the next reply.
const quietTime = 2 * time.Second

func (a *app) liveliness() *cobra.Command {
	var over transportFlags
	cmd := &cobra.Command{
		Use: "liveliness", Short: "List what is alive on the Zenoh network", Aliases: []string{"l"},
		Example: "  oaas liveliness -z tcp/127.0.0.1:7447", Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			keys, err := a.alive(cmd.Context(), &over)
			if err != nil {
				return err
			}
			return a.print(struct {
				Tokens []string `json:"tokens"`
			}{keys}, func() {
				for _, key := range keys {
					fmt.Fprintln(a.Out, key)
				}
				if len(keys) == 0 {
					fmt.Fprintln(a.Err, "nothing is alive under oprc/**")
				}
			})
		},
	}
	over.add(cmd)
	return cmd
}

func (a *app) alive(ctx context.Context, over *transportFlags) ([]string, error) {
	z, err := a.dialZenoh(ctx, over)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	defer a.progress("asking")()
	ctx, stop := a.withTimeout(ctx, z.URL())
	defer stop()
	tokens := []string{}
	err = z.Alive(ctx, "oprc/**", func(key string) error {
		tokens = append(tokens, key)
		return nil
	})
	slices.Sort(tokens)
	return tokens, err
}

// capabilityView is what a gRPC server can do as -o json gives it.
type capabilityView struct {
	StringIDs  bool `json:"string_ids"`
	StringKeys bool `json:"string_entry_keys"`
	Granular   bool `json:"granular_entry_storage"`
	Events     bool `json:"event_pipeline_v2"`
}

// jsonFlag adds --json, which is -o json.
func (a *app) jsonFlag(cmd *cobra.Command) {
	cmd.Flags().BoolFunc("json", "print JSON, as -o json does", func(text string) error {
		on, err := strconv.ParseBool(text)
		if on {
			a.output = jsonFormat
		}
		return err
	})
	perRequest(cmd, "json")
}

// referenceGateway is where OaaS-RS's command line looks for a gateway that nothing names.
const referenceGateway = "http://oaas.127.0.0.1.nip.io"

func (a *app) capabilities() *cobra.Command {
	var over transportFlags
	cmd := &cobra.Command{
		Use: "capabilities", Short: "Ask a gRPC server what it can do", Aliases: []string{"caps", "cap", "features"},
		Example: "  oaas capabilities -g http://127.0.0.1:8080 --json", Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			g, err := a.gateway(&over)
			if err != nil {
				return err
			}
			defer g.Close()
			ctx, stop := a.withTimeout(cmd.Context(), g.URL())
			defer stop()
			m, err := g.Capabilities(ctx)
			if err != nil {
				return err
			}
			view := capabilityView{m.GetStringIds(), m.GetStringEntryKeys(), m.GetGranularEntryStorage(), m.GetEventPipelineV2()}
			return a.print(view, func() {
				a.table([][]string{
					{"string_ids", strconv.FormatBool(view.StringIDs)}, {"string_entry_keys", strconv.FormatBool(view.StringKeys)},
					{"granular_entry_storage", strconv.FormatBool(view.Granular)}, {"event_pipeline_v2", strconv.FormatBool(view.Events)},
				})
			})
		},
	}
	over.add(cmd)
	a.jsonFlag(cmd)
	return cmd
}

// gateway gives the gRPC server that -g or the context names.
func (a *app) gateway(over *transportFlags) (*rpc.Client, error) {
	at, err := setting{over.grpc, "--grpc-url"}, error(nil)
	if over.grpc == "" {
		if at, err = a.platformURL(false); err != nil {
			return nil, err
		}
		if at.Origin == "default" && a.compat {
			at.Value = referenceGateway
		}
	}
	a.at = at
	return rpc.Dial(at.Value)
}

func (a *app) zenohCapabilities() *cobra.Command {
	var over transportFlags
	cmd := &cobra.Command{
		Use: "capabilities-zenoh [CLASS] [PARTITION] [SHARD]", Short: "Ask data grids over Zenoh what they can do", Aliases: []string{"zcaps", "zcap", "zc"},
		Example: "  oaas capabilities-zenoh shop.cart 0 -z tcp/127.0.0.1:7447", Args: takes("CLASS?", "PARTITION?", "SHARD?"),
		ValidArgsFunction: a.complete(classes),
		RunE: func(cmd *cobra.Command, args []string) error {
			parts := append(slices.Clone(args), keys.Any, keys.Any, keys.Any)[:3]
			key := keys.In(parts[0], parts[1]).Capabilities(parts[2]).String()
			docs, err := a.zenohDocs(cmd.Context(), &over, key)
			if err != nil {
				return err
			}
			if len(docs) == 0 {
				return &hinted{fmt.Errorf("nobody answers for %s", key), "see what is alive with: " + a.name() + " liveliness"}
			}
			var view any = docs
			if len(docs) == 1 {
				view = docs[0]
			}
			return a.print(view, func() {
				for _, d := range docs {
					fmt.Fprintln(a.Out, scalar(d))
				}
			})
		},
	}
	over.add(cmd)
	a.jsonFlag(cmd)
	return cmd
}

// zenohDocs gives the JSON documents that answer a query.
func (a *app) zenohDocs(ctx context.Context, over *transportFlags, key string) ([]any, error) {
	z, err := a.dialZenoh(ctx, over)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	ctx, stop := a.withTimeout(ctx, z.URL())
	defer stop()
	var docs []any
	err = z.Query(ctx, key, 0, quietTime, func(s mesh.Sample) error {
		docs = append(docs, documentOf(s.Payload))
		return nil
	})
	return docs, err
}

func (a *app) topology() *cobra.Command {
	cmd := group("topology", "Look at the Zenoh network", "  oaas topology analyze -z tcp/127.0.0.1:7447", "topo")
	cmd.AddCommand(a.topologyRaw(), a.topologyAnalyze())
	return cmd
}

// lookFlags say how the network is looked at.
type lookFlags struct {
	transportFlags
	limit int
	quiet string
}

func (f *lookFlags) add(cmd *cobra.Command) {
	f.transportFlags.add(cmd)
	cmd.Flags().IntVar(&f.limit, "limit", 0, "how many replies, at most; 0 is all")
	cmd.Flags().StringVar(&f.quiet, "timeout", "2", "how many seconds to wait for the next reply")
	perRequest(cmd, "limit", "timeout")
}

// each gives every reply to a key expression.
func (f *lookFlags) each(a *app, cmd *cobra.Command, key string, each func(mesh.Sample) error) error {
	seconds, err := strconv.ParseFloat(strings.TrimSuffix(f.quiet, "s"), 64)
	if err != nil || seconds <= 0 || seconds > 86400 {
		return &usageError{cmd, fmt.Errorf("--timeout %q: want a number of seconds", f.quiet)}
	}
	z, err := a.dialZenoh(cmd.Context(), &f.transportFlags)
	if err != nil {
		return err
	}
	defer z.Close()
	defer a.progress("asking")()
	return z.Query(cmd.Context(), key, f.limit, time.Duration(seconds*float64(time.Second)), each)
}

// rawView is one reply as `topology raw` gives it: the value is JSON, else text, else base64.
type rawView struct {
	Key   string `json:"key"`
	Value any    `json:"value"`
}

func (a *app) topologyRaw() *cobra.Command {
	var f lookFlags
	cmd := &cobra.Command{
		Use: "raw [KEY]", Short: "Show every reply to a query of the network's state", Aliases: []string{"r"},
		Example: "  oaas topology raw '@/**' --json -z tcp/127.0.0.1:7447", Args: takes("KEY?"),
		RunE: func(cmd *cobra.Command, args []string) error {
			key := topology.AdminSpace
			if len(args) > 0 {
				key = args[0]
			}
			rows := []rawView{}
			err := f.each(a, cmd, key, func(s mesh.Sample) error {
				rows = append(rows, rawView{s.Key, documentOf(s.Payload)})
				return nil
			})
			if err != nil {
				return err
			}
			slices.SortStableFunc(rows, func(x, y rawView) int { return strings.Compare(x.Key, y.Key) })
			return a.print(rows, func() {
				for _, r := range rows {
					text, _ := json.Marshal(r.Value) // it was decoded from JSON, or is text
					fmt.Fprintf(a.Out, "%s  %s\n", r.Key, text)
				}
				a.silent(len(rows), key)
			})
		},
	}
	f.add(cmd)
	a.jsonFlag(cmd)
	return cmd
}

// silent tells people that nobody answered.
func (a *app) silent(n int, key string) {
	if n == 0 {
		fmt.Fprintf(a.Err, "nobody answers for %s; routers answer only if their admin space is on\n", key)
	}
}

func (a *app) topologyAnalyze() *cobra.Command {
	var f lookFlags
	var key string
	var ascii bool
	cmd := &cobra.Command{
		Use: "analyze", Short: "Show the routers, sessions and ways of the network", Aliases: []string{"a"},
		Example: "  oaas topology analyze --ascii -z tcp/127.0.0.1:7447", Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var b topology.Builder
			n := 0
			err := f.each(a, cmd, key, func(s mesh.Sample) error {
				n++
				b.Add(s.Key, s.Payload)
				return nil
			})
			if err != nil {
				return err
			}
			p := b.Picture()
			return a.print(p, func() {
				if a.silent(n, key); ascii {
					a.sketch(p)
					return
				}
				a.summary(p)
			})
		},
	}
	f.add(cmd)
	a.jsonFlag(cmd)
	cmd.Flags().StringVar(&key, "key", topology.AdminSpace, "what is asked for")
	cmd.Flags().BoolVar(&ascii, "ascii", false, "draw a sketch")
	perRequest(cmd, "key", "ascii")
	return cmd
}

func (a *app) summary(p *topology.Picture) {
	fmt.Fprintf(a.Out, "routers: %d\nsessions: %d\nedges: %d\n", len(p.Routers), len(p.Sessions), len(p.Edges))
	for _, r := range p.Info {
		fmt.Fprintf(a.Out, "router %s: classes %s; functions %s; data grid %t\n", r.ID, orNone(r.Classes), orNone(r.Functions), r.Objects)
	}
	for _, s := range p.Sessions {
		fmt.Fprintf(a.Out, "%s %s\n", s.Type, s.ID)
	}
	for _, e := range p.Edges {
		fmt.Fprintf(a.Out, "%s -> %s (%s)\n", e.Source, e.Target, e.Kind)
	}
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}

// sketch draws each router with where it leads to.
func (a *app) sketch(p *topology.Picture) {
	for _, r := range p.Routers {
		fmt.Fprintf(a.Out, "[%s] %s\n", r.ID, plural(p.PerOwner[r.ID], "session"))
		for _, e := range p.Edges {
			if e.Source == r.ID {
				fmt.Fprintf(a.Out, "  +-- %s --> [%s]\n", e.Kind, e.Target)
			}
		}
	}
}

// documentOf gives a payload as a document: what it says if it is JSON, else text, else base64.
func documentOf(payload []byte) any {
	if json.Valid(payload) {
		if doc, err := decode(payload); err == nil {
			return doc
		}
	}
	if utf8.Valid(payload) {
		return string(payload)
	}
	return base64.StdEncoding.EncodeToString(payload)
}
