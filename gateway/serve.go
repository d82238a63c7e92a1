package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Serve answers requests on l, in HTTP/1.1 and unencrypted HTTP/2, until ctx ends or l fails. Then it drains: /readyz says 503, connections are
// still taken for the configured delay, and requests that have begun finish within the drain timeout. It gives nil after a drain in which nothing was
// cut off. Serve can be called once.
func (g *Gateway) Serve(ctx context.Context, l net.Listener) error {
	server := g.server()
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	var failure error
	select {
	case failure = <-served:
		g.stop()
		err := server.Close()
		g.streams.drain(context.Background())
		return errors.Join(fmt.Errorf("serve HTTP on %s: %w", l.Addr(), failure), err)
	case <-ctx.Done():
	}
	g.stop()
	g.log.Info("draining", "requests", g.inFlight.Load())
	pause(g.cfg.DrainDelay, served)
	err := g.drain(server)
	<-served
	return err
}

func (g *Gateway) server() *http.Server {
	server := &http.Server{
		Handler:           g.handler,
		ReadHeaderTimeout: g.cfg.ReadHeaderTimeout,
		IdleTimeout:       g.cfg.IdleTimeout,
		MaxHeaderBytes:    g.cfg.MaxHeaderBytes,
		// For clients that do not read their answer; no answer takes longer to begin.
		WriteTimeout: g.cfg.MaxTimeout + g.cfg.RequestTimeout,
		Protocols:    new(http.Protocols),
		ErrorLog:     slog.NewLogLogger(g.log.Handler(), slog.LevelDebug),
	}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	return server
}

// pause waits for that long, or until the server has ended.
func pause(delay time.Duration, served chan error) {
	if delay == 0 {
		return
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case err := <-served:
		served <- err
	}
}

// drain lets requests finish and closes the server; what takes too long is cut off.
func (g *Gateway) drain(server *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), g.cfg.DrainTimeout)
	defer cancel()
	err := server.Shutdown(ctx)
	g.streams.drain(ctx)
	if err == nil {
		return nil
	}
	cut := g.inFlight.Load()
	return errors.Join(fmt.Errorf("drain: %d requests cut off after %s: %w", cut, g.cfg.DrainTimeout, err), server.Close())
}
