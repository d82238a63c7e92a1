package function

import (
	"bufio"
	"encoding/hex"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The examples of the specification are what this package writes and reads.

var fence = regexp.MustCompile("(?s)```(http|hex)\n(.*?)\n```")

// examples gives the blocks of a kind.
func examples(t *testing.T, kind string) (blocks []string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/function-contract.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range fence.FindAllStringSubmatch(string(text), -1) {
		if match[1] == kind {
			blocks = append(blocks, match[2])
		}
	}
	return blocks
}

// wireForm ends the lines of the head as HTTP does.
func wireForm(block string) string {
	head, body, _ := strings.Cut(block, "\n\n")
	return strings.ReplaceAll(head, "\n", "\r\n") + "\r\n\r\n" + body
}

func TestContractPage(t *testing.T) {
	var calls []*Call
	var replies []*Reply
	for _, block := range examples(t, "http") {
		reader := bufio.NewReader(strings.NewReader(wireForm(block)))
		if strings.HasPrefix(block, "POST") {
			if call := exampleCall(t, reader, block); call != nil {
				calls = append(calls, call)
			}
			continue
		}
		answer, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatalf("%v\n%s", err, block)
		}
		body := readExample(t, answer.Body, answer.ContentLength, block)
		if answer.StatusCode > 299 {
			continue
		}
		reply, err := DecodeResponse(answer.Header.Get("Content-Type"), body, Limits{})
		if err != nil {
			t.Fatalf("%v\n%s", err, block)
		}
		replies = append(replies, reply)
	}
	if len(calls) != 1 || len(replies) != 4 {
		t.Fatalf("the page shows %d calls and %d replies", len(calls), len(replies))
	}
	if r := replies[1]; len(r.Set) != 2 || len(r.Delete) != 1 || len(r.Events) != 1 || string(r.Events[0].Data) != `{"by":1}` {
		t.Errorf("the full reply is %+v", r)
	}
	binary := examples(t, "hex")
	if len(binary) != 2 {
		t.Fatalf("the page shows %d binary bodies", len(binary))
	}
	for i, want := range [][]byte{EncodeCall(Binary, calls[0]), EncodeReply(Binary, replies[0])} {
		text := strings.NewReplacer(" ", "", "\n", "").Replace(binary[i])
		if text != hex.EncodeToString(want) {
			t.Errorf("binary body %d is\n%s, and the page shows\n%s", i, hex.EncodeToString(want), text)
		}
	}
}

// exampleCall checks a request of the page against what this package makes of the same call; nil for a request to the gateway.
func exampleCall(t *testing.T, reader *bufio.Reader, block string) *Call {
	t.Helper()
	request, err := http.ReadRequest(reader)
	if err != nil {
		t.Fatalf("%v\n%s", err, block)
	}
	body := readExample(t, request.Body, request.ContentLength, block)
	form, ok := CallForm(request.Header.Get("Content-Type"))
	if !ok {
		return nil
	}
	call, err := DecodeCall(form, body, Limits{})
	if err != nil {
		t.Fatalf("%v\n%s", err, block)
	}
	if again := string(EncodeCall(form, call)); again != string(body) {
		t.Errorf("the call is\n%s, and the page shows\n%s", again, body)
	}
	meta, err := ReadMeta(request.Header)
	if err != nil || meta.Deadline.IsZero() || meta.Deadline.Location() != time.UTC {
		t.Errorf("headers: %+v, %v", meta, err)
	}
	made := http.Header{}
	SetHeaders(made, form, call, &meta)
	request.Header.Del("Content-Length")
	for name := range request.Header {
		if made.Get(name) != request.Header.Get(name) {
			t.Errorf("header %s is %q, and the page shows %q", name, made.Get(name), request.Header.Get(name))
		}
	}
	if len(made) != len(request.Header) {
		t.Errorf("the headers are %v, and the page shows %v", made, request.Header)
	}
	return call
}

func readExample(t *testing.T, body io.Reader, length int64, block string) []byte {
	t.Helper()
	text, err := io.ReadAll(body)
	if err != nil || int64(len(text)) != max(length, 0) {
		t.Fatalf("%d bytes of %d, %v\n%s", len(text), length, err, block)
	}
	_, shown, _ := strings.Cut(block, "\n\n")
	if strings.TrimSpace(shown) != string(text) {
		t.Errorf("Content-Length cuts the body\n%s", block)
	}
	return text
}

// The page lists the limits, and they are those of the code.
func TestContractPageLimits(t *testing.T) {
	text, err := os.ReadFile("../../docs/function-contract.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"| entries set and deleted by one reply | 10,000 |", "| events of one reply | 1,000 |", "| key of an entry | 160 characters |",
	} {
		if !strings.Contains(string(text), line) {
			t.Errorf("the page does not say %q", line)
		}
	}
	if DefaultChanges != 10_000 || DefaultEvents != 1_000 || DefaultKey != 160 || maxEventText != 1024 || maxExtensions != 64 {
		t.Error("the limits have changed: change the page too")
	}
}
