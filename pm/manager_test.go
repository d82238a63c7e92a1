package pm

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/opackage"
)

func document(t *testing.T, text string) *opackage.Package {
	t.Helper()
	p, err := opackage.ParseJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A deployment that is posted again updates its units: none is made anew, none is left behind.
func TestUpdateNeverLeaks(t *testing.T) {
	r := newRig(t).withShop()
	one, two := r.first.ids(), r.second.ids()
	if len(one) != 1 || len(two) != 1 || !strings.HasPrefix(one[0], "cart-") || len(one[0]) != len("cart-")+8 {
		t.Fatalf("units %v, %v", one, two)
	}
	first := r.must(200, "GET", "/api/v1/deployments/d1", "")
	for _, method := range []string{"POST /api/v1/deployments", "PUT /api/v1/deployments/d1"} {
		verb, path, _ := strings.Cut(method, " ")
		got := parse[changed](t, r.must(200, verb, path, cart))
		if got.ID != one[0] || got.Status != "updated" || !slices.Equal(r.first.ids(), one) || !slices.Equal(r.second.ids(), two) {
			t.Errorf("%s: %+v, units %v, %v", method, got, r.first.ids(), r.second.ids())
		}
	}
	a, b := parse[opackage.Deployment](t, first), parse[opackage.Deployment](t, r.must(200, "GET", "/api/v1/deployments/d1", ""))
	if !a.CreatedAt.Equal(b.CreatedAt) || !b.UpdatedAt.After(a.UpdatedAt) || b.Condition != opackage.Running {
		t.Errorf("before %+v\nafter %+v", a, b)
	}
	// It leaves an environment, whose unit ends; one that cannot be ended now is ended later.
	r.second.set(func() { r.second.refuse = errRefused })
	r.must(200, "POST", "/api/v1/deployments", `{"key":"d1","package_name":"shop","class_key":"Cart","target_envs":["one"]}`)
	if !slices.Equal(r.second.ids(), two) {
		t.Fatalf("the second place has %v", r.second.ids())
	}
	r.second.set(func() { r.second.refuse = nil })
	if err := r.m.Reconcile(t.Context()); err != nil || len(r.second.ids()) != 0 || !slices.Equal(r.first.ids(), one) {
		t.Errorf("left are %v and %v, %v", r.first.ids(), r.second.ids(), err)
	}
	mapped := parse[mappings](t, r.must(200, "GET", "/api/v1/deployments/d1/env-mappings", ""))
	if len(mapped.EnvIDs) != 1 || mapped.ClusterIDs["one"] != one[0] {
		t.Errorf("mappings %+v", mapped)
	}
	r.must(200, "DELETE", "/api/v1/deployments/d1", "")
	if len(r.first.ids()) != 0 || dump(t, r.store, deploymentPrefix) != "" {
		t.Errorf("left are %v, %s", r.first.ids(), dump(t, r.store, deploymentPrefix))
	}
}

// When one environment fails, the others and the records are as before.
func TestFailedRolloutIsUndone(t *testing.T) {
	r := newRig(t)
	r.must(201, "POST", "/api/v1/packages", shop)
	r.second.set(func() { r.second.refuse = fault.New(fault.InvalidArgument, "no room") })
	before := r.everything()
	if got := r.do("POST", "/api/v1/deployments", cart); got.status != 400 || !strings.Contains(got.body, "environment two: no room") {
		t.Errorf("a new deployment: %d %s", got.status, got.body)
	}
	if after := r.everything(); after != before {
		t.Errorf("changed:\n%s\n%s", before, after)
	}
	r.second.set(func() { r.second.refuse = nil })
	r.must(200, "POST", "/api/v1/deployments", cart)
	r.must(200, "POST", "/api/v1/packages/shop", strings.Replace(shop, `"K": "V"`, `"K": "W"`, 1))
	r.second.set(func() { r.second.refuse = errRefused })
	before = r.everything()
	if got := r.do("POST", "/api/v1/deployments", cart); got.status != 500 {
		t.Errorf("an update: %d %s", got.status, got.body)
	}
	if after := r.everything(); after != before {
		t.Errorf("changed:\n%s\n%s", before, after)
	}
	for _, u := range r.first.units {
		if u.Package.Functions[0].Config["K"] != "V" {
			t.Errorf("the first place runs the new version: %+v", u.Package.Functions[0].Config)
		}
	}
}

func TestApply(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Environments = o.Environments[:1] })
	apply := func(text string) error {
		p := document(t, text)
		return r.m.Apply(t.Context(), "s", func() (*opackage.Package, string, error) { return p, "/src", nil }, func(Step) {})
	}
	class := func(keys ...string) string {
		var classes []string
		for _, key := range keys {
			classes = append(classes, `{"key":"`+key+`","function_bindings":[{"name":"m","function_key":"f"}]}`)
		}
		return `{"name":"s","classes":[` + strings.Join(classes, ",") + `],"functions":[{"key":"f"}]}`
	}
	if err := apply(class("a", "b")); err != nil {
		t.Fatal(err)
	}
	before := r.first.ids()
	if len(before) != 2 || r.first.deploys != 1 {
		t.Errorf("%d deploys, units %v", r.first.deploys, before)
	}
	if err := apply(class("a", "c")); err != nil {
		t.Fatal(err)
	}
	after := r.first.ids()
	if len(after) != 2 || after[0] != before[0] || !strings.HasPrefix(after[1], "c-") {
		t.Errorf("units %v, before %v", after, before)
	}
	r.first.set(func() { r.first.refuse = errRefused })
	recorded := r.everything()
	if err := apply(class("a", "d")); !errors.Is(err, errRefused) || r.everything() != recorded {
		t.Errorf("%v, changed:\n%s\n%s", err, recorded, r.everything())
	}
	r.first.set(func() { r.first.refuse = nil })
	if list, _ := r.m.Versions(t.Context(), "s"); len(list) != 2 {
		t.Errorf("versions %+v", list)
	}
	r.must(201, "POST", "/api/v1/packages", `{"name":"user","dependencies":["s"]}`)
	if err := r.m.Remove(t.Context(), "s", false); fault.CodeOf(err) != fault.Conflict || len(r.first.ids()) != 2 {
		t.Errorf("depended on: %v, units %v", err, r.first.ids())
	}
	r.must(204, "DELETE", "/api/v1/packages/user", "")
	if err := r.m.Remove(t.Context(), "s", false); err != nil || dump(t, r.store, "") != "" || len(r.first.ids()) != 0 {
		t.Errorf("%v, left: %s %v", err, dump(t, r.store, ""), r.first.ids())
	}
}

