// Command oaas is the command line of the platform, and with "oaas dev" the whole platform in one process.
package main

import (
	"os"

	"github.com/hpcclab/oaas-go/cli"
	"github.com/hpcclab/oaas-go/runtime/runner"
)

func main() {
	runner.MaybeRunGuard()
	os.Exit(cli.Main(os.Args))
}
