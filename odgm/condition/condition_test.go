package condition

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/hpcclab/oaas-go/api/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// change makes an input of an old and a new value; "-" is none.
func change(before, after string) Input {
	return Input{
		Old: []byte(before), HasOld: before != "-", New: []byte(after), HasNew: after != "-",
		Key: "stock", Object: "item-1", Method: "sell", Version: 7,
	}
}

func TestEval(t *testing.T) {
	for _, tc := range []struct {
		expression, before, after string
		want                      bool
	}{
		{"double(new) < 5.0 && double(old) >= 5.0", "5", "4", true},
		{"double(new) < 5.0 && double(old) >= 5.0", "4", "3", false},
		{"true", "-", "-", true},

		{"old == null && new != null", "-", "1", true},
		{"new == null", "1", "-", true},
		{"new == null", "1", "null", true},
		{"new == old", `{"a":1,"b":[1,2]}`, `{"b":[1.0,2],"a":1}`, true},
		{"new == old", `{"a":1}`, `{"a":1,"b":null}`, false},

		{"new == 4", "-", "4", true},
		{"new == 4.0", "-", "4", true},
		{"new == 4u", "-", "4", true},
		{"new < 5", "-", "4.5", true},
		{"new < 5.0", "-", "4", true},
		{"double(new) < 5", "-", "4", true},
		{"new + 1.0 == 5.0", "-", "4", true},
		{"int(new) % 2 == 0", "-", "4", true},
		{"new in [1, 2, 4]", "-", "4", true},
		{"new in [1.5, 2.5]", "-", "4", false},
		{"new > old", "9", "10", true},
		{"new == 9007199254740993", "-", "9007199254740992", true}, // doubles: see the package comment
		{"new == 1e400", "-", "1", false},
		{"type(new) == string", "-", "1e400", true}, // no JSON number that a double holds

		{"new == 'abc'", "-", "abc", true},
		{"new == 'abc'", "-", `"abc"`, true},
		{"new.startsWith('a') && new.contains('b') && new.size() == 3", "-", "abc", true},
		{"new.matches('^[a-c]+$')", "-", "abc", true},
		{"new == ''", "-", "", true},
		{"new == b'\\xff\\x00'", "-", "\xff\x00", true},
		{"type(new) == bytes", "-", "\xff", true},
		{"type(new) == bytes", "-", "{\"a\":\"\xff\"}", true},
		{"new == 'ü'", "-", "ü", true},
		{"new == {'a'}", "-", "x", false},

		{"new.status == 'open' && old.status != 'open'", `{"status":"new"}`, `{"status":"open"}`, true},
		{"has(new.status) && !has(old.status)", `{}`, `{"status":1}`, true},
		{"new.items.exists(i, i.count > 2)", "-", `{"items":[{"count":1},{"count":3}]}`, true},
		{"new.items.map(i, i.n) == ['a', 'b']", "-", `{"items":[{"n":"a"},{"n":"b"}]}`, true},
		{"new.filter(k, k > 'a') == ['b', 'c']", "-", `{"c":1,"a":2,"b":3}`, true},
		{"new['a b'][1] == true", "-", `{"a b":[false,true]}`, true},
		{"'a' in new && !('z' in new) && size(new) == 2", "-", `{"a":1,"b":2}`, true},
		{"new", "-", "true", true},
		{"new.on ? old : false", "true", `{"on":true}`, true},

		{"key == 'stock' && object == 'item-1' && method == 'sell' && version == 7", "-", "-", true},
		{"version % 7 == 0 && version > 6.5", "-", "-", true},
		{"timestamp(new.at) - timestamp(old.at) > duration('1h')", `{"at":"2026-01-01T00:00:00Z"}`, `{"at":"2026-01-01T02:00:00Z"}`, true},
		{"timestamp(new).getHours() == 23", "-", "2026-01-01T01:00:00+02:00", true},
		{"true || new.nothing", "-", "1", true},
		{"new.nothing || true", "-", "{}", true},
	} {
		t.Run(tc.expression, func(t *testing.T) {
			c, err := Compile(tc.expression)
			if strings.Contains(tc.expression, "{'a'}") || strings.Contains(tc.expression, "1e400") {
				if err == nil {
					t.Fatal("compiled")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got, err := c.Eval(change(tc.before, tc.after))
			if err != nil || got != tc.want {
				t.Errorf("got %v, %v; want %v", got, err, tc.want)
			}
		})
	}
}

func TestEvalErrors(t *testing.T) {
	for _, tc := range []struct{ expression, after, want string }{
		{"new.price > 1", "{}", "no such key: price"},
		{"new.a.price > 1", "{\"a\":1}", "no such"},
		{"new < 5", "abc", "no such overload"},
		{"new[3] == 1", "[1]", "index out of bounds: 3"},
		{"double(new) > 1.0", "abc", "type conversion error from 'string' to 'double'"},
		{"1 / int(new) > 1", "0", "division by zero"},
		{"new + 1 > 2", "1", "no such overload"},
		{"int(new) > 1", "1e30", "integer overflow"},
		{"new", "1", "must be true or false, but yields double"},
		{"new", "-", "must be true or false, but yields null_type"},
		{"new.all(a, new.all(b, new.all(c, a + b + c >= 0.0)))", "[" + strings.Repeat("1,", 999) + "1]", "cost limit"},
		{"size(new) > 0", strings.Repeat("x", MaxValueSize+1), "exceeds the limit of 1048576 bytes"},
	} {
		t.Run(tc.expression, func(t *testing.T) {
			c, err := Compile(tc.expression)
			if err != nil {
				t.Fatal(err)
			}
			holds, err := c.Eval(change("-", tc.after))
			if err == nil || holds || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, %v; want %s", holds, err, tc.want)
			}
			if fault.CodeOf(err) != fault.InvalidArgument {
				t.Errorf("code %s", fault.CodeOf(err))
			}
		})
	}
}

func TestCompileRefuses(t *testing.T) {
	for _, tc := range []struct{ name, expression, want string }{
		{"empty", " ", "condition is empty"},
		{"syntax", "new <", "condition does not compile: 1:6: "},
		{"second line", "true &&\n  foo", "2:3: undeclared reference to 'foo'"},
		{"unknown function", "now() > 1", "1:4: undeclared reference to 'now'"},
		{"number", "1 + 1", "condition must be true or false, but yields int"},
		{"text", "key", "condition must be true or false, but yields string"},
		{"wrong types", "key < 1", "found no matching overload for '_<_'"},
		{"long", strings.Repeat(" ", MaxSize) + "true", "condition of 4100 bytes exceeds the limit of 4096 bytes"},
		{"deep", strings.Repeat("(", 1000) + "true" + strings.Repeat(")", 1000), "recursion"},
		{"bad pattern", "key.matches('(')", "1:13: invalid matches argument"},
		{"pattern from data", "key.matches(string(old))", "1:12: the pattern of matches must be written as a text in the condition"},
		{"large pattern", "key.matches('(((a{100}){100}){100})')", "matches"},
		{"map literal", "{'a': 1, 'b': 2}.exists(k, k == key)", "1:1: a map literal has no order, so it cannot be part of a condition"},
		{"message", "google.protobuf.Struct{} == new", "1:23: messages cannot be part of a condition"},
		{"time zone", "timestamp(new).getHours('Asia/Bangkok') > 8", "found no matching overload for 'getHours'"},
		{"bad duration", "duration('soon') > duration('1s')", "invalid duration argument"},
		{"deep comprehensions", "[1].all(a, [1].all(b, [1].all(c, [1].all(d, true))))", "nesting"},
		{"not UTF-8", "key == '\xff'", "condition is not UTF-8"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Compile(tc.expression)
			if err == nil {
				t.Fatal("compiled")
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %s", err, tc.want)
			}
			if fault.CodeOf(err) != fault.InvalidArgument {
				t.Errorf("code %s", fault.CodeOf(err))
			}
			if Check(tc.expression) == nil {
				t.Error("Check accepts it")
			}
		})
	}
}

