package oprc

// DecodeObjData reads the JSON form of an object. Unknown fields are ignored; a missing or mistyped one, and anything that is not JSON, is a
// fault of code DecodeError whose message names the line and the column.
func DecodeObjData(text []byte) (*ObjData, error) {
	s := scanner{text: text}
	x := s.objData()
	s.end()
	if s.err != nil {
		return nil, s.err
	}
	return x, nil
}

// UnmarshalJSON reads the JSON form of an object, as [DecodeObjData].
func (x *ObjData) UnmarshalJSON(text []byte) error {
	y, err := DecodeObjData(text)
	if err != nil {
		return err
	}
	x.Metadata, x.Event, x.Entries = y.Metadata, y.Event, y.Entries
	return nil
}

// MarshalJSON gives the JSON form of the object.
func (x *ObjData) MarshalJSON() ([]byte, error) { return x.AppendJSON(nil), nil }

// DecodeObjectEvent reads the JSON form of an object's triggers, with errors as those of [DecodeObjData].
func DecodeObjectEvent(text []byte) (*ObjectEvent, error) {
	s := scanner{text: text}
	x := s.objectEvent()
	s.end()
	if s.err != nil {
		return nil, s.err
	}
	return x, nil
}

// Batch is the JSON form of several changes of one object's entries, which are made as a whole or not at all.
type Batch struct {
	Set    map[string]*ValData
	Delete []string
	// ExpectedVersion is the version that the object must have; nil expects nothing.
	ExpectedVersion *uint64
}

// DecodeBatch reads {"set":{key:value},"delete":[key],"expected_version":N}. A field that it does not know is refused, as ignoring a
// misspelt one would change something else than was meant. Errors are as those of [DecodeObjData].
func DecodeBatch(text []byte) (*Batch, error) {
	s := scanner{text: text}
	x := &Batch{}
	var got seen
	for key := range s.object("a batch") {
		switch string(key) {
		case "set":
			if got.once(&s, 0, key); !s.null() {
				x.Set = valMap(&s)
			}
		case "delete":
			if got.once(&s, 1, key); !s.null() {
				for range s.list("a sequence") {
					x.Delete = append(x.Delete, s.str())
				}
			}
		case "expected_version":
			if got.once(&s, 2, key); !s.null() {
				version := s.unsigned(64)
				x.ExpectedVersion = &version
			}
		default:
			s.fail(s.pos, "unknown field `"+string(key)+"`, expected one of `set`, `delete`, `expected_version`")
		}
	}
	s.end()
	if s.err != nil {
		return nil, s.err
	}
	return x, nil
}

// seen has a bit for each field of a message that was read.
type seen uint32

// once fails if the field was there before.
func (f *seen) once(s *scanner, bit int, key []byte) {
	if *f&(1<<bit) != 0 {
		s.fail(s.pos, "duplicate field `"+string(key)+"`")
	}
	*f |= 1 << bit
}

// require fails if one of the fields, whose bits count from 0, was not there.
func (f seen) require(s *scanner, names ...string) {
	for bit, name := range names {
		if f&(1<<bit) == 0 {
			s.fail(s.pos, "missing field `"+name+"`")
		}
	}
}

func (s *scanner) objData() *ObjData {
	x := &ObjData{}
	var got seen
	for key := range s.object("struct ObjData") {
		switch string(key) {
		case "entries":
			got.once(s, 0, key)
			x.Entries = valMap(s)
		case "metadata":
			if got.once(s, 1, key); !s.null() {
				x.Metadata = s.objMeta()
			}
		case "event":
			if got.once(s, 2, key); !s.null() {
				x.Event = s.objectEvent()
			}
		default:
			s.skip()
		}
	}
	got.require(s, "entries")
	return x
}

func valMap(s *scanner) map[string]*ValData { return readMap(s, (*scanner).valData) }

