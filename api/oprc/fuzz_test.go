package oprc

import (
	"testing"

	"google.golang.org/protobuf/proto"
)

// FuzzGenerations reads anything as an object: bringing it to text works whatever it is and changes nothing a second time, and what is written in both
// forms means the same.
func FuzzGenerations(f *testing.F) {
	for _, d := range []*ObjData{
		{},
		{Metadata: &ObjMeta{NumericObjectId: new(uint64(42))}, NumericEntries: map[uint32]*ValData{0: {}, 7: {Data: []byte("x")}}, Entries: map[string]*ValData{"7": nil}},
		{Event: &ObjectEvent{NumericDataTrigger: map[uint32]*DataTrigger{3: {OnCreate: []*TriggerTarget{{NumericObjectId: new(uint64(1))}}}}}},
	} {
		encoded, err := proto.Marshal(d)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(encoded)
	}
	f.Fuzz(func(t *testing.T, encoded []byte) {
		d := &ObjData{}
		if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(encoded, d); err != nil {
			return
		}
		d.ToText()
		before := proto.CloneOf(d)
		both := proto.CloneOf(d.WithNumbers())
		if !proto.Equal(d, before) {
			t.Errorf("WithNumbers changed\n%v\nto\n%v", before, d)
		}
		if both.ToText(); !proto.Equal(both, before) {
			t.Errorf("both forms mean\n%v\nwant\n%v", both, before)
		}
	})
}
