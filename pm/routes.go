package pm

import (
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/opackage"
)

const (
	pathPackage    = Prefix + "/packages/:name"
	pathDeployment = Prefix + "/deployments/:key"
	pathArtifact   = Prefix + "/artifacts/:id"
	pathScripts    = Prefix + "/scripts"
)

// routes are all routes but the proxy to the gateway.
var routes = []route{
	{http.MethodGet, Prefix + "/packages", listPackages},
	{http.MethodPost, Prefix + "/packages", createPackage},
	{http.MethodGet, pathPackage, getPackage},
	{http.MethodPost, pathPackage, updatePackage},
	{http.MethodDelete, pathPackage, deletePackage},
	{http.MethodGet, pathPackage + "/versions", listVersions},
	{http.MethodGet, pathPackage + "/versions/:version", getVersion},
	{http.MethodGet, pathPackage + "/diff", diffVersions},

	{http.MethodGet, Prefix + "/deployments", listDeployments},
	{http.MethodPost, Prefix + "/deployments", createDeployment},
	{http.MethodGet, pathDeployment, getDeployment},
	{http.MethodPut, pathDeployment, putDeployment},
	{http.MethodDelete, pathDeployment, deleteDeployment},
	{http.MethodGet, pathDeployment + "/cluster-mappings", getMappings},
	{http.MethodGet, pathDeployment + "/env-mappings", getMappings},

	{http.MethodGet, Prefix + "/class-runtimes", listRuntimes},
	{http.MethodGet, Prefix + "/class-runtimes/:id", getRuntime},
	{http.MethodGet, Prefix + "/deployment-status/:id", getStatus},

	{http.MethodGet, Prefix + "/envs", listEnvs},
	{http.MethodGet, Prefix + "/envs/health", listHealth},
	{http.MethodGet, Prefix + "/envs/:name/health", getHealth},

	{http.MethodGet, Prefix + "/classes", listClasses},
	{http.MethodDelete, Prefix + "/classes/:name", deleteClass},
	{http.MethodGet, Prefix + "/functions", listFunctions},
	{http.MethodGet, Prefix + "/topology", getTopology},

	{http.MethodGet, Prefix + "/artifacts", listArtifacts},
	{http.MethodPost, Prefix + "/artifacts", postArtifact},
	{http.MethodGet, pathArtifact, getArtifact},
	{http.MethodPut, pathArtifact, putArtifact},
	{http.MethodDelete, pathArtifact, deleteArtifact},

	{http.MethodPost, pathScripts + "/compile", noScripts},
	{http.MethodPost, pathScripts + "/build", noScripts},
	{http.MethodPost, pathScripts + "/deploy", noScripts},
	{http.MethodPost, pathScripts + "/test", noScripts},
	{http.MethodGet, pathScripts + "/:package/:function", noScripts},
}

// changed is what OaaS-RS answers to a change.
type changed struct {
	ID      string `json:"id"`
	Status  string `json:"status"`
	Message string `json:"message"`
	// Warnings are what the document asks for and does not get.
	Warnings []opackage.Problem `json:"warnings,omitempty"`
}

func listPackages(x *exchange) error {
	disabled, err := x.flag("disabled")
	if err != nil {
		return err
	}
	f := PackageFilter{NamePattern: x.query("name_pattern"), Disabled: disabled}
	for _, text := range x.c.QueryArray("tags") {
		for tag := range strings.SplitSeq(text, ",") {
			if tag != "" {
				f.Tags = append(f.Tags, tag)
			}
		}
	}
	list, err := x.m.Packages(x.c.Request.Context(), f)
	if err != nil {
		return err
	}
	return sendPage(x, list)
}

func createPackage(x *exchange) error {
	p, err := read(x, opackage.ParseJSON)
	if err != nil {
		return err
	}
	if err := x.m.CreatePackage(x.c.Request.Context(), p); err != nil {
		return err
	}
	return x.send(http.StatusCreated, changed{p.Name, "created", "Package created successfully", p.Warnings()})
}

func getPackage(x *exchange) error {
	p, err := x.m.Package(x.c.Request.Context(), x.param("name"))
	if err != nil {
		return err
	}
	return x.send(http.StatusOK, p)
}

