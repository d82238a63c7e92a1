package pm

import (
	"net/http"
	"slices"

	"github.com/hpcclab/oaas-go/api/opackage"
	"github.com/hpcclab/oaas-go/internal/openapi"
)

// Operations describes the routes of the package.
func Operations(s *openapi.Schemas) []openapi.Operation {
	openapi.Enum(s, opackage.NoConsistency, opackage.ReadYourWrite, opackage.BoundedStaleness, opackage.Strong)
	openapi.Enum(s, opackage.BuiltinFunction, opackage.CustomFunction, opackage.MacroFunction, opackage.LogicalFunction, opackage.WasmFunction)
	openapi.Enum(s, opackage.Public, opackage.Internal, opackage.Private)
	openapi.Enum(s, opackage.Pending, opackage.Deploying, opackage.Running, opackage.Down, opackage.Deleted)
	d := documenter{s, openapi.JSON(openapi.Of[failure](s))}
	return slices.Concat(d.packages(), d.deployments(), d.running(), d.classes(), d.artifacts(), d.scripts(), d.proxy())
}

// documenter makes operations.
type documenter struct {
	s       *openapi.Schemas
	failure openapi.Content
}

// answers gives that of success, and the statuses of failures.
func (d documenter) answers(success openapi.Answer, fails ...int) []openapi.Answer {
	return append([]openapi.Answer{success}, openapi.Fails(d.failure, fails...)...)
}

func gives[T any](d documenter) openapi.Answer {
	return openapi.Answers(http.StatusOK, openapi.JSON(openapi.Of[T](d.s)))
}

var (
	text  = openapi.Schema{"type": "string"}
	yesNo = openapi.Schema{"type": "boolean"}
	count = openapi.Schema{"type": "integer", "minimum": 0, "maximum": 2147483647}

	pageParams = []openapi.Param{
		openapi.Query("limit", "At most so many of the list.", count), openapi.Query("offset", "Leave out so many at its beginning.", count),
	}
	envParams = []openapi.Param{
		openapi.Query("env", "Only in this environment.", text), openapi.Query("cluster", "The same as env.", text),
		openapi.Query("environment", "The same as env.", text),
	}
	filterParam = openapi.Query("filter", "Part of <package>.<key>.", text)
)

func paged(params ...openapi.Param) []openapi.Param { return append(params, pageParams...) }

// noContent is an answer without a body.
var noContent = openapi.Answers(http.StatusNoContent, nil)

func (d documenter) packages() []openapi.Operation {
	document := &openapi.Body{Content: openapi.JSON(openapi.Relaxed[opackage.Package](d.s))}
	created := openapi.Answers(http.StatusCreated, openapi.JSON(openapi.Of[changed](d.s)))
	return []openapi.Operation{
		{
			Method: http.MethodGet, Path: Prefix + "/packages", Tag: "packages", Summary: "List packages",
			Params: paged(openapi.Query("name_pattern", "Part of the name.", text),
				openapi.Query("tags", "Tags that the package must have, separated by commas.", text),
				openapi.Query("disabled", "Whether no class of the package is deployed.", yesNo)),
			Answers: d.answers(gives[[]opackage.Package](d), 400),
		},
		{
			Method: http.MethodPost, Path: Prefix + "/packages", Tag: "packages", Summary: "Register a package; its deployments are left out",
			Body: document, Answers: d.answers(created, 400, 409, 413, 415, 422),
		},
		{
			Method: http.MethodGet, Path: pathPackage, Tag: "packages", Summary: "Get the newest version of a package",
			Answers: d.answers(gives[opackage.Package](d), 404),
		},
		{
			Method: http.MethodPost, Path: pathPackage, Tag: "packages", Summary: "Register a new version of a package",
			Body: document, Answers: d.answers(gives[changed](d), 400, 404, 409, 413, 415, 422),
		},
		{
			Method: http.MethodDelete, Path: pathPackage, Tag: "packages", Summary: "Delete a package that is neither deployed nor depended on",
			Answers: d.answers(noContent, 404, 409),
		},
		{
			Method: http.MethodGet, Path: pathPackage + "/versions", Tag: "packages", Summary: "List the versions of a package, newest first",
			Params: paged(), Answers: d.answers(gives[[]Version](d), 400, 404),
		},
		{
			Method: http.MethodGet, Path: pathPackage + "/versions/:version", Tag: "packages",
			Summary: "Get a version of a package: by revision, by the version of its document, or latest", Answers: d.answers(gives[opackage.Package](d), 404),
		},
		{
			Method: http.MethodGet, Path: pathPackage + "/diff", Tag: "packages", Summary: "Compare two versions of a package",
			Params: []openapi.Param{
				{Name: "from", In: "query", Doc: "The one before.", Required: true, Schema: text}, openapi.Query("to", "The other one; latest by default.", text),
			},
			Answers: d.answers(gives[Diff](d), 400, 404),
		},
	}
}

