package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// client keeps its connections, as a busy client does.
var client = &http.Client{
	Transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}, Timeout: 60 * time.Second,
}

// answer is what the platform answered.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// code gives the code of an error answer, or "".
func (a *answer) code() string {
	var document struct {
		Error struct {
			Code string `json:"code"`
		} `json:"error"`
	}
	_ = json.Unmarshal(a.body, &document) // another body has no code
	return document.Error.Code
}

func (a *answer) String() string { return fmt.Sprintf("%d %.600s", a.status, a.body) }

// send makes one request; headers are name, value, name, value, …
func (p *platform) send(method, path string, body []byte, headers ...string) (*answer, error) {
	request, err := http.NewRequest(method, p.url(path), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return &answer{response.StatusCode, response.Header, text}, err
}

// do is send for requests that must be answered.
func (p *platform) do(method, path string, body []byte, headers ...string) *answer {
	p.t.Helper()
	a, err := p.send(method, path, body, headers...)
	if err != nil {
		p.t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

// must is do for requests that must succeed.
func (p *platform) must(method, path string, body []byte, headers ...string) *answer {
	p.t.Helper()
	a := p.do(method, path, body, headers...)
	if a.status > 299 {
		p.t.Fatalf("%s %s: %s", method, path, a)
	}
	return a
}

// call calls a method with a JSON payload.
func (p *platform) call(class, object, method string, payload any, headers ...string) *answer {
	p.t.Helper()
	text, err := json.Marshal(payload)
	if err != nil {
		p.t.Fatal(err)
	}
	return p.do(http.MethodPost, methodPath(class, object, method), text, append(headers, "Content-Type", "application/json")...)
}

func objectPath(class, object string) string { return "/api/class/" + class + "/_/objects/" + object }
func methodPath(class, object, method string) string {
	return objectPath(class, object) + "/invokes/" + method
}

// object is the state of an object as text, by key; nil if there is none.
func (p *platform) object(class, id string) map[string]string {
	p.t.Helper()
	a := p.do(http.MethodGet, objectPath(class, id), nil, "Accept", "application/json")
	if a.status == http.StatusNotFound && a.code() == "NO_OBJECT" {
		return nil
	}
	var document struct {
		Entries map[string]struct {
			Data []byte `json:"data"`
		} `json:"entries"`
	}
	if err := json.Unmarshal(a.body, &document); err != nil || a.status != http.StatusOK {
		p.t.Fatalf("get %s/%s: %s: %v", class, id, a, err)
	}
	entries := map[string]string{}
	for key, value := range document.Entries {
		entries[key] = string(value.Data)
	}
	return entries
}

// number gives an entry that is a number; 0 if it is not there.
func (p *platform) number(class, id, key string) int {
	p.t.Helper()
	text, found := p.object(class, id)[key]
	if !found {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		p.t.Fatalf("%s/%s has %s = %q", class, id, key, text)
	}
	return n
}

// version gives the version of an object; 0 if there is none.
func (p *platform) version(class, id string) int {
	p.t.Helper()
	a := p.do(http.MethodHead, objectPath(class, id), nil)
	n, _ := strconv.Atoi(a.header.Get("Oaas-Object-Version"))
	return n
}

// listed is an object in a listing.
type listed struct {
	ID      string `json:"object_id"`
	Version int    `json:"version"`
	Entries int    `json:"entry_count"`
}

// objects lists a class, page by page.
func (p *platform) objects(class string) []listed {
	p.t.Helper()
	var all []listed
	for cursor := ""; ; {
		var page struct {
			Objects []listed `json:"objects"`
			Next    string   `json:"next_cursor"`
		}
		a := p.must(http.MethodGet, "/api/class/"+class+"/_/objects?limit=1000&cursor="+cursor, nil)
		if err := json.Unmarshal(a.body, &page); err != nil {
			p.t.Fatalf("list %s: %v", class, err)
		}
		all = append(all, page.Objects...)
		if cursor = page.Next; cursor == "" {
			return all
		}
	}
}

// dump gives everything that is stored of a class: objects with their versions, triggers and entries.
func (p *platform) dump(class string) string {
	p.t.Helper()
	var text strings.Builder
	for _, o := range p.objects(class) {
		fmt.Fprintf(&text, "%s v%d %d\n", o.ID, o.Version, o.Entries)
		path := objectPath(class, o.ID)
		fmt.Fprintf(&text, "%s\n", p.must(http.MethodGet, path, nil, "Accept", "application/json").body)
		fmt.Fprintf(&text, "%s\n", p.must(http.MethodGet, path+"/entries?limit=1000", nil).body)
	}
	fmt.Fprintf(&text, "%s\n", p.must(http.MethodGet, "/api/class/"+class+"/_/dead-letters", nil).body)
	return text.String()
}

// metric adds up the samples of a metric.
func (p *platform) metric(name string) float64 {
	p.t.Helper()
	total := 0.0
	for line := range strings.Lines(string(p.must(http.MethodGet, "/metrics", nil).body)) {
		fields := strings.Fields(line)
		if len(fields) >= 2 && (fields[0] == name || strings.HasPrefix(fields[0], name+"{")) {
			value, err := strconv.ParseFloat(fields[len(fields)-1], 64)
			if err != nil {
				p.t.Fatalf("metric %s: %v", line, err)
			}
			total += value
		}
	}
	return total
}

// drained waits until no event is on its way.
func (p *platform) drained() {
	p.t.Helper()
	p.until("no event is on its way", func() bool { return p.metric("oaas_outbox_pending") == 0 })
}
