# `make` lists the targets. Only Go and make must be installed by hand. `make deps`
# installs the rest; the targets that need it call it.

GO       ?= go
# How long `make fuzz` runs each target
FUZZTIME ?= 60s
# Arguments of the demo: `make demo DEMO='-conf recipe -memcached 2'`
DEMO     ?=
# Arguments of the benchmark: `make bench BENCH_ARGS='-quick -rounds 1'` takes a minute
BENCH_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help build deps demo demo-check test lint bench benchstat bench-faults test-compose fuzz clean FORCE

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /  \1\t/p' $(MAKEFILE_LIST) | expand -t 16

build: bin/uwgate ## build bin/uwgate

# go build decides what is up to date.
bin/%: FORCE
	@$(GO) build -o $@ ./$(if $(filter uwgate,$*),cmd/uwgate,$*)
FORCE:

deps: ## install what is missing of nginx, uWSGI, memcached, nutcracker, Django, Flask and gcc (apt-get)
	@demo/install

demo: deps bin/uwgate bin/demo ## run the demo site and show how the cache fills, until Ctrl-C
	@bin/demo -uwgate bin/uwgate $(DEMO)

demo-check: deps bin/uwgate bin/demo ## run the demo's checks only; exit status 0 or 1
	@bin/demo -check -uwgate bin/uwgate $(DEMO)

test: deps ## run all tests with the race detector; a missing server is a failure
	@echo 'test: all packages, with the race detector and real servers'
	UWGATE_TEST_STACK=1 $(GO) test -race -vet=off -timeout 30m ./...

lint: ## check the code: gofmt, go vet, staticcheck, go mod tidy
	@echo 'lint: gofmt'
	@unformatted=$$(gofmt -l .); [ -z "$$unformatted" ] || { echo "lint: run gofmt -w on these files:" $$unformatted >&2; exit 1; }
	@echo 'lint: go vet'
	@$(GO) vet ./...
	@echo 'lint: staticcheck'
	@$(GO) tool staticcheck ./...
	@echo 'lint: go mod tidy'
	@$(GO) mod tidy -diff

bench: deps bin/uwgate bin/bench ## compare uwgate with FastRouter for ten minutes; write docs/performance.md
	@bin/bench -uwgate bin/uwgate -docs docs $(BENCH_ARGS)

benchstat: ## compare the Go benchmarks with those of the commit in docs/performance.md, or of BASE=COMMIT
	@bench/compare

bench-faults: deps ## make the faults of docs/faults.md behind uwgate and FastRouter; write docs/faults.md
	UWGATE_TEST_STACK=1 $(GO) test -count=1 -run '^TestFaults$$' ./integration -faults $(CURDIR)/docs/faults.md
	@cat docs/faults.md

test-compose: ## test docker-compose.yml; needs a Docker engine
	@deploy/test-compose

fuzz: ## run each fuzz target for FUZZTIME (60s)
	@set -e; for package in $$($(GO) list ./...); do \
		listed=$$($(GO) test -list '^Fuzz' $$package); \
		for target in $$(echo "$$listed" | grep '^Fuzz'); do \
			echo "$$package $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package; \
		done; \
	done

clean: ## remove bin/
	rm -rf bin
