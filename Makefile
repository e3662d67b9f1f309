# make demo and make test do their own set-up; the rest is for people who work on sre-agent.

GO ?= go
BIN := $(CURDIR)/.bin
PKG ?= ./...
ARGS ?=

GOFUMPT_VERSION := v0.12.0
SQLC_VERSION := v1.31.1
GOLANGCI_LINT_VERSION := v2.15.0
# The nats program, which docs/ops.md has commands of.
NATSCLI_VERSION := v0.4.0

# For go generate, which calls sqlc.
export PATH := $(BIN):$(PATH)

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## run the main job on this machine, with no accounts (ONCE=1: end when it is done)
	@$(GO) run ./internal/devtools/setup -for demo
	@$(GO) build -o $(BIN)/sre-agent ./cmd/sre-agent
	@exec $(BIN)/sre-agent demo $(if $(ONCE),--once)

.PHONY: test
test: setup $(BIN)/.nats-$(NATSCLI_VERSION) ## run all tests on real services (PKG=./internal/lease ARGS='-run Slots -v')
	@$(GO) build -o $(BIN)/with ./internal/devtools/with
	@exec $(BIN)/with $(GO) test -race -timeout 45m $(ARGS) $(PKG)

.PHONY: sim
sim: ## play the decision code on doubles with faults at every step (SEEDS=20000 SEED=7: one seed shows its trace)
	@$(GO) build -o $(BIN)/sim ./cmd/sim
	@exec $(BIN)/sim -seeds $(or $(SEEDS),2000) $(if $(SEED),-seed $(SEED))

.PHONY: chaos
chaos: setup ## break the whole system at random moments and check that every promise held (ROUNDS=50 SEED=7; STRIKES=200: only crashes at effects; DEFAULTS=1: only measure recovery)
	@$(GO) build -o $(BIN)/chaos ./cmd/chaos
	@exec $(BIN)/chaos -rounds $(or $(ROUNDS),5) -strikes $(or $(STRIKES),0) -seed $(or $(SEED),0) $(if $(DEFAULTS),-defaults)

.PHONY: mutants
mutants: setup ## remove each guard in turn and see a test go red (RUN=fence JOBS=2)
	@$(GO) build -o $(BIN)/with ./internal/devtools/with
	@$(GO) build -o $(BIN)/mutants ./internal/devtools/mutants
	@exec $(BIN)/with $(BIN)/mutants -jobs $(or $(JOBS),2) $(if $(RUN),-run '$(RUN)')

.PHONY: bench-fairness
bench-fairness: setup ## measure what a quiet repository feels of a noisy one: 1,500 runs in a storm, then 100,000 waiting
	@$(GO) build -o $(BIN)/bench ./cmd/bench
	@$(BIN)/bench fairness -storm 1500
	@$(BIN)/bench fairness -storm 100000 -preload

.PHONY: bench-pipeline
bench-pipeline: setup ## measure the whole way: runs ended a second, time to the end, pull requests a second, cost of a run (ARGS='-sync=false')
	@$(GO) build -o $(BIN)/bench ./cmd/bench
	@$(BIN)/bench pipeline $(ARGS)

.PHONY: bench-schedule
bench-schedule: setup ## measure what a start costs while 1,000, 100,000 and 1,000,000 runs wait
	@$(GO) build -o $(BIN)/bench ./cmd/bench
	@$(BIN)/bench schedule

.PHONY: bench-runner
bench-runner: setup ## measure what a sandbox, a checkout and a long log cost the runner (ARGS='-repo DIR': a git directory to check out)
	@$(GO) build -o $(BIN)/bench ./cmd/bench
	@$(BIN)/bench runner $(ARGS)

.PHONY: fuzz
fuzz: ## run every fuzz target (TIME=30s each, PKG=./internal/webhook/gitlab)
	@$(GO) run ./internal/devtools/fuzz -time $(or $(TIME),30s) $(PKG)

