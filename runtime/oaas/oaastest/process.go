package oaastest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/hpcclab/oaas-go/api/function"
)

// Time that a process has to listen, and to end after it was asked to.
const processTime = 30 * time.Second

// Process is a function that runs as a process of its own, in any language, as the platform starts it.
type Process struct {
	// URL is where it listens.
	URL string

	cmd    *exec.Cmd
	output output
	ended  chan struct{}
	err    error // of the process; set when ended is closed
	client http.Client
}

// output keeps what a process prints.
type output struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

// Write appends to what is kept.
func (o *output) Write(p []byte) (int, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.text.Write(p)
}

// Start runs a program in a folder with PORT set to a free port, and returns when it listens there. The program is killed when the test ends.
func Start(t testing.TB, dir string, argv ...string) *Process {
	t.Helper()
	address, err := freeAddress()
	if err != nil {
		t.Fatalf("oaastest: %v", err)
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatalf("oaastest: %v", err)
	}
	p := &Process{URL: "http://" + address, cmd: exec.Command(argv[0], argv[1:]...), ended: make(chan struct{})}
	p.client.Transport = &http.Transport{}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, &p.output, &p.output
	p.cmd.Env = append(os.Environ(), "PORT="+port, "OAAS_HOST=127.0.0.1", "PYTHONDONTWRITEBYTECODE=1")
	p.cmd.WaitDelay = time.Second // its children may hold the output open
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("oaastest: start %v: %v", argv, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.client.CloseIdleConnections()
		if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("oaastest: kill %v: %v", argv, err)
		}
		<-p.ended
	})
	if err := p.listens(address); err != nil {
		t.Fatalf("oaastest: %v: %v\n%s", argv, err, p.Output())
	}
	return p
}

func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// listens waits until the process accepts connections.
func (p *Process) listens(address string) error {
	late := time.After(processTime)
	for {
		connection, err := net.Dial("tcp", address)
		if err == nil {
			return connection.Close()
		}
		select {
		case <-p.ended:
			return fmt.Errorf("it has ended: %w", p.err)
		case <-late:
			return fmt.Errorf("it does not listen: %w", err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// Output gives what the process has printed so far.
func (p *Process) Output() string {
	p.output.mutex.Lock()
	defer p.output.mutex.Unlock()
	return p.output.text.String()
}

// Send sends a call in the JSON form, which every function must understand, and gives the checked reply. A function that fails gives an
// [*oaas.Error] with its status.
func (p *Process) Send(call *function.Call, meta *function.Meta) (*function.Reply, error) {
	request, err := http.NewRequest(http.MethodPost, p.URL+"/", bytes.NewReader(function.EncodeCall(function.JSON, call)))
	if err != nil {
		return nil, err
	}
	function.SetHeaders(request.Header, function.JSON, call, meta)
	answer, err := p.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("call %s: %w", call.Method, err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, fmt.Errorf("call %s: read the answer: %w", call.Method, err)
	}
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return nil, failure(answer.StatusCode, body)
	}
	return function.DecodeResponse(answer.Header.Get("Content-Type"), body, function.Limits{})
}

// Stop asks the process to end, as the platform does, and gives the error that it ended with.
func (p *Process) Stop() error {
	if err := terminate(p.cmd.Process); err != nil {
		return fmt.Errorf("ask the process to stop: %w", err)
	}
	select {
	case <-p.ended:
		return p.err
	case <-time.After(processTime):
		return fmt.Errorf("the process still runs %v after it was asked to stop", processTime)
	}
}
