// Command shell-counter serves a function that is a shell script: each request goes to the standard input of a process of its own, and what
// that prints is the answer, as with inetd.
package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

//go:embed counter.sh
var script string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	listener, err := net.Listen("tcp", net.JoinHostPort(os.Getenv("OAAS_HOST"), os.Getenv("PORT")))
	if err != nil {
		log.Fatalf("listen on PORT: %v", err)
	}
	if err := serve(ctx, listener, "sh", "-c", script); err != nil {
		log.Fatal(err)
	}
}

// serve runs the command for each connection until ctx ends, and then waits for those that run.
func serve(ctx context.Context, listener net.Listener, argv ...string) error {
	var running sync.WaitGroup
	defer running.Wait()
	stop := context.AfterFunc(ctx, func() { listener.Close() })
	defer stop()
	for {
		connection, err := listener.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		running.Go(func() {
			if err := run(connection, argv); err != nil {
				log.Printf("%s: %v", argv[0], err)
			}
		})
	}
}

// run gives a connection to a process of its own, and ends both within a minute.
func run(connection net.Conn, argv []string) error {
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	tcp, ok := connection.(*net.TCPConn)
	if !ok {
		return errors.New("not a TCP connection")
	}
	file, err := tcp.File()
	if err != nil {
		return err
	}
	defer file.Close()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = file, file, os.Stderr
	return cmd.Run()
}
