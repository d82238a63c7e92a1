package dev

import (
	"net/http"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/opackage"
)

// environment is the name under which this platform appears where OaaS-RS's clients expect environments.
const environment = "local-dev"

// compatRoutes adds what OaaS-RS's development server tells its clients of packages and environments. Unlike it, this platform takes packages
// only as folders; applying one to it is refused instead of accepted and dropped.
func (p *platform) compatRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /api/v1/packages", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, p.packages())
	})
	mux.HandleFunc("GET /api/v1/packages/{name}", func(w http.ResponseWriter, r *http.Request) {
		d := p.project(r.PathValue("name"))
		if d == nil {
			refuse(w, fault.New(fault.NotFound, "Package not found: %s", r.PathValue("name")))
			return
		}
		answer(w, http.StatusOK, d.Package)
	})
	mux.HandleFunc("GET /api/v1/deployments", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, p.compatDeployments())
	})
	mux.HandleFunc("GET /api/v1/envs", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, []map[string]any{{
			"name": environment, "health": map[string]string{"status": "Healthy"}, "gateway_url": p.url,
		}})
	})
	for _, path := range []string{"POST /api/v1/packages", "POST /api/v1/deployments"} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			refuse(w, fault.New(fault.InvalidArgument, "oaas dev deploys folders, not documents; use: oaas func deploy DIR"))
		})
	}
}

func (p *platform) packages() []*opackage.Package {
	list := []*opackage.Package{}
	for _, d := range p.deployments() {
		list = append(list, d.Package)
	}
	return list
}

func (p *platform) compatDeployments() []opackage.Deployment {
	list := []opackage.Deployment{}
	for _, d := range p.deployments() {
		for _, one := range d.Package.EffectiveDeployments() {
			one.Condition, one.TargetEnvs = opackage.Running, []string{environment}
			list = append(list, one)
		}
	}
	return list
}
