# What a developer does here. 'make' alone lists it. Everything works without make,
# too: each target is a command or two.

.DEFAULT_GOAL := help
.PHONY: help build test test-integration test-endurance test-all test-flaky test-mutation lint fmt bench run-demo ci

RUNS ?= 10
LAYER ?=

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build the commands into bin/
	go build -o bin/ ./cmd/...

test: ## unit and component tests: a minute, never dependent on the machine's speed
	go test ./...

test-integration: ## whole processes: real binaries, Redis, simulator, documents that are run
	go test -tags integration ./test/...

test-endurance: ## chaos, accuracy of the limit, recovery, load: the short form
	go test -tags endurance ./test/...
	cd test/browser && go test -count=1 ./...

test-all: test test-integration test-endurance ## all layers
	cd bench && go test ./...
	cd test/deploy && go test -vet=off ./...

test-flaky: ## run tests RUNS times on a busy machine, list what is not green each time (LAYER=integration for others)
	go run -C tools ./flaky -runs $(RUNS) -tags '$(LAYER)' $(if $(LAYER),./test/...,./...)

test-mutation: ## plant faults one by one and show which test notices each
	go run -C tools ./mutate

lint: ## format check, vet and linters
	@test -z "$$(gofmt -l .)" || { gofmt -l .; exit 1; }
	go vet ./...
	go vet -tags integration ./test/...
	go vet -tags endurance ./test/...
	go tool -modfile=tools/go.mod golangci-lint run ./...

fmt: ## format all Go files
	gofmt -w .

bench: ## benchmarks, once each; bench/README.md has those beside others
	go test -run '^$$' -bench . -benchtime 1x ./internal/tasks ./internal/roster ./internal/graph/graphsim

run-demo: ## apply the example roster to a simulated Graph
	go run ./cmd/enqueue --local --simulate examples/roster.csv

ci: ## everything that a change must pass
	.ci/run
