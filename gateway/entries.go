package gateway

import (
	"net/http"
	"strconv"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/odgm/object"
)

// getEntry gives the bytes of an entry, or what is known of it as JSON or as a protobuf ValueResponse. ETag is the version of the
// object, since that is what a write with If-Match compares.
func getEntry(x *exchange) error {
	t, err := x.target()
	if err != nil {
		return err
	}
	entry, meta, err := x.g.grid.Entry(&x.ctx, t, x.param("key"))
	if err != nil {
		return err
	}
	x.setVersion(meta.Version)
	x.w.Header()["Oaas-Entry-Version"] = []string{strconv.FormatUint(entry.Version, 10)}
	switch {
	case x.unchanged(meta.Version):
		x.send(http.StatusNotModified, nil, nil)
	case len(x.r.Header["Accept"]) == 0:
		x.send(http.StatusOK, contentOctets, entry.Data)
	case x.accepts(typeJSON):
		x.encode(contentJSON, func(buf []byte) []byte {
			buf = appendEntryJSON(buf, &entry)
			buf = append(buf[:len(buf)-1], `,"object_version":`...)
			buf = strconv.AppendUint(buf, meta.Version, 10)
			return append(buf, '}')
		})
	case x.accepts(typeProtobuf):
		x.send(http.StatusOK, contentProtobuf, appendValueResponse(nil, &entry, meta.Version))
	default:
		x.send(http.StatusOK, contentOctets, entry.Data)
	}
	return nil
}

func appendEntryJSON(dst []byte, e *object.Entry) []byte {
	dst = append(dst, `{"key":`...)
	dst = oprc.AppendString(dst, e.Key)
	dst = append(dst, `,"data":`...)
	dst = oprc.AppendBytes(dst, e.Data)
	dst = append(dst, `,"type":`...)
	dst = strconv.AppendInt(dst, int64(e.Type), 10)
	dst = append(dst, `,"version":`...)
	dst = strconv.AppendUint(dst, e.Version, 10)
	return append(dst, '}')
}

// putEntry stores the body as it is, whatever its content type. The parameter type says what it is: 0 for bytes, 1 for a CRDT map.
func putEntry(x *exchange) error {
	t, err := x.target()
	if err != nil {
		return err
	}
	kind := oprc.ValType_VAL_TYPE_BYTE
	if x.r.URL.RawQuery != "" {
		switch text := x.r.URL.Query().Get("type"); text {
		case "", "0":
		case "1":
			kind = oprc.ValType_VAL_TYPE_CRDT_MAP
		default:
			return fault.New(fault.InvalidArgument, "parameter type: there is no value type %q; allowed are 0 (byte) and 1 (CRDT map)", text)
		}
	}
	expect, err := x.expect()
	if err != nil {
		return err
	}
	body, err := x.body()
	if err != nil {
		return err
	}
	put := object.Entry{Key: x.param("key"), Data: body, Type: kind}
	if _, err := x.write(t, object.Change{Puts: []object.Entry{put}, Expect: expect}); err != nil {
		return err
	}
	x.send(http.StatusOK, nil, nil)
	return nil
}

// deleteEntry removes an entry. Whether there was one is told in a header, as for objects.
func deleteEntry(x *exchange) error {
	t, err := x.target()
	if err != nil {
		return err
	}
	expect, err := x.expect()
	if err != nil {
		return err
	}
	written, err := x.write(t, object.Change{Deletes: []string{x.param("key")}, Expect: expect, NoCreate: true})
	if err != nil {
		return err
	}
	x.deleted(written.Deleted > 0)
	return nil
}

// listEntries gives a page of an object's entries, in byte order of their keys.
func listEntries(x *exchange) error {
	t, err := x.target()
	if err != nil {
		return err
	}
	page, err := x.page()
	if err != nil {
		return err
	}
	entries, meta, next, err := x.g.grid.ListEntries(&x.ctx, t, page)
	if err != nil {
		return err
	}
	x.setVersion(meta.Version)
	x.encode(contentJSON, func(buf []byte) []byte {
		buf = append(buf, `{"entries":[`...)
		for i := range entries {
			if i > 0 {
				buf = append(buf, ',')
			}
			buf = appendEntryJSON(buf, &entries[i])
		}
		buf = append(buf, `],"version":`...)
		buf = strconv.AppendUint(buf, meta.Version, 10)
		return appendNext(buf, next)
	})
	return nil
}

// listObjects gives a page of a partition's objects, or of all partitions, in byte order of their ids.
func listObjects(x *exchange) error {
	partition, err := x.partition()
	if err != nil {
		return err
	}
	page, err := x.page()
	if err != nil {
		return err
	}
	metas, next, err := x.g.grid.ListObjects(&x.ctx, x.param("cls"), partition, page)
	if err != nil {
		return err
	}
	x.encode(contentJSON, func(buf []byte) []byte {
		buf = append(buf, `{"objects":[`...)
		for i, meta := range metas {
			if i > 0 {
				buf = append(buf, ',')
			}
			buf = append(buf, `{"object_id":`...)
			buf = oprc.AppendString(buf, meta.ID)
			buf = append(buf, `,"version":`...)
			buf = strconv.AppendUint(buf, meta.Version, 10)
			buf = append(buf, `,"entry_count":`...)
			buf = strconv.AppendUint(buf, meta.Entries, 10)
			buf = append(buf, '}')
		}
		return appendNext(append(buf, ']'), next)
	})
	return nil
}

// appendNext closes a listing; next is nil on the last page.
func appendNext(buf, next []byte) []byte {
	if next != nil {
		buf = append(buf, `,"next_cursor":"`...)
		buf = append(encodeCursor(buf, next), '"')
	}
	return append(buf, '}')
}
