# What each target needs beyond Go, `make install` brings: Debian packages, if it runs as root.
.DEFAULT_GOAL := help
.PHONY: help demo lab build build-ndbapi test test-ndbapi install lint fuzz bench clean

# Which tests test-ndbapi runs.
NDBAPI_TESTS ?= API|TestCommandLine

# The NDB API's paths, from the kit or from MySQL's packages; fails with what to install where there is neither.
with_ndb = kit=$$(go run ./bench/rig/ndbkit) && eval "$$kit" &&

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## run the whole product in one process on 127.0.0.1:8080
	go run ./cmd/demo

lab: ## a network of namespaces with a director and real servers in it, until Ctrl-C (as root)
	go run ./bench/rig/lab

build: ## build every program into bin/
	go build -o bin/ ./cmd/...

build-ndbapi: ## build sessiond with --store ndbapi into bin/ (needs g++ and MySQL's libndbclient)
	$(with_ndb) go build -tags ndbapi -o bin/ ./cmd/sessiond

install: ## install what the tests need and is missing (Debian, as root; otherwise those tests are skipped)
	@./bench/rig/install

test: install ## run every test, with the race detector
	go test -race -timeout 20m ./...
	cd bench/engines && go vet ./... && go build -o /dev/null .
	cd bench/clients/golang && go vet ./... && go test -timeout 10m ./...

test-ndbapi: install ## run the tests of the store on the NDB API, with the race detector
	$(with_ndb) go test -race -tags ndbapi -timeout 10m -run '$(NDBAPI_TESTS)' ./sessionstore/ndb/... ./bench/linear ./cmd/sessiond

lint: ## check format, vet, static analysis, module files and PHP style
	@./.ci/lint

fuzz: ## run each fuzz target for FUZZTIME (default 10s)
	@./.ci/fuzz $${FUZZTIME:-10s}

bench: ## measure what the documents quote, one page in bench/results/<date>/; QUICK=1 for a look
	@./bench/run

clean: ## remove what was built
	rm -rf bin
