package remote

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/hpcclab/oaas-go/broker/zenoh"
)

// The key space, which is beside that of OaaS-RS (oprc/…):
//
//	oaas/grid/<class>/<partition>   queries about the class; declared as oaas/grid/<class>/*, complete
//	oaas/changes/<class>            changes, for those who watch
//	oaas/node/<id>                  queries to a node: what it serves
//	oaas/node/<id>/cancel           numbers of requests that nobody waits for any more
//	oaas/alive/<id>/<generation>    token of a node; the generation grows when what it serves changes
const (
	gridSpace    = "oaas/grid/"
	changesSpace = "oaas/changes/"
	nodeSpace    = "oaas/node/"
	aliveSpace   = "oaas/alive/"
)

// chunk refuses what is no part of a key.
func chunk(class string) error {
	if class == "" || strings.ContainsAny(class, "*$?#/") || class[0] == '@' {
		return fmt.Errorf("class name %q cannot be part of a Zenoh key: it has one of * $ ? # / or begins with @", class)
	}
	return nil
}

func partitionKey(class string, partition uint32) (zenoh.KeyExpr, error) {
	return zenoh.NewKeyExpr(gridSpace + class + "/" + strconv.FormatUint(uint64(partition), 10))
}

func classKey(class string) (zenoh.KeyExpr, error) { return zenoh.NewKeyExpr(gridSpace + class + "/*") }

func changesKey(class string) (zenoh.KeyExpr, error) { return zenoh.NewKeyExpr(changesSpace + class) }

func nodeKey(node string) (zenoh.KeyExpr, error) { return zenoh.NewKeyExpr(nodeSpace + node) }

func cancelKey(node string) (zenoh.KeyExpr, error) {
	return zenoh.NewKeyExpr(nodeSpace + node + "/cancel")
}

func tokenKey(node string, generation uint64) (zenoh.KeyExpr, error) {
	return zenoh.NewKeyExpr(aliveSpace + node + "/" + strconv.FormatUint(generation, 10))
}

// parseToken gives what the key of a token says.
func parseToken(key zenoh.KeyExpr) (node string, generation uint64, ok bool) {
	rest, found := strings.CutPrefix(key.String(), aliveSpace)
	node, number, more := strings.Cut(rest, "/")
	generation, err := strconv.ParseUint(number, 10, 64)
	return node, generation, found && more && err == nil
}
