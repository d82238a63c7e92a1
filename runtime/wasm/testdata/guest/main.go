// Command guest is the module of the tests: methods that try what a function should not do.
package main

import (
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/hpcclab/oaas-go/runtime/oaas"
)

func main() {
	oaas.Serve(
		oaas.Class("test.guest",
			oaas.Method("add", (*guest).add), oaas.Method("count", (*guest).count), oaas.Method("do", (*guest).do), oaas.Method("random", (*guest).random)),
		oaas.Stateless("test.guest", "upper", func(_ oaas.Context, in string) (string, error) { return strings.ToUpper(in), nil }))
}

type guest struct {
	N int `oaas:"n"`
}

func (g *guest) add(_ oaas.Context, by int) (int, error) {
	g.N += by
	return g.N, nil
}

var calls int

// count counts the calls in a variable, which must not outlive its call.
func (*guest) count(oaas.Context, oaas.None) (int, error) {
	calls++
	return calls, nil
}

func (*guest) random(oaas.Context, oaas.None) (string, error) {
	text := rand.Text()
	return text + " " + fmt.Sprint(time.Now().UnixMilli()), nil
}

var kept [][]byte

// do does something bad, and tells what came of it.
func (*guest) do(ctx oaas.Context, what string) (string, error) {
	switch what {
	case "loop":
		for i := 0; ; i++ {
			calls += i
		}
	case "sleep":
		time.Sleep(time.Hour)
	case "memory":
		for {
			kept = append(kept, make([]byte, 1<<20))
		}
	case "exit":
		fmt.Fprintln(os.Stderr, "good bye")
		os.Exit(3)
	case "panic":
		panic("at the disco")
	case "huge":
		return strings.Repeat("x", 17<<20), nil
	case "file":
		_, err := os.ReadFile("/etc/hostname")
		return fmt.Sprint(err), nil
	case "write":
		return fmt.Sprint(os.WriteFile("/tmp/oaas-wasm-test", nil, 0o600)), nil
	case "network":
		_, err := net.Dial("tcp", "127.0.0.1:80")
		return fmt.Sprint(err), nil
	case "environment":
		return strings.Join(os.Environ(), ","), nil
	case "log":
		fmt.Println("a line")
		fmt.Fprint(os.Stderr, "half a line")
	case "call":
		return "", ctx.Call(oaas.Object("test.guest", "other"), "add", 1, nil)
	}
	return "done", nil
}
