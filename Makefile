# Targets are listed by `make` alone: each has its help text behind ##.
.DEFAULT_GOAL := help
.PHONY: help build demo test race interop check fuzz openapi bench bench-native generate cross clean

GO ?= go
FUZZTIME ?= 10s
PROTOS := $(sort $(wildcard api/oprc/*.proto odgm/record/*.proto odgm/remote/message/*.proto))

help: ## this text
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build the binaries into bin
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w" -o bin/oaas ./cmd/oaas
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w" -o bin ./cmd/oaas-router ./cmd/oaas-odgm ./cmd/oaas-gateway

demo: build ## build oaas and walk through the main job, as a user would type it
	$(GO) run ./test/demo -oaas bin/oaas

test: ## run every test that needs no root
	$(GO) test ./...

race: ## run the tests under the race detector (needs a C compiler)
	$(GO) test -race ./...

interop: ## run the tests with the native Zenoh and the Python SDK, which it installs into .cache/interop
	GO=$(GO) ./test/interop.sh

check: ## formatting, vet, staticcheck, tidy go.mod, current generated code, other platforms
	@test -z "$$(gofmt -l .)" || { echo "not formatted:"; gofmt -l .; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) mod tidy -diff
	$(MAKE) --no-print-directory generate
	@git diff --exit-code -- '*.pb.go' || { echo "generated code is not current: run make generate and commit"; exit 1; }
	$(MAKE) --no-print-directory cross

cross: ## compile oaas for the other platforms
	GOOS=darwin GOARCH=arm64 $(GO) build -o /dev/null ./cmd/oaas
	GOOS=windows GOARCH=amd64 $(GO) build -o /dev/null ./cmd/oaas

fuzz: ## run each fuzz test for FUZZTIME (10s)
	./test/fuzz.sh $(FUZZTIME)

openapi: ## run schemathesis against oaas dev and its OpenAPI document (needs Python 3 and PyPI)
	OAAS_SCHEMATHESIS=1 $(GO) test -count=1 -v ./test/openapi

bench: build ## measure, side by side with peers and limits, and print the tables of docs/performance.md
	$(GO) run ./test/bench -oaas bin/oaas

bench-native: ## build the native Zenoh that bench compares with, into .cache/native (needs Cargo)
	./test/bench/native.sh

generate: ## make the generated code anew
	$(GO) run ./internal/protogen $(PROTOS)

clean: ## remove what was built
	rm -rf bin
