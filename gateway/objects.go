package gateway

import (
	"net/http"
	"strconv"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/odgm"
	"github.com/hpcclab/oaas-go/odgm/object"
)

// getObject gives an object with all of its entries.
func getObject(x *exchange) error {
	t, err := x.target()
	if err != nil {
		return err
	}
	wanted := object.Everything
	if x.r.Method == http.MethodHead {
		wanted = object.Selector{}
	}
	obj, ref, err := x.g.grid.Get(&x.ctx, t, wanted)
	if err != nil {
		return err
	}
	x.setVersion(obj.Version)
	x.setPartition(t, ref)
	if x.unchanged(obj.Version) {
		x.send(http.StatusNotModified, nil, nil)
		return nil
	}
	return x.sendObject(ref, &obj)
}

// sendObject answers with an object in the form that the client accepts.
func (x *exchange) sendObject(ref object.Ref, obj *object.Object) error {
	if x.accepts(typeJSON) {
		x.encode(contentJSON, func(buf []byte) []byte { return appendObjectJSON(buf, ref, obj) })
		return nil
	}
	event, err := triggersProto(ref, obj)
	if err == nil {
		x.encode(contentProtobuf, func(buf []byte) []byte { return appendObjectProto(buf, ref, obj, event) })
	}
	return err
}

// setPartition tells a client that left the choice of the partition to the grid which one it is.
func (x *exchange) setPartition(t odgm.Target, ref object.Ref) {
	if t.Partition == odgm.AnyPartition {
		x.w.Header()["Oaas-Partition"] = []string{strconv.FormatUint(uint64(ref.Partition), 10)}
	}
}

// putObject writes the entries of the body, and the triggers if it has some; other entries of the object stay.
func putObject(x *exchange) error {
	_, err := x.writeObject(false)
	if err == nil {
		x.send(http.StatusOK, nil, nil)
	}
	return err
}

// mergeObject is putObject, but refuses what it could only replace where it should merge, and answers with the object.
func mergeObject(x *exchange) error {
	t, err := x.writeObject(true)
	if err != nil {
		return err
	}
	obj, ref, err := x.g.grid.Get(&x.ctx, t, object.Everything)
	if err != nil {
		return err
	}
	x.setVersion(obj.Version)
	return x.sendObject(ref, &obj)
}

func (x *exchange) writeObject(merge bool) (odgm.Target, error) {
	t, err := x.target()
	if err != nil {
		return t, err
	}
	data, err := x.objectBody()
	if err != nil {
		return t, err
	}
	puts, err := putsOf(data.GetEntries())
	if err != nil {
		return t, err
	}
	expect, err := x.expect()
	if err != nil {
		return t, err
	}
	_, err = x.write(t, object.Change{Puts: puts, Triggers: data.GetEvent(), Expect: expect, Merge: merge})
	return t, err
}

// write applies a change, and sets the headers that tell of it.
func (x *exchange) write(t odgm.Target, change object.Change) (odgm.Written, error) {
	opt, err := x.writeOptions()
	if err != nil {
		return odgm.Written{}, err
	}
	written, err := x.g.grid.Write(&x.ctx, t, change, opt)
	if err != nil {
		return written, err
	}
	x.setVersion(written.Version)
	x.setPartition(t, written.Ref)
	return written, nil
}

// patchObject sets and deletes entries as one change, if the object has the expected version.
func patchObject(x *exchange) error {
	t, err := x.target()
	if err != nil {
		return err
	}
	batch, err := x.batchBody()
	if err != nil {
		return err
	}
	puts, err := putsOf(batch.Set)
	if err != nil {
		return err
	}
	expect, err := x.expect()
	if err != nil {
		return err
	}
	if batch.ExpectedVersion != nil {
		if expect.Version != nil && *expect.Version != *batch.ExpectedVersion {
			return fault.New(fault.InvalidArgument, "header If-Match expects version %d, the body expects %d", *expect.Version, *batch.ExpectedVersion)
		}
		expect.Version = batch.ExpectedVersion
	}
	written, err := x.write(t, object.Change{Puts: puts, Deletes: batch.Delete, Expect: expect, NoCreate: true})
	if err != nil {
		return err
	}
	x.encode(contentJSON, func(buf []byte) []byte {
		buf = append(buf, `{"version":`...)
		buf = strconv.AppendUint(buf, written.Version, 10)
		return append(buf, '}')
	})
	return nil
}

// deleteObject removes an object. Whether there was one is told in a header, since clients expect 204 in any case.
func deleteObject(x *exchange) error {
	t, err := x.target()
	if err != nil {
		return err
	}
	expect, err := x.expect()
	if err != nil {
		return err
	}
	opt, err := x.writeOptions()
	if err != nil {
		return err
	}
	written, err := x.g.grid.Delete(&x.ctx, t, expect, opt)
	if err != nil {
		return err
	}
	x.setPartition(t, written.Ref)
	x.deleted(written.Existed)
	return nil
}

func (x *exchange) deleted(existed bool) {
	x.w.Header()["Oaas-Existed"] = []string{strconv.FormatBool(existed)}
	x.send(http.StatusNoContent, nil, nil)
}