func (d documenter) deployments() []openapi.Operation {
	document := &openapi.Body{Content: openapi.JSON(openapi.Relaxed[opackage.Deployment](d.s))}
	deployed := d.answers(gives[changed](d), 400, 404, 409, 413, 415, 422, 503, 504)
	mapped := d.answers(gives[mappings](d))
	return []openapi.Operation{
		{
			Method: http.MethodGet, Path: Prefix + "/deployments", Tag: "deployments", Summary: "List deployments with the condition that they have now",
			Params:  paged(openapi.Query("package_name", "", text), openapi.Query("class_key", "", text), openapi.Query("target_env", "", text)),
			Answers: d.answers(gives[[]opackage.Deployment](d), 400),
		},
		{
			Method: http.MethodPost, Path: Prefix + "/deployments", Tag: "deployments", Summary: "Deploy a class, or update the deployment of that key",
			Body: document, Answers: deployed,
		},
		{
			Method: http.MethodGet, Path: pathDeployment, Tag: "deployments", Summary: "Get a deployment with the condition that it has now",
			Answers: d.answers(gives[opackage.Deployment](d), 404),
		},
		{Method: http.MethodPut, Path: pathDeployment, Tag: "deployments", Summary: "The same as POST, for this key", Body: document, Answers: deployed},
		{
			Method: http.MethodDelete, Path: pathDeployment, Tag: "deployments", Summary: "End a deployment everywhere; objects stay unless purge is true",
			Params: []openapi.Param{openapi.Query("purge", "Whether the objects go too.", yesNo)}, Answers: d.answers(gives[deleted](d), 400, 404, 409, 503, 504),
		},
		{Method: http.MethodGet, Path: pathDeployment + "/cluster-mappings", Tag: "deployments", Summary: "The units of a deployment by environment", Answers: mapped},
		{Method: http.MethodGet, Path: pathDeployment + "/env-mappings", Tag: "deployments", Summary: "The units of a deployment by environment", Answers: mapped},
	}
}

func (d documenter) running() []openapi.Operation {
	return []openapi.Operation{
		{
			Method: http.MethodGet, Path: Prefix + "/class-runtimes", Tag: "runtimes", Summary: "List what runs",
			Params: paged(append(slices.Clone(envParams), openapi.Query("status", "A condition, or the text of the status, such as Available.", text),
				openapi.Query("package_name", "", text), openapi.Query("class_key", "With or without the package.", text))...),
			Answers: d.answers(gives[[]Runtime](d), 400, 503),
		},
		{
			Method: http.MethodGet, Path: Prefix + "/class-runtimes/:id", Tag: "runtimes", Summary: "Get a runtime by its unit, or by the key of its deployment",
			Params: envParams, Answers: d.answers(gives[Runtime](d), 400, 404, 503),
		},
		{
			Method: http.MethodGet, Path: Prefix + "/deployment-status/:id", Tag: "runtimes", Summary: "How a unit or deployment stands",
			Params: envParams, Answers: d.answers(gives[unitStatus](d), 400, 404, 503),
		},
		{
			Method: http.MethodGet, Path: Prefix + "/envs", Tag: "environments", Summary: "List environments with their health",
			Answers: d.answers(gives[[]EnvironmentHealth](d)),
		},
		{
			Method: http.MethodGet, Path: Prefix + "/envs/health", Tag: "environments", Summary: "The health of all environments",
			Answers: d.answers(gives[[]Health](d)),
		},
		{
			Method: http.MethodGet, Path: Prefix + "/envs/:name/health", Tag: "environments", Summary: "The health of an environment",
			Answers: d.answers(gives[Health](d), 404),
		},
		{
			Method: http.MethodGet, Path: Prefix + "/topology", Tag: "topology", Summary: "A graph of packages and deployments, or of the Zenoh network",
			Params:  []openapi.Param{openapi.Query("source", "zenoh or deployments; anything else is deployments.", text)},
			Answers: d.answers(gives[Topology](d), 503),
		},
	}
}

