package opackage

func (v *validator) deployment(path string, d *Deployment) {
	v.check(path+".key", checkName(d.Key, true))
	if d.PackageName != "" && d.PackageName != v.p.Name {
		v.fail(path+".package_name", "is %s, but the package is %s; leave it out", quote(d.PackageName), quote(v.p.Name))
	}
	switch {
	case d.ClassKey == "":
		v.fail(path+".class_key", "must not be empty")
	case len(v.p.Classes) > 0 && v.classes[d.ClassKey] == nil:
		v.noClass(path+".class_key", d.ClassKey)
	}
	v.environments(path+".target_envs", d.TargetEnvs)
	v.environments(path+".available_envs", d.AvailableEnvs)
	v.fraction(path+".nfr_requirements.availability", d.NFR.Availability)
	v.fraction(path+".nfr_requirements.cpu_utilization_target", d.NFR.CPUUtilizationTarget)
	choice(v, path+".condition", d.Condition, Pending, Deploying, Running, Down, Deleted)
	functions := map[string]string{}
	for i := range d.Functions {
		at := index(path+".functions", i)
		v.unique(functions, at+".function_key", "function", d.Functions[i].FunctionKey)
		v.functionDeployment(at, &d.Functions[i])
	}
	if d.Odgm != nil {
		v.odgm(path+".odgm", d.Odgm)
		if d.Odgm.Invocations != nil {
			v.invocations(path+".odgm.invocations", v.classes[d.ClassKey], d.Odgm.Invocations)
		}
	}
	if d.Telemetry != nil {
		v.fraction(path+".telemetry.sampling_rate", d.Telemetry.SamplingRate)
	}
}

func (v *validator) functionDeployment(path string, f *FunctionDeployment) {
	if len(v.p.Classes) > 0 {
		v.functionKey(path+".function_key", f.FunctionKey)
	}
	if f.QoS != nil {
		v.fraction(path+".qos_requirement.availability", &f.QoS.Availability)
	}
	if f.Provision != nil {
		v.provision(path+".provision_config", f.Provision)
	}
	v.environment(path+".config", f.Config)
}

func (v *validator) environments(path string, names []string) {
	seen := map[string]string{}
	for i, name := range names {
		v.check(index(path, i), checkName(name, true))
		v.unique(seen, index(path, i), "environment", name)
	}
}

func (v *validator) fraction(path string, value *float64) {
	if value != nil && (*value < 0 || *value > 1) {
		v.fail(path, "is %g, allowed are 0 to 1", *value)
	}
}

func (v *validator) odgm(path string, o *OdgmData) {
	for i, name := range o.Collections {
		v.check(index(path+".collections", i), checkName(name, true))
	}
	v.count(path+".partition_count", o.PartitionCount, maxPartitions)
	v.count(path+".replica_count", o.ReplicaCount, maxReplicas)
	if o.ShardType != nil {
		choice(v, path+".shard_type", *o.ShardType, NoReplication, Raft, MST, "basic", "single")
	}
	if o.ZenohMode != nil {
		choice(v, path+".zenoh_mode", *o.ZenohMode, "peer", "client", "router")
	}
	v.options(path+".options", o.Options)
}

// invocations wants methods of the class, where the document has it.
func (v *validator) invocations(path string, c *Class, in *Invocations) {
	if c == nil {
		return
	}
	for _, name := range sortedKeys(in.Routes) {
		v.methodOf(keyPath(path+".fn_routes", name), c, name)
	}
	seen := map[string]string{}
	for i, name := range in.Disabled {
		v.methodOf(index(path+".disabled_fn", i), c, name)
		v.unique(seen, index(path+".disabled_fn", i), "method", name)
	}
}

func (v *validator) count(path string, value *uint32, most uint32) {
	if value != nil && (*value < 1 || *value > most) {
		v.fail(path, "is %d, allowed are 1 to %d", *value, most)
	}
}