# One figure short of its target does not keep the others from being measured.
.PHONY: bench-intake
bench-intake: setup ## measure how fast webhooks are taken in, that none is lost, and what slow senders cost (STORM=short)
	@$(GO) build -o $(BIN)/sre-agent ./cmd/sre-agent
	@failed=0; run() { echo "sre-agent bench intake $$*"; $(BIN)/sre-agent bench intake "$$@" || failed=1; }; \
		run --mode default; \
		run --mode always; \
		run --rate 2000 --duration $(if $(filter short,$(STORM)),10s,60s); \
		run --rate 500 --duration $(if $(filter short,$(STORM)),30s,10m); \
		run --loris 10000 --rounds 4 --duration $(if $(filter short,$(STORM)),20s,60s); \
		exit $$failed

.PHONY: eval
eval: ## score what is read from real logs against what people marked in them (DATA=../shared/data)
	@$(GO) build -o $(BIN)/sre-agent ./cmd/sre-agent
	@exec $(BIN)/sre-agent eval logs --data $(or $(DATA),../shared/data)

.PHONY: check
check: tools ## formatting, go vet, linters, generated files, go.mod
	@unformatted="$$($(BIN)/gofumpt -l .)"; \
		if [ -n "$$unformatted" ]; then echo "not formatted (gofumpt -w):"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(BIN)/golangci-lint run
	$(GO) test ./internal/importtest
	promtool check rules deploy/prometheus/rules.yaml
	promtool test rules deploy/prometheus/rules_test.yaml
	@$(MAKE) -s manifests
	$(BIN)/sqlc diff -f internal/store/sqlc.yaml
	@before="$$($(MAKE) -s sums)"; $(MAKE) -s generate; after="$$($(MAKE) -s sums)"; \
		if [ -z "$$before" ] || [ "$$before" != "$$after" ]; then echo "generated files were not current; they are now: look at git diff"; exit 1; fi
	$(GO) mod tidy -diff

# A module of its own: the libraries of Kubernetes and Docker are no part of ours.
.PHONY: manifests
manifests: ## hold deploy/ to the schemas of compose, Kubernetes and systemd
	cd internal/devtools/manifests && $(GO) vet ./... && $(GO) test -count=1 ./... # what it reads is outside of its module

# All but the forge's API description, which needs a package from npm: see internal/forge/forgetest.
.PHONY: generate
generate: tools ## write the generated files again
	$(GO) generate -skip ' \./prune ' ./...

.PHONY: build
build: ## build all programs into .bin
	$(GO) build -o $(BIN)/ ./cmd/...

.PHONY: setup
setup: ## install what make test needs (as root or by sudo), or say what is missing
	@$(GO) run ./internal/devtools/setup -for test

.PHONY: tools
tools: setup $(BIN)/.gofumpt-$(GOFUMPT_VERSION) $(BIN)/.sqlc-$(SQLC_VERSION) $(BIN)/.golangci-lint-$(GOLANGCI_LINT_VERSION) ## install the tools of make check into .bin

$(BIN)/.gofumpt-$(GOFUMPT_VERSION):
	GOBIN=$(BIN) $(GO) install mvdan.cc/gofumpt@$(GOFUMPT_VERSION)
	@touch $@

$(BIN)/.sqlc-$(SQLC_VERSION):
	GOBIN=$(BIN) $(GO) install github.com/sqlc-dev/sqlc/cmd/sqlc@$(SQLC_VERSION)
	@touch $@

$(BIN)/.golangci-lint-$(GOLANGCI_LINT_VERSION):
	GOBIN=$(BIN) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	@touch $@

$(BIN)/.nats-$(NATSCLI_VERSION):
	GOBIN=$(BIN) $(GO) install github.com/nats-io/natscli/nats@$(NATSCLI_VERSION)
	@touch $@

# The state of every file that is not ignored, to see whether generating changed one.
.PHONY: sums
sums:
	@git ls-files -z --cached --others --exclude-standard | sort -z | xargs -0 cksum 2>/dev/null || true