// What a crash interrupted is found by its record, and finished.
func TestReconcile(t *testing.T) {
	r := newRig(t).withShop()
	unit := r.first.ids()[0]
	mark := func(condition opackage.DeploymentCondition) {
		d, err := r.m.deploymentRecord(t.Context(), "d1")
		if err != nil {
			t.Fatal(err)
		}
		d.Pending, d.Deployment.Condition = true, condition
		change, err := set(deploymentPrefix+"d1", d)
		if err != nil {
			t.Fatal(err)
		}
		write(t, r.store, change)
	}
	r.first.set(func() { clear(r.first.units) })
	d := parse[opackage.Deployment](t, r.must(200, "GET", "/api/v1/deployments/d1", ""))
	if d.Condition != opackage.Down || d.Status.LastError == nil || !strings.Contains(*d.Status.LastError, "environment one does not know the unit "+unit) {
		t.Errorf("a unit that is gone: %s %+v", d.Condition, d.Status)
	}
	if err := r.m.Reconcile(t.Context()); err != nil || !slices.Equal(r.first.ids(), []string{unit}) {
		t.Errorf("%v, units %v", err, r.first.ids())
	}
	mark(opackage.Deploying)
	if d := parse[opackage.Deployment](t, r.must(200, "GET", "/api/v1/deployments/d1", "")); d.Condition != opackage.Deploying {
		t.Errorf("interrupted: %s", d.Condition)
	}
	if err := r.m.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d := parse[opackage.Deployment](t, r.must(200, "GET", "/api/v1/deployments/d1", "")); d.Condition != opackage.Running {
		t.Errorf("finished: %s", d.Condition)
	}
	r.first.set(func() { r.first.silent = errRefused })
	d = parse[opackage.Deployment](t, r.must(200, "GET", "/api/v1/deployments/d1", ""))
	if d.Condition != opackage.Pending || !strings.Contains(*d.Status.LastError, "environment one does not answer") {
		t.Errorf("a silent environment: %s %+v", d.Condition, d.Status)
	}
	if got := r.do("GET", "/api/v1/class-runtimes?env=one", ""); got.status != 503 {
		t.Errorf("runtimes of a silent environment: %d %s", got.status, got.body)
	}
	r.first.set(func() { r.first.silent = nil })
	mark(opackage.Deleted)
	if err := r.m.Reconcile(t.Context()); err != nil || len(r.first.ids())+len(r.second.ids()) != 0 || dump(t, r.store, deploymentPrefix) != "" {
		t.Errorf("%v, left %v %v", err, r.first.ids(), r.second.ids())
	}
}

