# Sallyport. `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
export HOME ?= /tmp/sallyport-home

.PHONY: help build test lint unit

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

build: ## build bin/sallyport
	CGO_ENABLED=0 go build -trimpath -o bin/sallyport ./cmd/sallyport

lint: ## gofmt and go vet
	@out=$$(gofmt -l .); if [ -n "$$out" ]; then echo "not gofmt'ed:"; echo "$$out"; exit 1; fi
	go vet ./...

unit: ## unit and property tests with the race detector
	go test -race -timeout 20m ./...

test: lint unit ## everything that must pass
