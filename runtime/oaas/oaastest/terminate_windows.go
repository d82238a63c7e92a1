package oaastest

import "os"

// terminate kills: Windows has no SIGTERM.
func terminate(p *os.Process) error { return p.Kill() }
