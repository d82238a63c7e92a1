// Command oaas-gateway is the platform's entrance as a process of its own: REST, gRPC, WebSocket and server-sent events in front of the grids
// that it reaches over Zenoh. docs/operate.md says how it is configured.
package main

import "github.com/hpcclab/oaas-go/internal/process"

func main() { process.Main("oaas-gateway", run) }