// A map is walked in the order of its keys, whatever order Go has for it today.
func TestEvalIsDeterministic(t *testing.T) {
	var object strings.Builder
	for i := range 50 {
		fmt.Fprintf(&object, `,"k%02d":%d`, (i*7)%50, i)
	}
	in := change("-", "{"+object.String()[1:]+"}")
	c, err := Compile("new.map(k, k)[0] == 'k00' && new.filter(k, new[k] > 10)[3] == new.map(k, k).filter(k, new[k] > 10)[3]")
	if err != nil {
		t.Fatal(err)
	}
	failing, err := Compile("new.all(k, new[k] >= 0.0 && old[k] == 1)")
	if err != nil {
		t.Fatal(err)
	}
	_, first := failing.Eval(in)
	for range 50 {
		if holds, err := c.Eval(in); err != nil || !holds {
			t.Fatalf("got %v, %v", holds, err)
		}
		if _, err := failing.Eval(in); fmt.Sprint(err) != fmt.Sprint(first) {
			t.Fatalf("error differs: %v and %v", err, first)
		}
	}
}

// Each of these would take minutes if only the number of operations counted, as their values are large.
func TestEvalCostCountsLargeValues(t *testing.T) {
	nested := "[" + strings.Repeat("[[1],[2]],", 2_000) + "0]"
	text := strings.Repeat("x", MaxValueSize/2)
	keys := &strings.Builder{}
	for i := range 5_000 {
		fmt.Fprintf(keys, `,"%d":0`, i)
	}
	object := "{" + keys.String()[1:] + "}"
	for _, tc := range []struct{ expression, after string }{
		{"[1,2,3,4,5,6,7,8,9,10].all(a, [1,2,3,4,5,6,7,8,9,10].all(b, [1,2,3,4,5,6,7,8,9,10].all(c, new == new)))", nested},
		{"[1,2,3,4,5,6,7,8,9,10].all(a, [1,2,3,4,5,6,7,8,9,10].all(b, !('z' in new)))", nested},
		{"[1,2,3,4,5,6,7,8,9,10].all(a, [1,2,3,4,5,6,7,8,9,10].all(b, size(new + new) > 0))", text},
		{"[1,2,3,4,5,6,7,8,9,10].all(a, [1,2,3,4,5,6,7,8,9,10].all(b, size(bytes(new)) > 0))", text},
		{"[1,2,3,4,5,6,7,8,9,10].all(a, [1,2,3,4,5,6,7,8,9,10].all(b, !new.contains('xy')))", text},
		{"new.all(a, new.all(b, new.exists(c, true)))", object},
		{"new.matches('^(x+x+)+(y|z)$')", text},
	} {
		c, err := Compile(tc.expression)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Eval(change("-", tc.after)); err == nil || !strings.Contains(err.Error(), "cost limit") {
			t.Errorf("%s: %v", tc.expression, err)
		}
	}
	c, err := Compile("new.contains('y') || new == old || new.endsWith('z') || size(new) == 3")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Eval(change(text, text+"x")); err != nil {
		t.Errorf("one look at a large text: %v", err)
	}
}

