package odgm

import "slices"

// Publication says whether and how the changes of a class are published on Zenoh.
type Publication struct {
	// On is nil where the class does not say.
	On *bool
	// Locality is session_local, any or remote: on which side of the endpoint's session subscribers may be. Empty where the class does not say.
	Locality string
}

// observer is told of what is deployed.
type observer struct {
	tell func(name string, spec *Class)
}

// Observe has fn told of every class that is deployed, and from then on of each that is deployed or changed, after it is, and (with a nil spec) of each
// that is about to be undeployed. Deployments wait for fn, which must not deploy anything. When stop has returned, fn is not called any more.
func (g *Grid) Observe(fn func(name string, spec *Class)) (stop func()) {
	g.deploying.Lock()
	defer g.deploying.Unlock()
	o := &observer{fn}
	for _, c := range g.Classes() {
		fn(c.Name, &c)
	}
	g.observers = append(g.observers, o)
	return func() {
		g.deploying.Lock()
		defer g.deploying.Unlock()
		g.observers = slices.DeleteFunc(g.observers, func(other *observer) bool { return other == o })
	}
}

// tell tells the observers. The caller holds deploying.
func (g *Grid) tell(name string, spec *Class) {
	for _, o := range g.observers {
		o.tell(name, spec)
	}
}