// Changes of one package wait for each other; those of others do not, and a caller that gives up leaves nothing.
func TestChangesAtOnce(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Environments = o.Environments[:1] })
	r.must(201, "POST", "/api/v1/packages", shop)
	r.must(201, "POST", "/api/v1/packages", strings.Replace(shop, `"shop"`, `"other"`, 1))
	r.first.entered, r.first.gate = make(chan struct{}, 9), make(chan struct{})
	deploy := func(ctx context.Context, key, pkg string) error {
		_, _, err := r.m.Deploy(ctx, &opackage.Deployment{Key: key, PackageName: pkg, ClassKey: "Cart"})
		return err
	}
	ctx, giveUp := context.WithCancel(t.Context())
	var all sync.WaitGroup
	gaveUp := make(chan error, 1)
	all.Go(func() { gaveUp <- deploy(ctx, "d1", "shop") })
	<-r.first.entered
	all.Go(func() {
		if err := deploy(t.Context(), "d9", "other"); err != nil {
			t.Errorf("another package: %v", err)
		}
	})
	<-r.first.entered
	giveUp()
	if err := <-gaveUp; !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	r.must(404, "GET", "/api/v1/deployments/d1", "")

	for range 3 {
		all.Go(func() {
			if err := deploy(t.Context(), "d1", "shop"); err != nil {
				t.Errorf("deploy: %v", err)
			}
		})
	}
	<-r.first.entered
	all.Go(func() { // while it is deployed
		if _, err := r.m.Undeploy(t.Context(), "d1", false); err != nil && fault.CodeOf(err) != fault.NotFound {
			t.Errorf("delete: %v", err)
		}
	})
	close(r.first.gate)
	all.Wait()
	_, err := r.m.Deployment(t.Context(), "d1")
	if deployed := err == nil; deployed != (len(r.first.ids()) == 2) {
		t.Errorf("recorded: %v; runs: %v", deployed, r.first.ids())
	}
	if len(r.m.claims.tokens) != 0 {
		t.Errorf("%d tokens are left", len(r.m.claims.tokens))
	}
}

func TestDeleteCascade(t *testing.T) {
	r := newRig(t, func(o *Options) { o.DeleteCascade = true }).withShop()
	r.must(204, "DELETE", "/api/v1/packages/shop", "")
	if dump(t, r.store, "") != "" || len(r.first.ids()) != 0 {
		t.Errorf("left: %s %v", dump(t, r.store, ""), r.first.ids())
	}
}

func TestDeleteClass(t *testing.T) {
	r := newRig(t)
	r.must(201, "POST", "/api/v1/packages", `{"name":"s.t","classes":[{"key":"a","function_bindings":[{"name":"m","function_key":"f"}]},
		{"key":"b","triggers":[{"name":"t","on":"entry.created","target":{"class":"a","method":"m"}}]}],"functions":[{"key":"f"}]}`)
	if got := r.do("DELETE", "/api/v1/classes/s.t.a", ""); got.status != 409 || !strings.Contains(got.body, "needs its class a") {
		t.Errorf("a class that another one calls: %d %s", got.status, got.body)
	}
	r.must(204, "DELETE", "/api/v1/classes/s.t.b", "")
	r.must(204, "DELETE", "/api/v1/classes/s.t.a", "")
	r.must(404, "DELETE", "/api/v1/classes/s.t.a", "")
	if list, _ := r.m.Versions(t.Context(), "s.t"); len(list) != 3 {
		t.Errorf("versions %+v", list)
	}
}