// What a condition does not look at is neither parsed nor checked.
func TestEvalLooksOnlyAtWhatItNeeds(t *testing.T) {
	c, err := Compile("key == 'stock'")
	if err != nil {
		t.Fatal(err)
	}
	in := change(strings.Repeat("x", MaxValueSize+1), "\xff")
	if holds, err := c.Eval(in); err != nil || !holds {
		t.Errorf("got %v, %v", holds, err)
	}
}

func TestEvalVersionBeyondInt(t *testing.T) {
	c, err := Compile("version == 9223372036854775807")
	if err != nil {
		t.Fatal(err)
	}
	if holds, err := c.Eval(Input{Version: math.MaxUint64}); err != nil || !holds {
		t.Errorf("got %v, %v", holds, err)
	}
}

func TestEvalConcurrently(t *testing.T) {
	c, err := Compile("new.filter(k, new[k] > 1).size() == 2")
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 100 {
				if holds, err := c.Eval(change("-", `{"a":1,"b":2,"c":3}`)); err != nil || !holds {
					t.Errorf("got %v, %v", holds, err)
					return
				}
			}
		})
	}
	group.Wait()
}

func FuzzCondition(f *testing.F) {
	for _, expression := range []string{
		"double(new) < 5.0 && double(old) >= 5.0", "new.a.exists(x, x == old)", "has(new.a)", "new.matches('a+')", "new in old", "new + old == old",
		"{1:2}", "[new, old].map(x, [x]).all(y, y in [[new]])", "timestamp(new).getHours() > 1", "size(string(new)) > 0 ? new : old", "(((", "'\\xff'",
		"new.all(a, new.all(b, new.all(c, a == b)))", "type(new) == type(old)", "dyn(new)[old]", "bytes(new) > b'a'", "-new < !old",
	} {
		f.Add(expression, []byte(`{"a":[1,"x",null,{"b":true}]}`), []byte("text"), uint64(1))
		f.Add(expression, []byte("\xff"), []byte("[[[[1]]]]"), uint64(math.MaxUint64))
	}
	f.Fuzz(func(t *testing.T, expression string, before, after []byte, version uint64) {
		c, err := Compile(expression)
		if err != nil {
			if fault.CodeOf(err) != fault.InvalidArgument {
				t.Fatalf("compile: code %s of %v", fault.CodeOf(err), err)
			}
			return
		}
		in := Input{Old: before, New: after, HasOld: true, HasNew: version%2 == 0, Key: "k", Object: "o", Version: version}
		holds, err := c.Eval(in)
		again, err2 := c.Eval(in)
		if holds != again || fmt.Sprint(err) != fmt.Sprint(err2) {
			t.Fatalf("differs: %v, %v and %v, %v", holds, err, again, err2)
		}
		if err != nil && (fault.CodeOf(err) != fault.InvalidArgument || strings.Contains(err.Error(), "internal error")) {
			t.Fatalf("eval: code %s of %v", fault.CodeOf(err), err)
		}
	})
}

func BenchmarkEval(b *testing.B) {
	for _, bc := range []struct{ name, expression, before, after string }{
		{"number", "double(new) < 5.0 && double(old) >= 5.0", "5", "4"},
		{"field", "new.status == 'open' && old.status != 'open'", `{"status":"new","n":1}`, `{"status":"open","n":2}`},
		{"list of 100", "new.exists(x, x > 100)", "-", "[" + strings.Repeat("1,", 99) + "2]"},
	} {
		b.Run(bc.name, func(b *testing.B) {
			c, err := Compile(bc.expression)
			if err != nil {
				b.Fatal(err)
			}
			in := change(bc.before, bc.after)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Eval(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Compile("double(new) < 5.0 && double(old) >= 5.0"); err != nil {
			b.Fatal(err)
		}
	}
}
