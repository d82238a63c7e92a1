package pm

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/hpcclab/oaas-go/internal/openapi"
	"github.com/hpcclab/oaas-go/internal/openapi/conform"
)

// place is an Environment that only keeps its units.
type place struct {
	name string

	mu      sync.Mutex
	units   map[string]Unit
	refuse  error // what Deploy and Delete give
	silent  error // what Runtimes and Health give
	entered chan struct{}
	gate    chan struct{} // Deploy waits for it, if there is one
	deploys int
}

func newPlace(name string) *place { return &place{name: name, units: map[string]Unit{}} }

func (p *place) Name() string { return p.name }

func (p *place) Deploy(ctx context.Context, units []Unit, tell func(Step)) error {
	if p.gate != nil {
		p.entered <- struct{}{}
		select {
		case <-p.gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deploys++
	if p.refuse != nil {
		return p.refuse
	}
	for _, u := range units {
		tell(Step{Name: "deploy", Message: u.ID})
		p.units[u.ID] = u
	}
	return nil
}

func (p *place) Delete(_ context.Context, ids []string, _ bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuse != nil {
		return p.refuse
	}
	for _, id := range ids {
		delete(p.units, id)
	}
	return nil
}

func (p *place) Runtimes(context.Context) ([]Runtime, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.silent != nil {
		return nil, p.silent
	}
	var list []Runtime
	for _, id := range slices.Sorted(maps.Keys(p.units)) {
		u := p.units[id]
		list = append(list, Runtime{
			ID: id, DeploymentUnitID: id, PackageName: u.Package.Name, ClassKey: u.Package.Name + "." + u.Deployment.ClassKey, TargetEnvironment: p.name,
			Status:       &RuntimeStatus{Condition: ConditionRunning, Phase: PhaseRunning, Message: new("Available"), LastUpdated: "2026-01-01T00:00:00Z"},
			ResourceRefs: []ResourceRef{}, PartitionCount: 1,
		})
	}
	return list, nil
}

func (p *place) Health(context.Context) (Health, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Health{ClusterName: p.name, Status: Healthy, LastSeen: "2026-01-01T00:00:00Z"}, p.silent
}

func (p *place) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

// ids gives what runs.
func (p *place) ids() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Sorted(maps.Keys(p.units))
}

var errRefused = errors.New("the place refuses")

// rig is a manager over two places, served.
type rig struct {
	t             *testing.T
	m             *Manager
	store         Store
	first, second *place
	url           string
}

func newRig(t *testing.T, change ...func(*Options)) *rig {
	t.Helper()
	r := &rig{t: t, store: NewMemory(), first: newPlace("one"), second: newPlace("two")}
	opt := Options{Store: r.store, Environments: []Environment{r.first, r.second}, ArtifactDir: t.TempDir()}
	for _, c := range change {
		c(&opt)
	}
	r.store = opt.Store
	var err error
	if r.m, err = New(opt); err != nil {
		t.Fatal(err)
	}
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.UseRawPath, engine.UnescapePathValues, engine.HandleMethodNotAllowed = true, false, true
	r.m.Routes(engine)
	server := httptest.NewServer(engine)
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

// documented checks answers against the document of the package's operations.
var documented = sync.OnceValue(func() *conform.Checker {
	s := openapi.NewSchemas()
	text, err := openapi.Document(openapi.Info{}, s, Operations(s))
	if err != nil {
		panic(err)
	}
	checker, err := conform.New(text)
	if err != nil {
		panic(err)
	}
	return checker
})

// TestMain makes sure that the tests together had every answer of success that is documented.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 && flag.Lookup("test.run").Value.String() == "" {
		if unseen := documented().Unseen(); len(unseen) > 0 {
			fmt.Println("no test has had these documented answers:", unseen)
			code = 1
		}
	}
	os.Exit(code)
}

type answer struct {
	status int
	header http.Header
	body   string
}

// do sends a request with a body in JSON, unless a header "Content-Type: …" is given, and checks the answer against the OpenAPI document.
func (r *rig) do(method, path, body string, headers ...string) answer {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	if method != http.MethodHead {
		if err := documented().Check(method, req.URL.EscapedPath(), resp.StatusCode, resp.Header.Get("Content-Type"), text); err != nil {
			r.t.Errorf("the answer is not as documented: %v", err)
		}
	}
	return answer{resp.StatusCode, resp.Header, string(text)}
}

// must sends a request that has to be answered with that status.
func (r *rig) must(status int, method, path, body string) string {
	r.t.Helper()
	a := r.do(method, path, body)
	if a.status != status {
		r.t.Fatalf("%s %s: status %d, want %d\n%s", method, path, a.status, status, a.body)
	}
	return a.body
}

// everything gives all that is recorded and all that runs.
func (r *rig) everything() string {
	r.t.Helper()
	return dump(r.t, r.store, "") + "\n" + strings.Join(r.first.ids(), " ") + "\n" + strings.Join(r.second.ids(), " ")
}

const shop = `{"name": "shop", "version": "1.0.0", "metadata": {"author": "a", "tags": ["t"]}, "classes": [{"key": "Cart", "function_bindings": [{"name": "add", "function_key": "add", "access_modifier": "PUBLIC"}], "state_spec": {"consistency_model": "STRONG", "persistent": true}}], "functions": [{"key": "add", "function_type": "CUSTOM", "provision_config": {"container_image": "img:1", "port": 8080}, "config": {"K": "V"}}], "dependencies": []}`

const cart = `{"key":"d1","package_name":"shop","class_key":"Cart"}`

// withShop registers the sample package and deploys its class to both places.
func (r *rig) withShop() *rig {
	r.t.Helper()
	r.must(http.StatusCreated, "POST", "/api/v1/packages", shop)
	r.must(http.StatusOK, "POST", "/api/v1/deployments", cart)
	return r
}