func updatePackage(x *exchange) error {
	p, err := read(x, opackage.ParseJSON)
	if err != nil {
		return err
	}
	if name := x.param("name"); p.Name != name {
		return fault.New(fault.InvalidArgument, "Package name mismatch: the path says %s, the document %s", name, p.Name)
	}
	if err := x.m.UpdatePackage(x.c.Request.Context(), p); err != nil {
		return err
	}
	return x.send(http.StatusOK, changed{p.Name, "updated", "Package updated successfully", p.Warnings()})
}

func deletePackage(x *exchange) error {
	if err := x.m.DeletePackage(x.c.Request.Context(), x.param("name")); err != nil {
		return err
	}
	x.c.Status(http.StatusNoContent)
	return nil
}

func listVersions(x *exchange) error {
	list, err := x.m.Versions(x.c.Request.Context(), x.param("name"))
	if err != nil {
		return err
	}
	return sendPage(x, list)
}

func getVersion(x *exchange) error {
	p, revision, err := x.m.Version(x.c.Request.Context(), x.param("name"), x.param("version"))
	if err != nil {
		return err
	}
	x.c.Header("Oaas-Package-Revision", strconv.Itoa(revision))
	return x.send(http.StatusOK, p)
}

func diffVersions(x *exchange) error {
	from, to := x.query("from"), x.query("to")
	if from == "" {
		return fault.New(fault.InvalidArgument, "parameter from: say which version to compare from: a revision, a version, or latest")
	}
	if to == "" {
		to = latest
	}
	d, err := x.m.Diff(x.c.Request.Context(), x.param("name"), from, to)
	if err != nil {
		return err
	}
	return x.send(http.StatusOK, d)
}

func listDeployments(x *exchange) error {
	list, err := x.m.Deployments(x.c.Request.Context(), DeploymentFilter{
		PackageName: x.query("package_name"), ClassKey: x.query("class_key"), TargetEnv: x.query("target_env"),
	})
	if err != nil {
		return err
	}
	return sendPage(x, list)
}

func createDeployment(x *exchange) error {
	d, err := read(x, opackage.ParseDeploymentJSON)
	if err != nil {
		return err
	}
	return x.deploy(d)
}

func putDeployment(x *exchange) error {
	d, err := read(x, opackage.ParseDeploymentJSON)
	if err != nil {
		return err
	}
	if key := x.param("key"); d.Key != key {
		return fault.New(fault.InvalidArgument, "Deployment key mismatch: the path says %s, the document %s", key, d.Key)
	}
	return x.deploy(d)
}

func (x *exchange) deploy(d *opackage.Deployment) error {
	id, created, err := x.m.Deploy(x.c.Request.Context(), d)
	if err != nil {
		return err
	}
	word := "updated"
	if created {
		word = "created"
	}
	return x.send(http.StatusOK, changed{ID: id, Status: word, Message: "Deployment " + word + " successfully"})
}

func getDeployment(x *exchange) error {
	d, err := x.m.Deployment(x.c.Request.Context(), x.param("key"))
	if err != nil {
		return err
	}
	return x.send(http.StatusOK, d)
}

// deleted is the answer to the deletion of a deployment.
type deleted struct {
	Message     string   `json:"message"`
	ID          string   `json:"id"`
	DeletedEnvs []string `json:"deleted_envs"`
}

func deleteDeployment(x *exchange) error {
	purge, err := x.flag("purge")
	if err != nil {
		return err
	}
	key := x.param("key")
	envs, err := x.m.Undeploy(x.c.Request.Context(), key, purge != nil && *purge)
	if err != nil {
		return err
	}
	return x.send(http.StatusOK, deleted{"Deployment deleted across environments", key, orEmpty(envs)})
}

// mappings has the units of a deployment by environment, under both of its names.
type mappings struct {
	DeploymentKey string            `json:"deployment_key"`
	ClusterIDs    map[string]string `json:"cluster_ids"`
	EnvIDs        map[string]string `json:"env_ids"`
}

func getMappings(x *exchange) error {
	key := x.param("key")
	units, err := x.m.Units(x.c.Request.Context(), key)
	if err != nil {
		return err
	}
	return x.send(http.StatusOK, mappings{key, units, units})
}

// environmentParam gives the environment that a request names, by either name of the parameter.
func (x *exchange) environmentParam() string {
	for _, name := range []string{"env", "cluster", "environment"} {
		if value := x.query(name); value != "" {
			return value
		}
	}
	return ""
}

