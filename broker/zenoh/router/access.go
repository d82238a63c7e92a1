package router

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/hpcclab/oaas-go/broker/zenoh/keyexpr"
	"github.com/hpcclab/oaas-go/broker/zenoh/transport"
)

// Access says which session may do what, in the form that the configuration of the native router has. A policy gives its rules to its subjects.
// Of the rules that a session has for a message, whose key the rule's includes: if one denies the message it is denied, else if one allows it
// it is allowed, else Default decides.
type Access struct {
	Enabled  bool      `json:"enabled"`
	Default  string    `json:"default_permission"` // allow or deny, which is the default
	Rules    []Rule    `json:"rules"`
	Subjects []Subject `json:"subjects"`
	Policies []Policy  `json:"policies"`
}

// Rule allows or denies kinds of messages on keys.
type Rule struct {
	ID         string   `json:"id"`
	Permission string   `json:"permission"` // allow or deny
	Messages   []string `json:"messages"`   // see Messages
	Flows      []string `json:"flows"`      // ingress (from the session to the router), egress; none is both
	KeyExprs   []string `json:"key_exprs"`
}

// Subject is the sessions of which all that is given here holds. An empty list holds for every session.
type Subject struct {
	ID            string   `json:"id"`
	Interfaces    []string `json:"interfaces"`        // names of the network interface that the session came in by
	CertNames     []string `json:"cert_common_names"` // in the certificates of clients
	Users         []string `json:"usernames"`         // who proved to be one
	LinkProtocols []string `json:"link_protocols"`    // tcp, tls, …
	ZIDs          []string `json:"zids"`              // which are not proven by anything
}

// Policy gives rules to subjects, both by their ids.
type Policy struct {
	ID       string   `json:"id"`
	Rules    []string `json:"rules"`
	Subjects []string `json:"subjects"`
}

// action is what a message does.
type action uint8

const (
	put action = iota
	del
	ask
	reply
	declareSubscriber
	declareQueryable
	declareLiveToken
	askTokens
	watchTokens
	actions
)

// messages names the actions as rules do.
var messages = [actions]string{
	"put", "delete", "query", "reply", "declare_subscriber", "declare_queryable", "liveliness_token", "liveliness_query",
	"declare_liveliness_subscriber",
}

// Messages gives the kinds of messages that rules can be about.
func Messages() []string { return messages[:] }

// flow is a direction, as the router sees it.
type flow uint8

const (
	ingress flow = iota
	egress
	flows
)

var flowNames = [flows]string{"ingress", "egress"}

const (
	allow = "allow"
	deny  = "deny"
)

// Validate tells what is wrong, with the name of the field.
func (a *Access) Validate() error {
	if a.Default != "" && a.Default != allow && a.Default != deny {
		return fmt.Errorf("default_permission: %q is neither allow nor deny", a.Default)
	}
	for i, rule := range a.Rules {
		if err := rule.validate(); err != nil {
			return fmt.Errorf("rules[%d] %q: %w", i, rule.ID, err)
		}
	}
	for i, p := range a.Policies {
		for _, id := range p.Rules {
			if !slices.ContainsFunc(a.Rules, func(r Rule) bool { return r.ID == id }) {
				return fmt.Errorf("policies[%d].rules: there is no rule %q", i, id)
			}
		}
		for _, id := range p.Subjects {
			if !slices.ContainsFunc(a.Subjects, func(s Subject) bool { return s.ID == id }) {
				return fmt.Errorf("policies[%d].subjects: there is no subject %q", i, id)
			}
		}
	}
	return nil
}

func (r *Rule) validate() error {
	switch {
	case r.ID == "":
		return errors.New("id: missing")
	case r.Permission != allow && r.Permission != deny:
		return fmt.Errorf("permission: %q is neither allow nor deny", r.Permission)
	case len(r.Messages) == 0:
		return errors.New("messages: empty")
	case len(r.KeyExprs) == 0:
		return errors.New("key_exprs: empty")
	}
	for _, m := range r.Messages {
		if !slices.Contains(messages[:], m) {
			return fmt.Errorf("messages: %q is none of %s", m, strings.Join(messages[:], ", "))
		}
	}
	for _, f := range r.Flows {
		if !slices.Contains(flowNames[:], f) {
			return fmt.Errorf("flows: %q is neither ingress nor egress", f)
		}
	}
	for _, k := range r.KeyExprs {
		if err := keyexpr.Validate(k); err != nil {
			return fmt.Errorf("key_exprs: %w", err)
		}
	}
	return nil
}

