# `make` lists the targets. Only Go and make must be installed by hand. `make deps`
# installs the rest; the targets that need it call it.

GO       ?= go
# How long `make fuzz` runs each target
FUZZTIME ?= 60s
# Arguments of the demo: `make demo DEMO='-conf recipe -memcached 2'`
DEMO     ?=
# Arguments of the benchmark: `make bench BENCH_ARGS='-quick -rounds 1'` takes a minute
BENCH_ARGS ?=
# What `uwgate version` prints: a tag, or a commit
VERSION  ?= $(shell git describe --tags --always --dirty=+changes 2>/dev/null)
# `make install` copies below $(DESTDIR)$(PREFIX), and makes $(DESTDIR)$(SYSCONFDIR)/uwgate
PREFIX     ?= /usr/local
SYSCONFDIR ?= /etc
DESTDIR    ?=
BINARY     ?= bin/uwgate

.DEFAULT_GOAL := help
.PHONY: help build install uninstall release deps demo demo-check test lint bench benchstat bench-faults test-package test-compose fuzz clean FORCE

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /  \1\t/p' $(MAKEFILE_LIST) | expand -t 16

build: bin/uwgate ## build bin/uwgate

# go build decides what is up to date.
bin/%: FORCE
	@$(GO) build -trimpath $(if $(filter uwgate,$*),-ldflags '-X main.version=$(VERSION)') -o $@ ./$(if $(filter uwgate,$*),cmd/uwgate,$*)
FORCE:

# The files of `make install`: the program, manual pages, completions, units, documentation.
# The configuration is written only if there is none. The package is made of the same files,
# and its units are where Debian looks.
install: bin/uwgate ## install the program, man pages, completions, systemd units and docs (PREFIX, DESTDIR)
	@deploy/install "$(abspath $(BINARY))" "$(DESTDIR)" "$(PREFIX)" "$(SYSCONFDIR)"

uninstall: ## remove what `make install` has installed, but no configuration
	@deploy/install --remove "$(DESTDIR)" "$(PREFIX)"

release: bin/uwgate ## make dist/: static binaries for amd64 and arm64, Debian packages, SHA256SUMS
	@rm -rf dist && mkdir dist
	@set -e; for arch in amd64 arm64; do \
		CGO_ENABLED=0 GOOS=linux GOARCH=$$arch $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o dist/uwgate-linux-$$arch ./cmd/uwgate; \
		echo dist/uwgate-linux-$$arch; \
		deploy/debian/build "$(VERSION)" $$arch "$(CURDIR)/dist/uwgate-linux-$$arch" "$(CURDIR)/dist"; \
	done
	@cd dist && sha256sum * >SHA256SUMS && echo dist/SHA256SUMS

deps: ## install what is missing of nginx, uWSGI, memcached, nutcracker, Django, Flask, gcc and shells (apt-get)
	@demo/install

demo: deps bin/uwgate bin/demo ## run the demo site and show how the cache fills, until Ctrl-C
	@bin/demo -uwgate bin/uwgate $(DEMO)

demo-check: deps bin/uwgate bin/demo ## run the demo's checks only; exit status 0 or 1
	@bin/demo -check -uwgate bin/uwgate $(DEMO)

# Four packages at a time: those with real servers mostly wait.
test: deps ## run all tests with the race detector; a missing server is a failure
	@echo 'test: all packages, with the race detector and real servers'
	UWGATE_TEST_STACK=1 $(GO) test -race -vet=off -timeout 30m -p 4 ./...
	cd deploy/kubernetes && $(GO) test ./...

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

test-package: ## test the Debian package with lintian and in a debootstrap; needs root
	@deploy/test-package

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

clean: ## remove bin/ and dist/
	rm -rf bin dist
