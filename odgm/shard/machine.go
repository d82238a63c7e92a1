package shard

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/odgm/condition"
	"github.com/hpcclab/oaas-go/odgm/engine"
	"github.com/hpcclab/oaas-go/odgm/record"
)

// Result is what a command did.
type Result struct {
	// Version of the object afterwards.
	Version uint64
	// Created is true when the object did not exist before, Existed when it did.
	Created, Existed bool
	// Deleted counts the entries that were deleted.
	Deleted int
	// Events counts the events put into the outbox.
	Events int
	// Count is the number of records that Replay and Expire dealt with.
	Count int
	// Invocation is the asynchronous call as it is after Submit and Cancel.
	Invocation *record.Invocation
}

// Machine applies commands: the state machine of a shard. It reads nothing but the transaction, the command and the class configuration that
// an earlier command set, so replicas that apply the same commands in the same transactions hold the same state. A transaction is some calls of
// Apply and one of Finish. It is used by one goroutine at a time.
type Machine struct {
	class      string
	partition  uint32
	config     *record.ClassConfig
	conditions *condition.Cache
	// groups collects the outbox groups that got events since the last call of takeGroups.
	groups map[string]struct{}
	log    changeLog
	// metrics counts events; nil for none.
	metrics *Metrics
}

// NewMachine makes the machine of a partition whose configuration is read from r.
func NewMachine(class string, partition uint32, conditions *condition.Cache, r engine.Reader) (*Machine, error) {
	config := &record.ClassConfig{}
	if _, err := load(r, configKey, config); err != nil {
		return nil, fmt.Errorf("read class configuration: %w", err)
	}
	log, err := loadChangeLog(r)
	if err != nil {
		return nil, fmt.Errorf("read change log: %w", err)
	}
	return &Machine{class: class, partition: partition, config: config, conditions: conditions, groups: map[string]struct{}{}, log: log}, nil
}

// Config gives the class configuration in force.
func (m *Machine) Config() *record.ClassConfig { return m.config }

// Apply carries out one command in tx. An *fault.Error means that the command was refused and wrote nothing; any other error is one of the
// engine, after which the transaction must be given up.
func (m *Machine) Apply(tx engine.Tx, cmd *record.Command) (Result, error) {
	switch body := cmd.GetBody().(type) {
	case *record.Command_Write:
		return m.write(tx, cmd.GetTime(), body.Write)
	case *record.Command_Failed:
		return m.failed(tx, cmd.GetTime(), body.Failed)
	case *record.Command_Submit:
		return m.submit(tx, body.Submit.GetInvocation())
	case *record.Command_Cancel:
		return m.cancel(tx, cmd.GetTime(), body.Cancel.GetInvocation())
	case *record.Command_Ack:
		return m.ack(tx, body.Ack)
	case *record.Command_Bury:
		return m.bury(tx, cmd.GetTime(), body.Bury)
	case *record.Command_Replay:
		return m.replay(tx, body.Replay)
	case *record.Command_Expire:
		return m.expire(tx, cmd.GetTime(), int(body.Expire.GetLimit()))
	case *record.Command_Configure:
		return m.configure(tx, body.Configure)
	}
	return Result{}, fault.New(fault.Internal, "command of unknown kind %T: this replica is older than the one that made it", cmd.GetBody())
}

func (m *Machine) configure(tx engine.Tx, config *record.ClassConfig) (Result, error) {
	if err := store(tx, configKey, config); err != nil {
		return Result{}, err
	}
	began := m.config.GetChanges() == nil && config.GetChanges() != nil
	m.config = config
	if began {
		return Result{}, m.restartChangeLog(tx)
	}
	return Result{}, nil
}

// takeGroups gives the outbox groups that got events since the last call.
func (m *Machine) takeGroups() []string {
	if len(m.groups) == 0 {
		return nil
	}
	groups := make([]string, 0, len(m.groups))
	for g := range m.groups {
		groups = append(groups, g)
	}
	clear(m.groups)
	return groups
}

// counters are changed by few commands; update reads them, has fn change them and writes them back.
func (m *Machine) updateCounters(tx engine.Tx, fn func(*record.Counters)) error {
	counters := &record.Counters{}
	if _, err := load(tx, countersKey, counters); err != nil {
		return err
	}
	fn(counters)
	return store(tx, countersKey, counters)
}

// load reads the record of key into message; found is false when there is none.
func load(r engine.Reader, key []byte, message proto.Message) (found bool, err error) {
	data, found, err := r.Get(key)
	if err != nil || !found {
		return false, err
	}
	if err := proto.Unmarshal(data, message); err != nil {
		return false, fmt.Errorf("decode record %q: %w", key, err)
	}
	return true, nil
}

// deterministic keeps the bytes of map fields in order, so that replicas store the same bytes.
var deterministic = proto.MarshalOptions{Deterministic: true}

func store(tx engine.Tx, key []byte, message proto.Message) error {
	data, err := deterministic.Marshal(message)
	if err != nil {
		return fmt.Errorf("encode record %q: %w", key, err)
	}
	return tx.Put(key, data)
}
