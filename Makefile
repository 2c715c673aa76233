# `make` lists the targets. Everything but Go and make itself is installed by
# `make deps`, which the targets that need it call.

GO       ?= go
FUZZTIME ?= 60s
# Arguments of the demo: `make demo DEMO='-conf recipe -memcached 2'`
DEMO     ?=
# Arguments of the benchmark: `make bench BENCH_ARGS='-quick -rounds 1'` takes a minute
BENCH_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help build deps demo demo-check test bench benchstat bench-faults test-compose vet fuzz clean FORCE

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /  \1\t/p' $(MAKEFILE_LIST) | expand -t 16

build: bin/uwgate ## build bin/uwgate

# Go knows better than make what is up to date.
bin/%: FORCE
	@$(GO) build -o $@ ./$(if $(filter uwgate,$*),cmd/uwgate,$*)
FORCE:

deps: ## install what is missing: nginx, uWSGI, memcached, nutcracker, Django, Flask, gcc (apt-get)
	@demo/install

demo: deps bin/uwgate bin/demo ## run the demo site and watch the cache fill, until Ctrl-C
	@bin/demo -uwgate bin/uwgate $(DEMO)

demo-check: deps bin/uwgate bin/demo ## the same without watching; exits 0 or 1
	@bin/demo -check -uwgate bin/uwgate $(DEMO)

test: deps ## run every test with -race; a server that is missing fails, not skips
	UWGATE_TEST_STACK=1 $(GO) test -race -timeout 30m ./...

bench: deps bin/uwgate bin/bench ## measure uwgate beside FastRouter for some ten minutes, and write docs/performance.md anew
	@bin/bench -uwgate bin/uwgate -docs docs $(BENCH_ARGS)

benchstat: ## compare the Go benchmarks with those of the code that `make bench` measured last, or of BASE=COMMIT
	@bench/compare

bench-faults: deps ## go through docs/faults.md with uwgate and with uWSGI's FastRouter, and write it anew
	UWGATE_TEST_STACK=1 $(GO) test -count=1 -run '^TestFaults$$' ./integration -faults $(CURDIR)/docs/faults.md
	@cat docs/faults.md

test-compose: ## prove docker-compose.yml; needs a Docker engine
	@deploy/test-compose

vet: ## gofmt and go vet
	@unformatted=$$(gofmt -l .); [ -z "$$unformatted" ] || { echo "not gofmt-ed:" $$unformatted >&2; exit 1; }
	$(GO) vet ./...

fuzz: ## run every fuzz target for FUZZTIME (60s)
	@set -e; for package in $$($(GO) list ./...); do \
		listed=$$($(GO) test -list '^Fuzz' $$package); \
		for target in $$(echo "$$listed" | grep '^Fuzz'); do \
			echo "$$package $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package; \
		done; \
	done

clean: ## remove bin/
	rm -rf bin
