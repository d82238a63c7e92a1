package call

import (
	"slices"
	"strings"
	"testing"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/odgm/object"
)

func hop(class string, partition uint32, id, method, call string) Hop {
	return Hop{Ref: object.Ref{Class: class, Partition: partition, ID: id}, Method: method, Call: call}
}

func TestParse(t *testing.T) {
	long := strings.Repeat("a/0/b/c@d,", MaxChain-1) + "a/0/b/c@d"
	tests := map[string]struct {
		text string
		want Chain
		code fault.Code
	}{
		"empty":              {"", nil, ""},
		"one":                {"shop.cart/3/x/add@01h", Chain{hop("shop.cart", 3, "x", "add", "01h")}, ""},
		"two":                {"a/0/x/m@1,b/65535/y/n@2", Chain{hop("a", 0, "x", "m", "1"), hop("b", 65535, "y", "n", "2")}, ""},
		"stateless function": {"a/0//m@1", Chain{hop("a", 0, "", "m", "1")}, ""},
		"proof":              {"a/0/x/m@1,b/0/y/n@2!p", Chain{hop("a", 0, "x", "m", "1"), {Ref: object.Ref{Class: "b", ID: "y"}, Method: "n", Call: "2", Proof: "p"}}, ""},
		"proof not at last":  {"a/0/x/m@1!p,b/0/y/n@2", nil, fault.InvalidArgument},
		"empty proof":        {"a/0/x/m@1!", nil, fault.InvalidArgument},
		"only a proof":       {"a/0/x/m@!p", nil, fault.InvalidArgument},
		"id with @ and /":    {"a/0/x/m@1@/2", Chain{hop("a", 0, "x", "m", "1@/2")}, ""},
		"no call":            {"a/0/x/m", nil, fault.InvalidArgument},
		"empty call":         {"a/0/x/m@", nil, fault.InvalidArgument},
		"no method":          {"a/0/x/@1", nil, fault.InvalidArgument},
		"no class":           {"/0/x/m@1", nil, fault.InvalidArgument},
		"too few":            {"a/0/m@1", nil, fault.InvalidArgument},
		"too many":           {"a/0/x/m/n@1", nil, fault.InvalidArgument},
		"partition":          {"a/b/x/m@1", nil, fault.InvalidArgument},
		"partition, sign":    {"a/-1/x/m@1", nil, fault.InvalidArgument},
		"partition, large":   {"a/65536/x/m@1", nil, fault.InvalidArgument},
		"empty hop":          {"a/0/x/m@1,", nil, fault.InvalidArgument},
		"only a comma":       {",", nil, fault.InvalidArgument},
		"blank":              {" ", nil, fault.InvalidArgument},
		"second is bad":      {"a/0/x/m@1,x", nil, fault.InvalidArgument},
		"too long":           {long + ",a/0/b/c@d", nil, fault.LoopDetected},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Parse(test.text)
			if fault.CodeOf(err) != test.code || !slices.Equal(got, test.want) {
				t.Errorf("Parse(%q) = %v, %v", test.text, got, err)
			}
		})
	}
	if chain, err := Parse(long); err != nil || len(chain) != MaxChain {
		t.Errorf("the longest chain: %d hops, %v", len(chain), err)
	}
}

func TestChain(t *testing.T) {
	var none Chain
	if none.String() != "" || none.Path() != "" || none.Root() != "" {
		t.Error("an empty chain has text")
	}
	one := none.With(hop("a", 0, "x", "m", "1"))
	two, other := one.With(hop("b", 1, "y", "n", "2")), one.With(hop("c", 2, "z", "o", "3"))
	if two.String() != "a/0/x/m@1,b/1/y/n@2" || other.String() != "a/0/x/m@1,c/2/z/o@3" || one.String() != "a/0/x/m@1" {
		t.Errorf("chains share memory: %s; %s; %s", one, two, other)
	}
	proven := Chain{{Ref: object.Ref{Class: "a", ID: "x"}, Method: "m", Call: "1", Proof: "p"}}
	if longer := proven.With(hop("b", 0, "y", "n", "2")); longer.String() != "a/0/x/m@1,b/0/y/n@2" || proven.String() != "a/0/x/m@1!p" || proven.Plain().String() != "a/0/x/m@1" {
		t.Errorf("proofs: %s after %s", longer, proven)
	}
	if two.Path() != "a/0/x/m → b/1/y/n" || two.Root() != "1" {
		t.Errorf("path %s, root %s", two.Path(), two.Root())
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"", "a/0/x/m@1", "a/0/x/m@1,b/1//n@2!p", "a/0/x/m@1!p!q", ",", "a/0/x/m@", "a/00/x/m@1", "a/+1/x/m@1", strings.Repeat("a/0/x/m@1,", 20)} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		chain, err := Parse(text)
		if err != nil {
			if code := fault.CodeOf(err); code != fault.InvalidArgument && code != fault.LoopDetected {
				t.Errorf("Parse(%q): %v", text, err)
			}
			return
		}
		again, err := Parse(chain.String())
		if err != nil || !slices.Equal(chain, again) || len(chain) > MaxChain {
			t.Errorf("Parse(%q) = %v, which gives %v, %v", text, chain, again, err)
		}
	})
}