// rights are the rules of one session.
type rights struct {
	fallback bool
	rules    [flows][actions][]right
}

type right struct {
	key   keyexpr.KeyExpr
	allow bool
}

// rightsOf collects the rules of a session, or gives nil if it may do everything.
func (a *Access) rightsOf(p transport.Peer) *rights {
	if a == nil || !a.Enabled {
		return nil
	}
	all := &rights{fallback: a.Default == allow}
	for _, policy := range a.Policies {
		if !slices.ContainsFunc(a.Subjects, func(s Subject) bool { return slices.Contains(policy.Subjects, s.ID) && s.matches(p) }) {
			continue
		}
		for _, rule := range a.Rules {
			if slices.Contains(policy.Rules, rule.ID) {
				all.add(rule)
			}
		}
	}
	return all
}

func (r *rights) add(rule Rule) {
	for way, name := range flowNames {
		if len(rule.Flows) > 0 && !slices.Contains(rule.Flows, name) {
			continue
		}
		for _, m := range rule.Messages {
			list := &r.rules[way][slices.Index(messages[:], m)]
			for _, text := range rule.KeyExprs {
				if key, err := keyexpr.New(text); err == nil { // Validate has seen it
					*list = append(*list, right{key: key, allow: rule.Permission == allow})
				}
			}
		}
	}
}

func (s *Subject) matches(p transport.Peer) bool {
	holds := func(list []string, value string) bool {
		return len(list) == 0 || value != "" && slices.Contains(list, value)
	}
	return holds(s.CertNames, p.CertName) && holds(s.Users, p.User) && holds(s.LinkProtocols, p.Protocol) && holds(s.ZIDs, p.ZID.String()) &&
		(len(s.Interfaces) == 0 || holds(s.Interfaces, interfaceOf(p.Local)))
}

// interfaceOf gives the name of the network interface with the address of a locator.
func interfaceOf(locator string) string {
	_, address, _ := strings.Cut(locator, "/")
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return ""
	}
	ip := net.ParseIP(host)
	all, err := net.Interfaces()
	if err != nil || ip == nil {
		return ""
	}
	for _, one := range all {
		addresses, err := one.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addresses {
			if n, ok := a.(*net.IPNet); ok && n.IP.Equal(ip) {
				return one.Name
			}
		}
	}
	return ""
}

// may tells whether a message may pass between the router and the face.
func (f *face) may(way flow, a action, key keyexpr.KeyExpr) bool {
	if f.rights == nil {
		return true
	}
	allowed, decided := f.rights.fallback, false
	for _, r := range f.rights.rules[way][a] {
		if !r.key.Includes(key) {
			continue
		}
		if !r.allow {
			allowed, decided = false, true
			break
		}
		allowed, decided = true, true
	}
	if !allowed {
		f.r.counters.denied.Add(1)
		f.log.Debug("denied", "message", messages[a], "flow", flowNames[way], "key", key, "by rule", decided)
	}
	return allowed
}

func (f *face) maySend(a action, key keyexpr.KeyExpr) bool { return f.may(ingress, a, key) }
func (f *face) mayGet(a action, key keyexpr.KeyExpr) bool  { return f.may(egress, a, key) }

// declaring has the action that declares an entity of each kind.
var declaring = [kinds]action{declareSubscriber, declareQueryable, declareLiveToken}

func (f *face) mayDeclare(k kind, key keyexpr.KeyExpr) bool { return f.may(ingress, declaring[k], key) }

// mayHear tells whether a face may be told of what others declared.
func (f *face) mayHear(k kind, key keyexpr.KeyExpr) bool { return f.may(egress, declaring[k], key) }

// everything stands for the key of an interest that has none.
var everything = mustKey("**")

func mustKey(s string) keyexpr.KeyExpr {
	k, err := keyexpr.New(s)
	if err != nil {
		panic(err) // a constant of this package is wrong
	}
	return k
}

// mayWatch tells whether a face may ask for entities. There are rules for tokens; of the others it hears what it may.
func (f *face) mayWatch(k kind, key keyexpr.KeyExpr, future bool) bool {
	if k != tokens {
		return true
	}
	if key.IsZero() {
		key = everything
	}
	if future {
		return f.may(ingress, watchTokens, key)
	}
	return f.may(ingress, askTokens, key)
}
