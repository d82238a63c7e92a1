// Command oaas-odgm is the object data grid as a process of its own: gRPC, and Zenoh. docs/operate.md says how it is configured.
package main

import "github.com/hpcclab/oaas-go/internal/process"

func main() { process.Main("oaas-odgm", run) }
