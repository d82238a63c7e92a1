package pm

import (
	"context"
	"time"

	"github.com/hpcclab/oaas-go/api/opackage"
)

// Environment is a place where units run: a cluster, or this machine.
type Environment interface {
	Name() string
	// Deploy brings up units, all of one package, in place of those of the same ids; when it fails, what ran before goes on. Repeating it changes
	// nothing. tell is told each step.
	Deploy(ctx context.Context, units []Unit, tell func(Step)) error
	// Delete ends units of one package, with purge their objects too; units that it does not know are no error.
	Delete(ctx context.Context, ids []string, purge bool) error
	// Runtimes gives what runs, in the order of the ids.
	Runtimes(ctx context.Context) ([]Runtime, error)
	// Health says how the environment stands. It fails when that cannot be found out.
	Health(ctx context.Context) (Health, error)
}

// Unit is one class of a package as one environment has it.
type Unit struct {
	// ID names the unit in its environment, for as long as it is there.
	ID string `json:"id"`
	// Package has no deployments.
	Package    *opackage.Package    `json:"package"`
	Deployment *opackage.Deployment `json:"deployment"`
	// Origin is the folder that relative sources of functions are in, "" for a document without one.
	Origin string `json:"origin,omitempty"`
}

// Step is something that was done for a deployment.
type Step struct {
	Name     string
	Function string
	Message  string
	Took     time.Duration
}

// The conditions of a runtime.
const (
	ConditionPending   = "Pending"
	ConditionDeploying = "Deploying"
	ConditionRunning   = "Running"
	ConditionDown      = "Down"
	ConditionDeleted   = "Deleted"
	ConditionUnknown   = "Unknown"
)

// The phases of a runtime.
const (
	PhaseProvisioning = "RESOURCE_PROVISIONING"
	PhaseRunning      = "RUNNING"
	PhaseFailed       = "FAILED"
	PhaseUnknown      = "UNKNOWN"
)

// Runtime is a unit as it runs, in the JSON of OaaS-RS.
type Runtime struct {
	ID                string         `json:"id"`
	DeploymentUnitID  string         `json:"deployment_unit_id"`
	PackageName       string         `json:"package_name"`
	ClassKey          string         `json:"class_key"` // <package>.<class>
	TargetEnvironment string         `json:"target_environment"`
	ClusterName       *string        `json:"cluster_name"`
	Status            *RuntimeStatus `json:"status"`
	NFRCompliance     *NFRCompliance `json:"nfr_compliance"`
	ResourceRefs      []ResourceRef  `json:"resource_refs"`
	CreatedAt         string         `json:"created_at"`
	UpdatedAt         string         `json:"updated_at"`
	PartitionCount    uint32         `json:"partition_count"`
}

// RuntimeStatus says how a runtime stands.
type RuntimeStatus struct {
	Condition   string           `json:"condition"`
	Phase       string           `json:"phase"`
	Message     *string          `json:"message"`
	LastUpdated string           `json:"last_updated"`
	Functions   []FunctionStatus `json:"functions,omitempty"`
}

// FunctionStatus says how a function of a runtime stands.
type FunctionStatus struct {
	FunctionKey        string  `json:"function_key"`
	Service            string  `json:"service"`
	Port               uint32  `json:"port"`
	PredictedURL       string  `json:"predicted_url"`
	ObservedURL        *string `json:"observed_url"`
	Template           string  `json:"template"`
	Ready              *bool   `json:"ready"`
	Reason             *string `json:"reason"`
	Message            *string `json:"message"`
	LastTransitionTime *string `json:"last_transition_time"`
}

// NFRCompliance says which requirements are met.
type NFRCompliance struct {
	OverallStatus      string  `json:"overall_status"`
	ThroughputStatus   *string `json:"throughput_status"`
	LatencyStatus      *string `json:"latency_status"`
	AvailabilityStatus *string `json:"availability_status"`
	LastChecked        string  `json:"last_checked"`
}

// ResourceRef names a resource that was made for a runtime.
type ResourceRef struct {
	Kind      string  `json:"kind"`
	Name      string  `json:"name"`
	Namespace *string `json:"namespace"`
	UID       *string `json:"uid"`
}

// The statuses of an environment.
const (
	Healthy       = "Healthy"
	Unhealthy     = "Unhealthy"
	UnknownHealth = "Unknown"
)

// Health says how an environment stands, in the JSON of OaaS-RS; nil is not known.
type Health struct {
	ClusterName  string   `json:"cluster_name"`
	Status       string   `json:"status"`
	CRMVersion   *string  `json:"crm_version"`
	LastSeen     string   `json:"last_seen"`
	NodeCount    *uint32  `json:"node_count"`
	ReadyNodes   *uint32  `json:"ready_nodes"`
	Availability *float64 `json:"availability"`
}

// gateway is an Environment that says where its gateway is.
type gateway interface{ GatewayURL() string }