func (d documenter) classes() []openapi.Operation {
	return []openapi.Operation{
		{
			Method: http.MethodGet, Path: Prefix + "/classes", Tag: "classes", Summary: "List the classes of all packages",
			Params: paged(filterParam), Answers: d.answers(gives[[]opackage.Class](d), 400),
		},
		{
			Method: http.MethodDelete, Path: Prefix + "/classes/:name", Tag: "classes", Summary: "Take a class that is not deployed out of its package",
			Answers: d.answers(noContent, 404, 409),
		},
		{
			Method: http.MethodGet, Path: Prefix + "/functions", Tag: "classes", Summary: "List the functions of all packages",
			Params: paged(filterParam), Answers: d.answers(gives[[]opackage.Function](d), 400),
		},
	}
}

func (d documenter) artifacts() []openapi.Operation {
	const wasm = "application/wasm"
	sha := openapi.Schema{"type": "string", "pattern": "^[0-9a-fA-F]{64}$"}
	id := openapi.PathPart("id", "SHA-256 of the module.", sha)
	module := &openapi.Body{Content: openapi.Content{wasm: nil, "application/octet-stream": nil}}
	taken := append(d.answers(gives[Artifact](d), 400, 413, 503), openapi.Answers(http.StatusCreated, openapi.JSON(openapi.Of[Artifact](d.s))))
	return []openapi.Operation{
		{
			Method: http.MethodGet, Path: Prefix + "/artifacts", Tag: "artifacts", Summary: "List artifacts",
			Params: paged(), Answers: d.answers(gives[[]Artifact](d), 400, 503),
		},
		{
			Method: http.MethodPost, Path: Prefix + "/artifacts", Tag: "artifacts", Summary: "Upload a WebAssembly module",
			Params: []openapi.Param{openapi.Query("sha256", "What the SHA-256 of the body must be.", sha)}, Body: module, Answers: taken,
		},
		{
			Method: http.MethodGet, Path: pathArtifact, Tag: "artifacts", Summary: "Get the bytes of an artifact",
			Params: []openapi.Param{id}, Answers: d.answers(openapi.Answers(http.StatusOK, openapi.Content{wasm: nil}), 400, 404, 503),
		},
		{
			Method: http.MethodPut, Path: pathArtifact, Tag: "artifacts", Summary: "Upload the WebAssembly module of that SHA-256",
			Params: []openapi.Param{id}, Body: module, Answers: taken,
		},
		{
			Method: http.MethodDelete, Path: pathArtifact, Tag: "artifacts", Summary: "Delete an artifact that no package uses",
			Params: []openapi.Param{id}, Answers: d.answers(noContent, 400, 404, 409, 503),
		},
	}
}

func (d documenter) scripts() []openapi.Operation {
	unavailable := openapi.Fails(d.failure, http.StatusServiceUnavailable)
	var list []openapi.Operation
	for _, what := range []string{"compile", "build", "deploy", "test"} {
		list = append(list, openapi.Operation{
			Method: http.MethodPost, Path: pathScripts + "/" + what, Tag: "scripts", Summary: "There is no script service: " + what,
			Body: &openapi.Body{Optional: true, Content: openapi.JSON(nil)}, Answers: unavailable,
		})
	}
	return append(list, openapi.Operation{
		Method: http.MethodGet, Path: pathScripts + "/:package/:function", Tag: "scripts", Summary: "There is no script service: source", Answers: unavailable,
	})
}

func (d documenter) proxy() []openapi.Operation {
	var list []openapi.Operation
	for _, method := range proxyMethods {
		if method == http.MethodHead {
			continue // as with every GET
		}
		o := openapi.Operation{
			Method: method, Path: ProxyPrefix + "/*path", Tag: "proxy", Summary: "The gateway of the default environment, or with env/{env}/ before the path that of another one",
			Answers: []openapi.Answer{{Doc: "What the gateway answers", Content: openapi.Content{"*/*": nil}}},
		}
		if method != http.MethodGet && method != http.MethodDelete {
			o.Body = &openapi.Body{Optional: true, Content: openapi.Content{"*/*": nil}}
		}
		list = append(list, o)
	}
	return list
}