// readMap reads an object whose keys are data; of equal keys the last one counts.
func readMap[V any](s *scanner, value func(*scanner) V) map[string]V {
	m := map[string]V{}
	for key := range s.object("a map") {
		name := string(key)
		m[name] = value(s)
	}
	return m
}

func (s *scanner) valData() *ValData {
	x := &ValData{}
	var got seen
	for key := range s.object("struct ValData") {
		switch string(key) {
		case "data":
			got.once(s, 0, key)
			x.Data = s.bytes()
		case "type":
			got.once(s, 1, key)
			x.Type = ValType(s.int32())
		default:
			s.skip()
		}
	}
	got.require(s, "data", "type")
	return x
}

func (s *scanner) objMeta() *ObjMeta {
	x := &ObjMeta{}
	var got seen
	for key := range s.object("struct ObjMeta") {
		switch string(key) {
		case "cls_id":
			got.once(s, 0, key)
			x.ClsId = s.str()
		case "partition_id":
			got.once(s, 1, key)
			x.PartitionId = uint32(s.unsigned(32))
		case "object_id":
			got.once(s, 2, key)
			x.ObjectId = s.optional()
		default:
			s.skip()
		}
	}
	got.require(s, "cls_id", "partition_id")
	return x
}

func (s *scanner) optional() *string {
	if s.null() {
		return nil
	}
	text := s.str()
	return &text
}

func (s *scanner) objectEvent() *ObjectEvent {
	x := &ObjectEvent{}
	var got seen
	for key := range s.object("struct ObjectEvent") {
		switch string(key) {
		case "func_trigger":
			got.once(s, 0, key)
			x.FuncTrigger = readMap(s, (*scanner).funcTrigger)
		case "data_trigger":
			got.once(s, 1, key)
			x.DataTrigger = readMap(s, (*scanner).dataTrigger)
		default:
			s.skip()
		}
	}
	got.require(s, "func_trigger", "data_trigger")
	return x
}

func (s *scanner) funcTrigger() *FuncTrigger {
	x := &FuncTrigger{}
	var got seen
	for key := range s.object("struct FuncTrigger") {
		switch string(key) {
		case "on_complete":
			got.once(s, 0, key)
			x.OnComplete = s.targets()
		case "on_error":
			got.once(s, 1, key)
			x.OnError = s.targets()
		default:
			s.skip()
		}
	}
	got.require(s, "on_complete", "on_error")
	return x
}

func (s *scanner) dataTrigger() *DataTrigger {
	x := &DataTrigger{}
	var got seen
	for key := range s.object("struct DataTrigger") {
		switch string(key) {
		case "on_create":
			got.once(s, 0, key)
			x.OnCreate = s.targets()
		case "on_update":
			got.once(s, 1, key)
			x.OnUpdate = s.targets()
		case "on_delete":
			got.once(s, 2, key)
			x.OnDelete = s.targets()
		default:
			s.skip()
		}
	}
	got.require(s, "on_create", "on_update", "on_delete")
	return x
}

func (s *scanner) targets() []*TriggerTarget {
	var targets []*TriggerTarget
	for range s.list("a sequence") {
		targets = append(targets, s.target())
	}
	return targets
}

func (s *scanner) target() *TriggerTarget {
	x := &TriggerTarget{}
	var got seen
	for key := range s.object("struct TriggerTarget") {
		switch string(key) {
		case "cls_id":
			got.once(s, 0, key)
			x.ClsId = s.str()
		case "partition_id":
			got.once(s, 1, key)
			x.PartitionId = uint32(s.unsigned(32))
		case "fn_id":
			got.once(s, 2, key)
			x.FnId = s.str()
		case "req_options":
			got.once(s, 3, key)
			x.ReqOptions = readMap(s, (*scanner).str)
		case "object_id":
			got.once(s, 4, key)
			x.ObjectId = s.optional()
		default:
			s.skip()
		}
	}
	got.require(s, "cls_id", "partition_id", "fn_id", "req_options")
	return x
}
