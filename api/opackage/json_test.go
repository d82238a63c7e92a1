package opackage

import (
	"encoding/json"
	"testing"
)

// The left texts were sent to OaaS-RS, the right ones are its answers, byte for byte.
var recorded = []struct{ name, sent, answered string }{
	{
		"class, function and state",
		`{"name": "shop", "version": "1.0.0", "metadata": {"author": "a", "tags": ["t"]}, "classes": [{"key": "Cart", "function_bindings": ` +
			`[{"name": "add", "function_key": "add", "access_modifier": "PUBLIC"}], "state_spec": {"consistency_model": "STRONG", ` +
			`"persistent": true}}], "functions": [{"key": "add", "function_type": "CUSTOM", "provision_config": {"container_image": "img:1", ` +
			`"port": 8080}, "config": {"K": "V"}}], "dependencies": []}`,
		`{"name":"shop","version":"1.0.0","metadata":{"author":"a","description":null,"tags":["t"]},"classes":[{"key":"Cart",` +
			`"description":null,"state_spec":{"consistency_model":"STRONG","persistent":true,"serialization_format":""},"function_bindings":` +
			`[{"name":"add","function_key":"add","access_modifier":"PUBLIC","stateless":false,"parameters":[]}]}],"functions":[{"key":"add",` +
			`"function_type":"CUSTOM","description":null,"provision_config":{"container_image":"img:1","port":8080,"max_concurrency":0,` +
			`"need_http2":false,"cpu_request":null,"memory_request":null,"cpu_limit":null,"memory_limit":null,"min_scale":null,` +
			`"max_scale":null},"config":{"K":"V"}}],"dependencies":[],"deployments":[]}`,
	},
	{
		"only a name",
		`{"name":"x"}`,
		`{"name":"x","version":null,"metadata":{"author":null,"description":null,"tags":[]},"classes":[],"functions":[],"dependencies":[],` +
			`"deployments":[]}`,
	},
}

func TestJSONIsThatOfOaaSRS(t *testing.T) {
	for _, tc := range recorded {
		t.Run(tc.name, func(t *testing.T) {
			p, err := ParseJSON([]byte(tc.sent))
			if err != nil {
				t.Fatal(err)
			}
			if got := mustJSON(t, p); got != tc.answered {
				t.Errorf("got  %s\nwant %s", got, tc.answered)
			}
			var stored Package
			if err := json.Unmarshal([]byte(tc.answered), &stored); err != nil {
				t.Fatal(err)
			}
			if got := mustJSON(t, &stored); got != tc.answered {
				t.Errorf("read back by encoding/json: got  %s\nwant %s", got, tc.answered)
			}
		})
	}
}

func TestJSONOfDeployment(t *testing.T) {
	full := Deployment{
		Key: "d", PackageName: "p", ClassKey: "c", Functions: []FunctionDeployment{{FunctionKey: "f", QoS: &QoSRequirement{Availability: 0.9}}},
		Odgm: &OdgmData{PartitionCount: new(uint32(4)), ShardType: new(Raft)}, Status: &DeploymentStatus{ReplicationFactor: 3},
		Telemetry: &Telemetry{Enabled: new(false)},
	}
	for _, tc := range []struct {
		name string
		d    Deployment
		want string
	}{
		{"zero", Deployment{},
			`{"key":"","package_name":"","class_key":"","nfr_requirements":{"min_throughput_rps":null,"availability":null,` +
				`"cpu_utilization_target":null},"functions":[],"condition":"PENDING"}`},
		{"full", full, `{"key":"d","package_name":"p","class_key":"c","nfr_requirements":{"min_throughput_rps":null,"availability":null,` +
			`"cpu_utilization_target":null},"functions":[{"function_key":"f","qos_requirement":{"throughput":0,"availability":0.9}}],` +
			`"condition":"PENDING","odgm":{"partition_count":4,"shard_type":"raft"},"telemetry":{"enabled":false},"status":{"replication_factor":3}}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := mustJSON(t, tc.d); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

func TestJSONOfZeroValuesHasDefaults(t *testing.T) {
	p := Package{
		Name: "p", Classes: []Class{{Key: "c", StateSpec: &StateSpec{}, Bindings: []Binding{{Name: "m", FunctionKey: "f"}}}},
		Functions: []Function{{Key: "f", Config: map[string]string{"A": "<&>"}}},
	}
	want := `{"name":"p","version":null,"metadata":{"author":null,"description":null,"tags":[]},"classes":[{"key":"c","description":null,` +
		`"state_spec":{"consistency_model":"NONE","persistent":false,"serialization_format":""},"function_bindings":[{"name":"m",` +
		`"function_key":"f","access_modifier":"PUBLIC","stateless":false,"parameters":[]}]}],"functions":[{"key":"f","function_type":"CUSTOM",` +
		`"description":null,"provision_config":null,"config":{"A":"<&>"}}],"dependencies":[],"deployments":[]}`
	got, err := marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func mustJSON(t testing.TB, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
