//go:build !wasip1

package oaas

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// drainTime is how long calls may take to finish after the platform asked the function to stop.
const drainTime = 30 * time.Second

// Serve listens on $PORT (8080 if it is not set), on all addresses or on that of $OAAS_HOST, and answers calls until the process gets SIGTERM
// or SIGINT; then it finishes the calls that are under way and returns. It is ready as soon as it listens. It ends the process with status 1
// if it cannot start.
func Serve(parts ...Part) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := serve(ctx, parts); err != nil {
		fmt.Fprintln(os.Stderr, "oaas:", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context, parts []Part) error {
	handler, err := NewHandler(parts...)
	if err != nil {
		return err
	}
	defer handler.Close()
	port := os.Getenv("PORT")
	if port == "" {
		port = "8080"
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(os.Getenv("OAAS_HOST"), port))
	if err != nil {
		return fmt.Errorf("listen on PORT: %w", err)
	}
	return Run(ctx, listener, handler)
}

// Run answers requests on the listener until ctx ends, then lets those under way finish, for at most 30 seconds. It closes the listener.
func Run(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	err := server.Shutdown(drain)
	if errors.Is(err, context.DeadlineExceeded) {
		err = errors.Join(fmt.Errorf("calls still ran after %v", drainTime), server.Close())
	}
	<-done
	return err
}

// newClient makes the client for calls to the gateway.
func newClient() client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 64 // all calls go to one gateway
	return &http.Client{Transport: transport}
}
