# Sallyport. `make help` lists the targets. What tests and linters need beyond Go is installed
# into .cache/, pinned, by the target that needs it; nothing is expected on the machine.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
export HOME ?= /tmp/sallyport-home

CACHE       := $(CURDIR)/.cache
STATICCHECK := $(CACHE)/bin/staticcheck-v0.8.2
# The end-to-end tests and the benchmark have their own targets: they need the built binary and
# programs from outside.
PACKAGES = $$(go list ./... | grep -v '^sallyport/test/')

.PHONY: help build test lint unit fuzz

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

build: ## build bin/sallyport
	CGO_ENABLED=0 go build -trimpath -o bin/sallyport ./cmd/sallyport

test: lint unit ## everything that must pass

lint: ## gofmt and go vet
	@out=$$(git ls-files '*.go' | xargs gofmt -l); if [ -n "$$out" ]; then echo "not gofmt'ed:"; echo "$$out"; exit 1; fi
	go vet ./...

unit: ## unit, property and fuzz-seed tests with the race detector
	go test -race -timeout 20m $(PACKAGES)

FUZZTIME ?= 20s
fuzz: ## run each fuzz target for FUZZTIME (20s)
	@for package in $(PACKAGES); do \
	  for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
	    echo "== $$package $$target"; \
	    go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package; \
	  done; \
	done

$(STATICCHECK):
	GOBIN=$(CACHE)/bin go install honnef.co/go/tools/cmd/staticcheck@$(subst staticcheck-,,$(notdir $@))
	mv $(CACHE)/bin/staticcheck $@
