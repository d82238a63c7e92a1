package conform

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/hpcclab/oaas-go/internal/openapi"
)

// Reads is what the functions of a package read of requests, as their source says: by names, so that functions and methods of the same name are one.
type Reads struct{ functions map[string]*reader }

// reader is one function: the names of headers and parameters that it reads, all texts in it, and the functions that it calls.
type reader struct{ reads, texts, names map[string]bool }

// readers are the functions that give a header or a parameter by its name, of net/http, net/url, gin and ours.
var readers = map[string]bool{
	"Get": true, "GetHeader": true, "GetQuery": true, "QueryArray": true, "Query": true, "header": true, "query": true, "flag": true, "number": true,
}

// ReadsOf reads the source of the package in a folder, without its tests and without openapi.go.
func ReadsOf(dir string) (*Reads, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	r := &Reads{map[string]*reader{}}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") || filepath.Base(name) == "openapi.go" {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Body != nil {
				r.add(f, importsOf(file))
			}
		}
	}
	return r, nil
}

// importsOf gives the names of the packages that a file imports.
func importsOf(file *ast.File) map[string]bool {
	names := map[string]bool{}
	for _, i := range file.Imports {
		names[path.Base(literal(i.Path))] = true
	}
	return names
}

func (r *Reads) add(f *ast.FuncDecl, imports map[string]bool) {
	at := r.functions[f.Name.Name]
	if at == nil {
		at = &reader{map[string]bool{}, map[string]bool{}, map[string]bool{}}
		r.functions[f.Name.Name] = at
	}
	ast.Inspect(f.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			at.called(n, imports)
		case *ast.IndexExpr:
			at.indexed(n)
		case *ast.BasicLit:
			at.texts[literal(n)] = true
		}
		return true
	})
}

// called notes the call of a function of the package, and what the call reads.
func (at *reader) called(n *ast.CallExpr, imports map[string]bool) {
	switch f := n.Fun.(type) {
	case *ast.Ident:
		at.names[f.Name] = true
	case *ast.SelectorExpr:
		of, ok := f.X.(*ast.Ident)
		at.names[f.Sel.Name] = at.names[f.Sel.Name] || !ok || !imports[of.Name]
		if readers[f.Sel.Name] && len(n.Args) > 0 {
			at.read(n.Args[0])
		}
	}
}

// indexed knows the headers of a request (r.Header[…], where those of an answer are w.Header()[…]) and variables that are called query.
func (at *reader) indexed(n *ast.IndexExpr) {
	switch of := n.X.(type) {
	case *ast.Ident:
		if of.Name == "query" {
			at.read(n.Index)
		}
	case *ast.SelectorExpr:
		if of.Sel.Name == "Header" {
			at.read(n.Index)
		}
	}
}

// read notes a name that is a text, or a constant such as function.HeaderIdempotencyKey.
func (at *reader) read(name ast.Expr) {
	switch name := name.(type) {
	case *ast.BasicLit:
		if text := literal(name); text != "" {
			at.reads[text] = true
		}
	case *ast.SelectorExpr:
		if text, ok := strings.CutPrefix(name.Sel.Name, "Header"); ok {
			at.reads[text], at.texts[text] = true, true
		}
	}
}

func literal(l *ast.BasicLit) string {
	text, err := strconv.Unquote(l.Value)
	if err != nil || l.Kind != token.STRING {
		return ""
	}
	return text
}

// From gives the names of headers and parameters that are read by functions and by those that they lead to, and all texts there: a name that is read
// through a variable is only among the texts.
func (r *Reads) From(names ...string) (reads, texts map[string]bool) {
	reads, texts = map[string]bool{}, map[string]bool{}
	seen := map[string]bool{}
	for len(names) > 0 {
		name := names[0]
		names = names[1:]
		f := r.functions[name]
		if f == nil || seen[name] {
			continue
		}
		seen[name] = true
		maps.Copy(reads, f.reads)
		maps.Copy(texts, f.texts)
		for next, ours := range f.names {
			if ours {
				names = append(names, next)
			}
		}
	}
	return reads, texts
}

// Compare says how the parameters of an operation differ from what its handler reads, by the names of its functions. The names in known are read
// for all operations, and need not be described.
func (r *Reads) Compare(o openapi.Operation, known []string, handler ...string) (differences []string) {
	reads, texts := r.From(handler...)
	described := map[string]bool{}
	for _, p := range o.Params {
		if p.In == "path" {
			continue
		}
		described[plain(p.Name)] = true
		if !slices.Contains(known, p.Name) && !texts[p.Name] && !texts[strings.ReplaceAll(p.Name, "-", "")] {
			differences = append(differences, p.In+" parameter "+p.Name+" is described, and nobody reads it")
		}
	}
	for _, name := range known {
		described[plain(name)] = true
	}
	for name := range reads {
		if !described[plain(name)] {
			differences = append(differences, name+" is read, and not described")
		}
	}
	return differences
}

// plain gives a name as headers and constants have it alike.
func plain(name string) string { return strings.ToLower(strings.ReplaceAll(name, "-", "")) }

// FunctionName gives the last part of a function's name.
func FunctionName(f any) string {
	name := runtime.FuncForPC(reflect.ValueOf(f).Pointer()).Name()
	name = name[strings.LastIndexByte(name, '.')+1:]
	return strings.TrimSuffix(name, "-fm")
}
