package opackage

import "time"

// Deployment says where and how a class runs.
type Deployment struct {
	Key           string               `json:"key" key:"required"`
	PackageName   string               `json:"package_name"`
	ClassKey      string               `json:"class_key" key:"required"`
	TargetEnvs    []string             `json:"target_envs,omitempty"`
	AvailableEnvs []string             `json:"available_envs,omitempty"`
	NFR           NFRequirements       `json:"nfr_requirements"`
	EnvTemplates  map[string]string    `json:"env_templates,omitempty"`
	Functions     []FunctionDeployment `json:"functions"`
	Condition     DeploymentCondition  `json:"condition"`
	Odgm          *OdgmData            `json:"odgm,omitempty"`
	Telemetry     *Telemetry           `json:"telemetry,omitempty"`
	Status        *DeploymentStatus    `json:"status,omitempty"`
	CreatedAt     time.Time            `json:"created_at,omitzero"`
	UpdatedAt     time.Time            `json:"updated_at,omitzero"`
}

// NFRequirements are the non-functional requirements of a deployment; nil is no requirement.
type NFRequirements struct {
	MinThroughputRPS     *uint32  `json:"min_throughput_rps"`
	Availability         *float64 `json:"availability"`
	CPUUtilizationTarget *float64 `json:"cpu_utilization_target"`
}

// DeploymentCondition is the state of a deployment; "" means Pending.
type DeploymentCondition string

// The states of a deployment.
const (
	Pending   DeploymentCondition = "PENDING"
	Deploying DeploymentCondition = "DEPLOYING"
	Running   DeploymentCondition = "RUNNING"
	Down      DeploymentCondition = "DOWN"
	Deleted   DeploymentCondition = "DELETED"
)

// FunctionDeployment is a function as one deployment has it.
type FunctionDeployment struct {
	FunctionKey       string            `json:"function_key" key:"required"`
	Description       *string           `json:"description,omitempty"`
	AvailableLocation *string           `json:"available_location,omitempty"`
	QoS               *QoSRequirement   `json:"qos_requirement,omitempty"`
	Provision         *ProvisionConfig  `json:"provision_config,omitempty"`
	Config            map[string]string `json:"config,omitempty"`
}

// QoSRequirement is what one function of a deployment must reach.
type QoSRequirement struct {
	Throughput   uint32  `json:"throughput"`
	Availability float64 `json:"availability" key:"required"`
}

// OdgmData is how the object data grid keeps the objects of a deployment.
type OdgmData struct {
	Collections    []string            `json:"collections,omitempty"`
	PartitionCount *uint32             `json:"partition_count,omitempty"`
	ReplicaCount   *uint32             `json:"replica_count,omitempty"`
	ShardType      *ShardType          `json:"shard_type,omitempty"`
	EnvNodeIDs     map[string][]uint64 `json:"env_node_ids,omitempty"`
	Log            *string             `json:"log,omitempty"`
	Options        map[string]string   `json:"options,omitempty"`
	ZenohMode      *string             `json:"zenoh_mode,omitempty"`
	Invocations    *Invocations        `json:"invocations,omitempty"`
}

// Invocations say what of a class's methods a deployment serves, under the names of OaaS-RS's collections.
type Invocations struct {
	// Routes are settings of single methods, by their names.
	Routes map[string]Route `json:"fn_routes,omitempty"`
	// Disabled are methods that nobody may call.
	Disabled []string `json:"disabled_fn,omitempty"`
}

// Route has settings of one method. Both are about replicas that take over from each other; where a partition has one copy, that one serves.
type Route struct {
	Standby     bool     `json:"standby,omitempty"`
	ActiveGroup []uint64 `json:"active_group,omitempty"`
}

// ShardType is how the replicas of a partition are kept alike.
type ShardType string

// The shard types. OaaS-RS also knows the names basic and single, which mean none.
const (
	NoReplication ShardType = "none"
	Raft          ShardType = "raft"
	MST           ShardType = "mst"
)

// Telemetry is what a deployment reports of itself.
type Telemetry struct {
	Enabled            *bool             `json:"enabled,omitempty"`
	Traces             *bool             `json:"traces,omitempty"`
	Metrics            *bool             `json:"metrics,omitempty"`
	Logs               *bool             `json:"logs,omitempty"`
	SamplingRate       *float64          `json:"sampling_rate,omitempty"`
	ServiceName        *string           `json:"service_name,omitempty"`
	ResourceAttributes map[string]string `json:"resource_attributes,omitempty"`
}

// DeploymentStatus is set by the Package Manager.
type DeploymentStatus struct {
	ReplicationFactor          uint32   `json:"replication_factor" key:"required"`
	SelectedEnvs               []string `json:"selected_envs,omitempty"`
	AchievedQuorumAvailability *float64 `json:"achieved_quorum_availability,omitempty"`
	LastError                  *string  `json:"last_error,omitempty"`
}
