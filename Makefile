# Sallyport. `make help` lists the targets. What tests and linters need beyond Go is installed
# into .cache/, pinned, by the target that needs it; nothing is expected on the machine.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
export HOME ?= /tmp/sallyport-home

CACHE       := $(CURDIR)/.cache
STATICCHECK := $(CACHE)/bin/staticcheck-v0.8.2
# The end-to-end tests have their own target: they need the built binary and programs from
# outside.
PACKAGES = $$(go list ./... | grep -vE '/test/(e2e|deploy)$$')

.PHONY: bench-report help build test lint unit mutation fuzz fuzz-keep observe e2e e2e-tools test-claude phishing bench demo docs

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

build: ## build bin/sallyport
	CGO_ENABLED=0 go build -trimpath -o bin/sallyport ./cmd/sallyport

test: lint unit mutation deploy e2e test-claude ## everything that must pass; what it needs beyond Go, npm and make it fetches

lint: $(STATICCHECK) ## gofmt, go vet, staticcheck
	@out=$$(git ls-files '*.go' | xargs gofmt -l); if [ -n "$$out" ]; then echo "not gofmt'ed:"; echo "$$out"; exit 1; fi
	go vet ./...
	@echo staticcheck ./...; found=$$($(STATICCHECK) ./... | grep -vE '$(subst $(space),|,$(strip $(EXCEPTIONS)))' || true); \
	if [ -n "$$found" ]; then echo "$$found"; exit 1; fi

# Findings that stand, as patterns of "file:line:column: text (check)":
#   SA4000 in tests  asking twice and comparing is the point of those tests
#   S1019 in tests   a capacity that is said out loud
#   ST1005 there     the full stop is one of the characters that the message names
EXCEPTIONS := gateway/catalog/tool\.go:.*\(ST1005\)$$ _test\.go:.*\(SA4000\)$$ _test\.go:.*\(S1019\)$$
space := $(subst ,, )

unit: strace $(CACHE)/clients/.installed ## unit, property and fuzz-seed tests with the race detector
	AUDIT_STRACE=$(STRACE) go test -race -timeout 20m $(PACKAGES)

APT := apt-get -o Acquire::Retries=3

# strace makes single system calls of the record's writer fail. It comes from the system or, unpacked
# and not installed, from its Debian package.
STRACE := $(or $(shell command -v strace),$(CACHE)/strace/strace)
.PHONY: strace
strace:
	@if [ "$$(uname)" = Linux ] && ! [ -x "$(STRACE)" ]; then \
	  mkdir -p $(CACHE)/strace && cd $(CACHE)/strace; \
	  $(APT) download strace libunwind8 || { $(APT) update && $(APT) download strace libunwind8; } \
	    || { echo "the tests of the record need strace: install it (Debian: apt-get install strace)"; exit 1; }; \
	  for package in *.deb; do dpkg -x "$$package" .; done; \
	  printf '#!/bin/sh\nLD_LIBRARY_PATH=$$(echo %s/usr/lib/*-linux-gnu) exec %s/usr/bin/strace "$$@"\n' "$$PWD" "$$PWD" > strace && chmod +x strace; \
	fi

mutation: ## change the example policies in every small way, and want their own tests to notice (unit tries one in ten)
	go test -count=1 -timeout 20m -run '^TestExamples' -v ./test/mutation -all

FUZZTIME ?= 30s
fuzz: $(CACHE)/clients/.installed ## run each fuzz target for FUZZTIME (30s), two at once, and say at the end which failed
	go run ./test/fuzz -time $(FUZZTIME) $(PACKAGES)

# The corpora of testdata/fuzz run as seeds in every `go test`. Look at what it adds before committing it.
fuzz-keep: ## copy of what `make fuzz` found up to 8 small inputs of each target into its testdata/fuzz
	go run ./test/fuzz -keep 8 $(PACKAGES)

# What the end-to-end tests run beside the gateway. E2E_REQUIRED makes a missing program a failure.
CLIENTS := $(CACHE)/clients/.installed
EVERYTHING := $(CACHE)/bin/everything-server-v1.8.0
IDP := $(CACHE)/bin/idp
COLLECTOR := $(CACHE)/bin/collector
PROMETHEUS := $(CACHE)/prometheus/usr/bin/prometheus
OPA := $(CACHE)/bin/opa-v1.22.2
CLAUDE_VERSION := 2.1.332
CLAUDE := $(CACHE)/claude-$(CLAUDE_VERSION)/.installed

