package dev

import (
	"net/http"
	"slices"

	"github.com/gin-gonic/gin"

	"github.com/hpcclab/oaas-go/dev/control"
	"github.com/hpcclab/oaas-go/gateway"
	"github.com/hpcclab/oaas-go/internal/openapi"
	"github.com/hpcclab/oaas-go/pm"
)

// openAPIPath is where the OpenAPI document of all routes is.
const openAPIPath = "/openapi.json"

// OpenAPI writes the document of all routes that a platform serves.
func OpenAPI(version string) ([]byte, error) {
	s := openapi.NewSchemas()
	forbidden := openapi.Answers(http.StatusForbidden, openapi.JSON(openapi.Of[failureJSON](s)))
	managed := pm.Operations(s)
	for i := range managed {
		managed[i].Answers = append(managed[i].Answers, forbidden) // by localOnly
	}
	return openapi.Document(openapi.Info{
		Title: "oaas", Version: version,
		Description: "The gateway, the Package Manager and the control API of oaas dev. Every GET route answers HEAD too. Routes under /api/v1 are for programs of this machine.",
	}, s, slices.Concat(gateway.Operations(s), managed, operations(s)))
}

// failureJSON is an error of the control API.
type failureJSON struct {
	Error control.Error `json:"error"`
}

// operations describes the control API.
func operations(s *openapi.Schemas) []openapi.Operation {
	failure := openapi.JSON(openapi.Of[failureJSON](s))
	answers := func(success openapi.Answer, fails ...int) []openapi.Answer {
		return append([]openapi.Answer{success}, openapi.Fails(failure, append(fails, http.StatusForbidden)...)...)
	}
	ok := func(c openapi.Content) openapi.Answer { return openapi.Answers(http.StatusOK, c) }
	stream := ok(openapi.Content{control.ContentType: nil})
	flag := openapi.Schema{"type": "boolean"}
	return []openapi.Operation{
		{
			Method: http.MethodPost, Path: control.ProjectsPath, Tag: "local", Summary: "Deploy the project in a folder; the answer is a line for each step",
			Body: &openapi.Body{Content: openapi.JSON(openapi.Of[control.DeployRequest](s))}, Answers: answers(stream, 400, 413, 415),
		},
		{
			Method: http.MethodGet, Path: control.ProjectsPath, Tag: "local", Summary: "List what is served here, with functions",
			Answers: answers(ok(openapi.JSON(openapi.Of[[]control.Project](s)))),
		},
		{
			Method: http.MethodDelete, Path: control.ProjectsPath + "/:package", Tag: "local", Summary: "Delete a package with its deployments",
			Params: []openapi.Param{openapi.Query("purge", "Whether the objects go too.", flag)}, Answers: answers(openapi.Answers(http.StatusNoContent, nil), 400, 404, 409),
		},
		{
			Method: http.MethodGet, Path: control.FunctionsPath, Tag: "local", Summary: "List functions with the state of their instances",
			Answers: answers(ok(openapi.JSON(openapi.Of[[]control.Function](s)))),
		},
		{
			Method: http.MethodGet, Path: control.FunctionsPath + "/:name/logs", Tag: "local", Summary: "What a function wrote",
			Params: []openapi.Param{
				openapi.Query("follow", "true goes on with what it writes from now on.", flag),
				openapi.Query("tail", "How many of the last lines to begin with.", openapi.Schema{"type": "integer", "minimum": 0}),
			},
			Answers: answers(stream, 400, 404),
		},
		{
			Method: http.MethodGet, Path: control.ActivityPath, Tag: "local", Summary: "What happened on the platform",
			Params: []openapi.Param{openapi.Query("follow", "true goes on with what happens from now on.", flag)}, Answers: answers(stream),
		},
		{
			Method: http.MethodGet, Path: control.StatusPath, Tag: "local", Summary: "What runs where",
			Answers: answers(ok(openapi.JSON(openapi.Of[control.Status](s)))),
		},
		{
			Method: http.MethodGet, Path: openAPIPath, Tag: "local", Summary: "This document",
			Answers: []openapi.Answer{ok(openapi.Content{"application/json": {"type": "object"}})},
		},
	}
}

// openAPIRoute mounts the document.
func openAPIRoute(r gin.IRouter, document []byte) {
	serve := func(c *gin.Context) { c.Data(http.StatusOK, "application/json", document) }
	r.GET(openAPIPath, serve)
	r.HEAD(openAPIPath, serve)
}