func listRuntimes(x *exchange) error {
	list, err := x.m.Runtimes(x.c.Request.Context(), RuntimeFilter{
		Environment: x.environmentParam(), Status: x.query("status"), PackageName: x.query("package_name"), ClassKey: x.query("class_key"),
	})
	if err != nil {
		return err
	}
	return sendPage(x, list)
}

func getRuntime(x *exchange) error {
	r, err := x.m.Runtime(x.c.Request.Context(), x.param("id"), x.environmentParam())
	if err != nil {
		return err
	}
	return x.send(http.StatusOK, r)
}

// unitStatus is the status of a unit.
type unitStatus struct {
	ID          string  `json:"id"`
	Status      string  `json:"status"`
	Phase       string  `json:"phase"`
	Message     *string `json:"message"`
	LastUpdated string  `json:"last_updated"`
}

func getStatus(x *exchange) error {
	r, err := x.m.Runtime(x.c.Request.Context(), x.param("id"), x.environmentParam())
	if err != nil {
		return err
	}
	s := unitStatus{ID: r.ID, Status: ConditionUnknown, Phase: PhaseUnknown, LastUpdated: r.UpdatedAt}
	if r.Status != nil {
		s.Status, s.Phase, s.Message, s.LastUpdated = r.Status.Condition, r.Status.Phase, r.Status.Message, r.Status.LastUpdated
	}
	return x.send(http.StatusOK, s)
}

func listEnvs(x *exchange) error {
	return x.send(http.StatusOK, x.m.Environments(x.c.Request.Context()))
}

func listHealth(x *exchange) error {
	list := []Health{}
	for _, e := range x.m.Environments(x.c.Request.Context()) {
		list = append(list, e.Health)
	}
	return x.send(http.StatusOK, list)
}

func getHealth(x *exchange) error {
	h, err := x.m.Health(x.c.Request.Context(), x.param("name"))
	if err != nil {
		return err
	}
	return x.send(http.StatusOK, h)
}

func listClasses(x *exchange) error {
	list, err := x.m.Classes(x.c.Request.Context(), x.query("filter"))
	if err != nil {
		return err
	}
	return sendPage(x, list)
}

func deleteClass(x *exchange) error {
	if err := x.m.DeleteClass(x.c.Request.Context(), x.param("name")); err != nil {
		return err
	}
	x.c.Status(http.StatusNoContent)
	return nil
}

func listFunctions(x *exchange) error {
	list, err := x.m.Functions(x.c.Request.Context(), x.query("filter"))
	if err != nil {
		return err
	}
	return sendPage(x, list)
}

func getTopology(x *exchange) error {
	view := x.m.Topology
	if x.query("source") == "zenoh" {
		view = x.m.ZenohTopology
	}
	t, err := view(x.c.Request.Context())
	if err != nil {
		return err
	}
	return x.send(http.StatusOK, t)
}

func listArtifacts(x *exchange) error {
	list, err := x.m.Artifacts(x.c.Request.Context())
	if err != nil {
		return err
	}
	return sendPage(x, list)
}

func getArtifact(x *exchange) error {
	f, a, err := x.m.OpenArtifact(x.c.Request.Context(), x.param("id"))
	if err != nil {
		return err
	}
	defer f.Close()
	h := x.c.Writer.Header()
	h.Set("Content-Type", "application/wasm")
	h.Set("Content-Length", strconv.FormatInt(a.Size, 10))
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	x.c.Status(http.StatusOK)
	_, _ = io.Copy(x.c.Writer, f) // fails only when the client has gone
	return nil
}

func postArtifact(x *exchange) error { return x.putArtifact(x.query("sha256")) }

func putArtifact(x *exchange) error { return x.putArtifact(x.param("id")) }

func (x *exchange) putArtifact(id string) error {
	if id != "" {
		if _, err := ArtifactID(id); err != nil {
			return err
		}
	}
	module, err := x.body(MaxArtifact)
	if err != nil {
		return err
	}
	a, created, err := x.m.PutArtifact(x.c.Request.Context(), id, module)
	if err != nil {
		return err
	}
	if created {
		return x.send(http.StatusCreated, a)
	}
	return x.send(http.StatusOK, a)
}

func deleteArtifact(x *exchange) error {
	if err := x.m.DeleteArtifact(x.c.Request.Context(), x.param("id")); err != nil {
		return err
	}
	x.c.Status(http.StatusNoContent)
	return nil
}

func noScripts(*exchange) error {
	return fault.New(fault.Unavailable, "Script service not configured")
}
