// Command protogen compiles the project's .proto files and writes their Go code beside them, messages and gRPC services, with a compiler and
// generators whose versions go.mod pins, so that `make generate` needs no protoc.
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/cmd/protoc-gen-go/internal_gengo"
	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "protogen:", err)
		os.Exit(1)
	}
}

// run generates Go code for the named files, whose paths are relative to the working directory, which is the root of imports.
func run(ctx context.Context, paths []string) error {
	compiler := protocompile.Compiler{
		Resolver:       protocompile.WithStandardImports(&protocompile.SourceResolver{}),
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	files, err := compiler.Compile(ctx, paths...)
	if err != nil {
		return fmt.Errorf("compile: %w", err)
	}
	request := &pluginpb.CodeGeneratorRequest{
		FileToGenerate: paths,
		Parameter:      proto.String("paths=source_relative"),
	}
	seen := map[string]bool{}
	for _, file := range files {
		addWithImports(request, seen, file)
	}
	plugin, err := protogen.Options{}.New(request)
	if err != nil {
		return fmt.Errorf("prepare generator: %w", err)
	}
	for _, file := range plugin.Files {
		if file.Generate {
			internal_gengo.GenerateFile(plugin, file)
		}
	}
	if err := write(plugin.Response()); err != nil {
		return err
	}
	response, err := services(ctx, request)
	if err != nil {
		return err
	}
	return write(response)
}

// services has the generator of gRPC code, which is a tool of go.mod and no library, give the code of the services. It speaks the protocol of
// protoc's plugins: a request on standard input, the response on standard output. Files without services give none.
func services(ctx context.Context, request *pluginpb.CodeGeneratorRequest) (*pluginpb.CodeGeneratorResponse, error) {
	encoded, err := proto.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("encode request to protoc-gen-go-grpc: %w", err)
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", "tool", "protoc-gen-go-grpc")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(encoded), &out, os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("run protoc-gen-go-grpc: %w", err)
	}
	response := &pluginpb.CodeGeneratorResponse{}
	if err := proto.Unmarshal(out.Bytes(), response); err != nil {
		return nil, fmt.Errorf("decode response of protoc-gen-go-grpc: %w", err)
	}
	return response, nil
}

// write writes the files of a generator's response.
func write(response *pluginpb.CodeGeneratorResponse) error {
	if response.Error != nil {
		return fmt.Errorf("generate: %s", response.GetError())
	}
	for _, out := range response.File {
		if err := os.WriteFile(filepath.FromSlash(out.GetName()), []byte(out.GetContent()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// addWithImports appends the descriptors of file and of all it imports, imports first, each once.
func addWithImports(request *pluginpb.CodeGeneratorRequest, seen map[string]bool, file protoreflect.FileDescriptor) {
	if seen[file.Path()] || strings.HasPrefix(file.Path(), "google/protobuf/descriptor") {
		return
	}
	seen[file.Path()] = true
	imports := file.Imports()
	for i := range imports.Len() {
		addWithImports(request, seen, imports.Get(i).FileDescriptor)
	}
	request.ProtoFile = append(request.ProtoFile, toProto(file))
}

// toProto gives the descriptor with comments, which protodesc leaves out.
func toProto(file protoreflect.FileDescriptor) *descriptorpb.FileDescriptorProto {
	if withSource, ok := file.(interface {
		FileDescriptorProto() *descriptorpb.FileDescriptorProto
	}); ok {
		return withSource.FileDescriptorProto()
	}
	return protodesc.ToFileDescriptorProto(file)
}
