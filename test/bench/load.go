package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// load is what one run of requests showed.
type load struct {
	rate     float64 // answers per second
	p50, p99 time.Duration
	count    int
}

// request gives the bytes of the n-th request of a client; the slice is used before the next call.
type request func(client, n int) []byte

// repeat sends the same bytes again and again.
func repeat(raw []byte) request { return func(int, int) []byte { return raw } }

// run has clients send requests to addr, each on a connection of its own and one after the other, for the given time. An answer outside
// 2xx ends it with an error. The client does as little as it can (fixed bytes out, length-delimited bytes in), since it shares the processors
// with what is measured.
func run(ctx context.Context, addr string, clients int, length time.Duration, next request, client driver) (load, error) {
	if client == nil {
		client = drive
	}
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	times := make([][]time.Duration, clients)
	errs := make([]error, clients)
	var wg sync.WaitGroup
	begun := time.Now()
	for c := range clients {
		wg.Go(func() { times[c], errs[c] = client(ctx, addr, c, next) })
	}
	wg.Wait()
	elapsed := time.Since(begun)
	var all []time.Duration
	for c := range clients {
		if errs[c] != nil {
			return load{}, errs[c]
		}
		all = append(all, times[c]...)
	}
	if len(all) == 0 {
		return load{}, fmt.Errorf("no answer from %s within %v", addr, length)
	}
	slices.Sort(all)
	return load{rate: float64(len(all)) / elapsed.Seconds(), p50: quantile(all, 0.5), p99: quantile(all, 0.99), count: len(all)}, nil
}

// driver is one client: it sends requests until ctx ends, and gives the time of each answer.
type driver func(ctx context.Context, addr string, client int, next request) ([]time.Duration, error)

// drive is a client of HTTP/1.1.
func drive(ctx context.Context, addr string, client int, next request) ([]time.Duration, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	reader := bufio.NewReaderSize(conn, 64<<10)
	var times []time.Duration
	for n := 0; ctx.Err() == nil; n++ {
		begun := time.Now()
		if _, err := conn.Write(next(client, n)); err != nil {
			return nil, err
		}
		if err := readAnswer(reader); err != nil {
			return nil, err
		}
		times = append(times, time.Since(begun))
	}
	return times, nil
}

// readAnswer reads one HTTP/1.1 answer with a Content-Length or chunks.
func readAnswer(r *bufio.Reader) error {
	status, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	good := len(status) > 9 && status[9] == '2'
	line := string(bytes.TrimSpace(status))
	length, chunked := 0, false
	for {
		header, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		header = bytes.TrimRight(header, "\r\n")
		if len(header) == 0 {
			break
		}
		if value, ok := headerValue(header, "content-length:"); ok {
			if length, err = strconv.Atoi(value); err != nil {
				return fmt.Errorf("answer %q: content length %q", line, value)
			}
		}
		if value, ok := headerValue(header, "transfer-encoding:"); ok {
			chunked = value == "chunked"
		}
	}
	if chunked {
		return skipChunks(r, line, good)
	}
	if good {
		_, err = r.Discard(length)
		return err
	}
	body := make([]byte, length)
	_, err = io.ReadFull(r, body)
	return fmt.Errorf("answer %q: %s (%v)", line, body, err)
}

func headerValue(header []byte, name string) (string, bool) {
	if len(header) < len(name) || !strings.EqualFold(string(header[:len(name)]), name) {
		return "", false
	}
	return string(bytes.TrimSpace(header[len(name):])), true
}

func skipChunks(r *bufio.Reader, line string, good bool) error {
	for {
		head, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		size, err := strconv.ParseInt(string(bytes.TrimSpace(head)), 16, 32)
		if err != nil {
			return fmt.Errorf("answer %q: chunk %q", line, head)
		}
		if _, err := r.Discard(int(size) + 2); err != nil {
			return err
		}
		if size == 0 {
			if !good {
				return fmt.Errorf("answer %q", line)
			}
			return nil
		}
	}
}

func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[min(int(float64(len(sorted))*q), len(sorted)-1)]
}

// median of the middle of several figures.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	if len(sorted) == 0 {
		return 0
	}
	return sorted[len(sorted)/2]
}

// raw makes the bytes of an HTTP/1.1 request.
func raw(method, addr, path string, body []byte, headers ...string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, path, addr)
	for i := 0; i+1 < len(headers); i += 2 {
		fmt.Fprintf(&b, "%s: %s\r\n", headers[i], headers[i+1])
	}
	if body != nil {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}