func TestUnitID(t *testing.T) {
	for class, want := range map[string]string{"Cart": "cart-", "my_Class": "my-class-", "_x": "x-", "9a": "a9a-", "__": "a-", strings.Repeat("x", 99): strings.Repeat("x", 54) + "-"} {
		id := UnitID(class)
		if name := id[:len(id)-unitSuffixLen]; name != want {
			t.Errorf("%s: %s, want %s and eight characters", class, id, want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for _, o := range []Options{{}, {Store: NewMemory()}} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
}

// hesitant lets others go on between what a caller reads and what it does about it.
type hesitant struct{ Store }

func (s hesitant) List(ctx context.Context, prefix string) ([]Record, error) {
	defer runtime.Gosched()
	return s.Store.List(ctx, prefix)
}

func (s hesitant) Get(ctx context.Context, key string) (Record, error) {
	defer runtime.Gosched()
	return s.Store.Get(ctx, key)
}

// Of two packages that want one key at the same time one gets it: no unit runs that no record knows.
func TestKeyIsTakenOnce(t *testing.T) {
	one := opackage.Package{Name: "one", Classes: []opackage.Class{{Key: "C"}}}
	two := opackage.Package{Name: "two", Classes: []opackage.Class{{Key: "C"}}}
	whole := func(r *rig, p opackage.Package) error {
		p.Deployments = []opackage.Deployment{{Key: "d", PackageName: p.Name, ClassKey: "C", TargetEnvs: []string{"one"}}}
		return r.m.Apply(t.Context(), p.Name, func() (*opackage.Package, string, error) { return &p, "", nil }, func(Step) {})
	}
	single := func(r *rig, p opackage.Package) error {
		_, _, err := r.m.Deploy(t.Context(), &opackage.Deployment{Key: "d", PackageName: p.Name, ClassKey: "C", TargetEnvs: []string{"one"}})
		return err
	}
	for round := range 200 {
		r := newRig(t, func(o *Options) { o.Store = hesitant{o.Store} })
		deploy := whole
		if round%2 == 0 {
			deploy = single
			for _, p := range []*opackage.Package{&one, &two} {
				if err := r.m.CreatePackage(t.Context(), p); err != nil {
					t.Fatal(err)
				}
			}
		}
		var errs [2]error
		var all sync.WaitGroup
		all.Go(func() { errs[0] = deploy(r, one) })
		all.Go(func() { errs[1] = deploy(r, two) })
		all.Wait()
		if (errs[0] == nil) == (errs[1] == nil) || fault.CodeOf(errors.Join(errs[:]...)) != fault.AlreadyExists || len(r.first.ids()) != 1 {
			t.Fatalf("round %d: %v and %v; running are %v", round, errs[0], errs[1], r.first.ids())
		}
	}
}

// A version that was registered while a rollout ran stays when the rollout fails and its own documents are put back.
func TestFailedRolloutUndoesOnlyItself(t *testing.T) {
	r := newRig(t).withShop()
	r.first.entered, r.first.gate = make(chan struct{}, 9), make(chan struct{})
	version := func(text string) *opackage.Package {
		p := document(t, shop)
		p.Version = &text
		return p
	}
	var applied, updated error
	var all sync.WaitGroup
	all.Go(func() {
		source := func() (*opackage.Package, string, error) { return version("2"), "", nil }
		applied = r.m.Apply(t.Context(), "shop", source, func(Step) {})
	})
	<-r.first.entered
	done := make(chan struct{})
	all.Go(func() {
		defer close(done)
		updated = r.m.UpdatePackage(t.Context(), version("3"))
	})
	waits := func() bool {
		r.m.claims.mu.Lock()
		defer r.m.claims.mu.Unlock()
		return r.m.claims.tokens["shop"].users == 2
	}
	for over := false; !over && !waits(); {
		select {
		case <-done:
			over = true
		default:
			runtime.Gosched()
		}
	}
	r.first.set(func() { r.first.refuse = errRefused })
	close(r.first.gate)
	all.Wait()
	p, err := r.m.Package(t.Context(), "shop")
	if !errors.Is(applied, errRefused) || updated != nil || err != nil || *p.Version != "3" {
		t.Errorf("the rollout gave %v, the update %v; version %v, %v", applied, updated, p, err)
	}
}