e2e-tools: $(CLIENTS) $(EVERYTHING) $(IDP) $(COLLECTOR) $(PROMETHEUS)

observe: build $(COLLECTOR) $(PROMETHEUS) ## a real Prometheus and a real OpenTelemetry collector read what the gateway shows; part of e2e
	E2E_REQUIRED=1 E2E_BINARY=$(CURDIR)/bin/sallyport go test -count=1 -timeout 10m -run '^TestObserve' ./test/e2e

e2e: build e2e-tools ## the real binary with real clients, servers and attacks
	E2E_REQUIRED=1 E2E_BINARY=$(CURDIR)/bin/sallyport go test -count=1 -timeout 40m -skip '^TestClaude' ./test/e2e

test-claude: build $(CLIENTS) $(EVERYTHING) $(CLAUDE) ## a real Claude Code, with a scripted model, through the gateway
	E2E_REQUIRED=1 E2E_BINARY=$(CURDIR)/bin/sallyport E2E_CLAUDE=$(dir $(CLAUDE)) go test -count=1 -timeout 20m -run '^TestClaude' ./test/e2e

phishing: build $(CLIENTS) $(CLAUDE) ## a real Claude Code that obeys a phishing message, without and with the gateway; PHISHING_JSON=FILE keeps the numbers
	go build -o $(CACHE)/bin/phishing ./test/phishing
	$(CACHE)/bin/phishing -sallyport $(CURDIR)/bin/sallyport -claude $(dir $(CLAUDE)) -clients $(dir $(CLIENTS)) $(PHISHINGFLAGS)

# The lock file pins each package by its digest. No install script of a package runs.
$(CLIENTS): test/e2e/clients/package.json test/e2e/clients/package-lock.json
	@command -v npm >/dev/null || { echo "the end-to-end tests need npm (any version; Node itself comes as a package)"; exit 1; }
	mkdir -p $(@D) && cp $^ $(@D)/
	cd $(@D) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	touch $@

$(EVERYTHING):
	GOBIN=$(CACHE)/bin go install github.com/modelcontextprotocol/go-sdk/conformance/everything-server@v1.8.0
	mv $(CACHE)/bin/everything-server $@

