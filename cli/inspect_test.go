package cli

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/hpcclab/oaas-go/broker/topology"
	"github.com/hpcclab/oaas-go/cli/client"
)

// The router of oaas dev tells the command line of the classes behind it, and of the session that asks.
func TestTopologyOfPlatform(t *testing.T) {
	url, _ := platform(t)
	c, err := client.New(url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	status, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := command(t, "", nil, "topology", "analyze", "--json", "-z", status.Zenoh)
	var p topology.Picture
	if err := json.Unmarshal([]byte(got.out), &p); err != nil || got.code != 0 {
		t.Fatalf("%+v: %v", got, err)
	}
	// The grid's session is one, that of the command line the other.
	if len(p.Routers) != 1 || len(p.Info) != 1 || p.PerOwner[p.Routers[0].ID] < 2 {
		t.Fatalf("picture %+v", p)
	}
	if i := p.Info[0]; !i.Objects || !slices.Contains(i.Classes, "shop.cart") || !slices.Contains(i.Functions, "add") {
		t.Errorf("behind the router: %+v", i)
	}
}