# An OpenID Connect provider, a module of its own: the gateway's needs nothing of it.
$(IDP): $(wildcard test/e2e/idp/*)
	go build -C test/e2e/idp -o $@ .

# OpenTelemetry's own collector, with what these tests need of it: a module of its own as well.
$(COLLECTOR): $(wildcard test/e2e/collector/*)
	go build -C test/e2e/collector -o $@ .

# prometheus and promtool are unpacked, and not installed, from their Debian package.
$(PROMETHEUS):
	mkdir -p $(CACHE)/prometheus && cd $(CACHE)/prometheus; \
	  $(APT) download prometheus || { $(APT) update && $(APT) download prometheus; } \
	    || { echo "the tests of metrics need prometheus and promtool (Debian: package prometheus): put both into $(@D)"; exit 1; }; \
	  dpkg -x prometheus_*.deb . && touch usr/bin/prometheus

# Claude Code is not free software: it is fetched for this test, by who runs it, and is no
# dependency of anything.
$(CLAUDE):
	@command -v npm >/dev/null || { echo "Claude Code comes by npm: install npm (any version)"; exit 1; }
	mkdir -p $(@D) && cd $(@D) && npm install --prefix . --ignore-scripts --no-audit --no-fund --no-save --loglevel=error @anthropic-ai/claude-code@$(CLAUDE_VERSION)
	touch $@

bench: nginx $(OPA) ## measure beside a direct call, httputil.ReverseProxy and nginx; BENCH_JSON=FILE keeps the numbers
	go build -o $(CACHE)/bin/bench ./test/bench
	BENCH_NGINX=$(NGINX) BENCH_OPA=$(OPA) $(CACHE)/bin/bench $(BENCHFLAGS)

REPORT ?= bench-report
bench-report: nginx ## the throughput and the latency at fixed rates, as Markdown, JSON and a page with curves, in REPORT (bench-report/)
	go build -o $(CACHE)/bin/bench ./test/bench
	BENCH_NGINX=$(NGINX) $(CACHE)/bin/bench -only throughput,latency -report $(REPORT) $(BENCHFLAGS)
	@echo "open $(REPORT)/index.html"

# The engine's own program, of the version that the gateway embeds.
$(OPA):
	GOBIN=$(CACHE)/bin go install github.com/open-policy-agent/opa@$(subst opa-,,$(notdir $@))
	mv $(CACHE)/bin/opa $@

docs: $(CACHE)/bin/helm-v3.22.0 ## write what is generated of docs/
	go generate ./gateway/config
	go test -count=1 -run TestFailClosedMatrix ./gateway -update
	go test -count=1 -run TestReadmesShowTheMatrix ./examples/policies -update
	go test -count=1 -run TestPlainManifestsAreTheChart ./test/deploy -update

# The chart is rendered and its objects checked by the tools of those who will use them; systemd reads
# its unit. helm and kubectl-validate are built from their modules.
HELM     := $(CACHE)/bin/helm-v3.22.0
VALIDATE := $(CACHE)/bin/kubectl-validate-v0.0.4
SYSTEMD  := $(or $(shell command -v systemd-analyze),$(CACHE)/bin/systemd-analyze)

.PHONY: deploy man release-check
deploy: $(HELM) $(VALIDATE) $(SYSTEMD) ## render and check the chart, the manifests and the unit of examples/deploy, and run them
	DEPLOY_REQUIRED=1 go test -count=1 -timeout 10m ./test/deploy

$(HELM):
	GOBIN=$(CACHE)/bin go install helm.sh/helm/v3/cmd/helm@$(subst helm-,,$(notdir $@))
	mv $(CACHE)/bin/helm $@

$(VALIDATE):
	GOBIN=$(CACHE)/bin go install sigs.k8s.io/kubectl-validate@$(subst kubectl-validate-,,$(notdir $@))
	mv $(CACHE)/bin/kubectl-validate $@

$(CACHE)/bin/systemd-analyze:
	mkdir -p $(CACHE)/systemd $(@D) && cd $(CACHE)/systemd; \
	  $(APT) download systemd libsystemd-shared || { $(APT) update && $(APT) download systemd libsystemd-shared; } \
	    || { echo "the test of the unit needs systemd-analyze: install it (Debian: apt-get install systemd)"; exit 1; }; \
	  for package in *.deb; do dpkg -x "$$package" .; done; \
	  printf '#!/bin/sh\nLD_LIBRARY_PATH=%s/usr/lib/x86_64-linux-gnu/systemd exec %s/usr/bin/systemd-analyze "$$@"\n' "$$PWD" "$$PWD" > $@ && chmod +x $@

# Statements of the three that any test of the three reaches: what is tested from outside counts too.
.PHONY: cover vuln gremlins
# These start the test's own program in a box without a place to count in, and hold what it says to the letter.
UNCOUNTED := ^(TestFileThatMayNotGrowRefusesAndRecovers|TestStdioTroubleIsToldClearly)$$$$
COVERED := ./gateway/...,./identity/...,./policy/...
cover: ## coverage of gateway, identity and policy; fails below 85 %
	GOCOVERDIR=$$(mktemp -d) go test -timeout 20m -skip '$(UNCOUNTED)' -coverprofile=$(CACHE)/cover.out -coverpkg=$(COVERED) ./gateway/... ./identity/... ./policy/... >/dev/null
	@go tool cover -func=$(CACHE)/cover.out | tail -1 | awk '{print "covered:", $$3; if ($$3+0 < 85) {print "less than 85 %"; exit 1}}'

# The database is a module like others, so this needs nothing but a module proxy. What is judged is what a
# build with the toolchain of go.mod holds.
VULN := $(CACHE)/bin/govulncheck-v1.9.0
INDEXDB := $(CACHE)/bin/indexdb
.PHONY: vulndb
vulndb:
	@cd $$(mktemp -d) && database=$$(go list -m -f '{{.Version}}' golang.org/x/vulndb@latest) && \
	rm -rf $(CACHE)/vulndb && GOBIN=$(CACHE)/bin go install golang.org/x/vulndb/cmd/indexdb@$$database && \
	$(INDEXDB) -vulns $$(go mod download -json golang.org/x/vulndb@$$database | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')/data/osv -out $(CACHE)/vulndb && \
	echo "the database of $$database"

vuln: $(VULN) vulndb ## hold the dependencies and Go itself against the Go vulnerability database
	GOTOOLCHAIN=$$(sed -n 's/^toolchain //p' go.mod) $(VULN) -db file://$(CACHE)/vulndb ./cmd/... ./gateway/... ./identity/... ./internal/... ./policy/...

$(VULN):
	GOBIN=$(CACHE)/bin go install golang.org/x/vuln/cmd/govulncheck@$(subst govulncheck-,,$(notdir $@))
	mv $(CACHE)/bin/govulncheck $@

# The short forms of both are in test/chaos and run with the unit tests. PACE is the pause between two calls
# of one caller, where a long run shall leave the machine to others.
.PHONY: chaos soak
CHAOS ?= 1h
chaos: build strace ## kill the gateway at random under load for CHAOS (1h), and reload each second for six minutes
	CHAOS=$(CHAOS) RELOAD=6m E2E_BINARY=$(CURDIR)/bin/sallyport AUDIT_STRACE=$(STRACE) go test -count=1 -timeout 0 -v ./test/chaos

SOAK ?= 2h
soak: build ## keep the gateway at half load for SOAK (2h) and want nothing that it holds to grow
	SOAK=$(SOAK) E2E_BINARY=$(CURDIR)/bin/sallyport go test -count=1 -timeout 0 -v -run '^TestNothingGrowsUnderLoad$$' ./test/chaos

# Small changes of the code that decides, each of which its own package's tests must notice. Hours for all;
# GREMLINS names fewer. Of a package its own files are changed and not those of packages below it; of
# gateway what decides and records. Without -count=1 the time that a change may take is counted from a run
# out of Go's test cache, and what is slow counts as neither noticed nor missed.
GREMLINS ?= identity/jose identity/pop identity/grant identity policy gateway/audit gateway
GREMLIN := $(CACHE)/bin/gremlins-v0.6.0
DECIDES := $(patsubst %,gateway/%.go,flow authorize permit grants door record)
LEFTOUT := -E / $(patsubst gateway/%,-E '^%$$',$(filter-out $(DECIDES),$(wildcard gateway/*.go)))
gremlins: $(GREMLIN) ## change the code of authentication, authorization, labels and audit; fails where tests notice less than 90 %
	@failed=; for package in $(GREMLINS); do echo "== $$package"; \
	  if [ $$package = gateway ]; then leave=($(LEFTOUT)); else leave=(-E /); fi; \
	  GOFLAGS="$$(go env GOFLAGS) -count=1" $(GREMLIN) unleash --workers 2 --timeout-coefficient 20 --threshold-efficacy 90 "$${leave[@]}" ./$$package \
	    || failed="$$failed $$package"; \
	done; \
	if [ -n "$$failed" ]; then echo "less than 90 % were noticed, or the tests failed, in:$$failed"; exit 1; fi

$(GREMLIN):
	GOBIN=$(CACHE)/bin go install github.com/go-gremlins/gremlins/cmd/gremlins@$(subst gremlins-,,$(notdir $@))
	mv $(CACHE)/bin/gremlins $@

man: ## write manual pages and shell completions into .cache/release
	rm -rf $(CACHE)/release && mkdir -p $(CACHE)/release
	MAN_DIR=$(CACHE)/release go test -count=1 -run '^TestManPagesAndCompletions$$' ./cmd/sallyport

GORELEASER := $(CACHE)/bin/goreleaser-v2.15.0
release-check: $(GORELEASER) ## say whether .goreleaser.yaml is sound (builds GoReleaser first: minutes)
	$(GORELEASER) check

$(GORELEASER):
	GOBIN=$(CACHE)/bin go install github.com/goreleaser/goreleaser/v2@$(subst goreleaser-,,$(notdir $@))
	mv $(CACHE)/bin/goreleaser $@

demo: build ## the phishing story, played through the real gateway
	bin/sallyport demo --once

# nginx comes from the system or, unpacked and not installed, from its Debian package.
NGINX := $(or $(BENCH_NGINX),$(shell PATH="$$PATH:/usr/sbin" command -v nginx),$(CACHE)/nginx/usr/sbin/nginx)
.PHONY: nginx
nginx:
	@if ! [ -x "$(NGINX)" ]; then \
	  mkdir -p $(CACHE)/nginx && cd $(CACHE)/nginx; \
	  $(APT) download nginx || { $(APT) update && $(APT) download nginx; } \
	    || { echo "make bench needs nginx: install it (Debian: apt-get install nginx), or set BENCH_NGINX to its binary"; exit 1; }; \
	  dpkg -x nginx_*.deb .; \
	fi
	@$(NGINX) -v 2>/dev/null || { echo "$(NGINX) does not run: install nginx (Debian: apt-get install nginx), or set BENCH_NGINX to its binary"; exit 1; }

$(STATICCHECK):
	GOBIN=$(CACHE)/bin go install honnef.co/go/tools/cmd/staticcheck@$(subst staticcheck-,,$(notdir $@))
	mv $(CACHE)/bin/staticcheck $@
