# Every command of the project. Start with `make run`; `make help` lists the rest.
SHELL       := /bin/sh
export CGO_ENABLED ?= 0
# nodynamic: HEIC is decoded in a sandbox, and not by whatever library the machine has. With
# CGO_ENABLED=1 and TAGS=nodynamic,libwebp, photographs are sent as lossy WebP too.
TAGS        ?= nodynamic
export GOFLAGS += -tags=$(TAGS)
GO          ?= go
TOOL        := $(GO) tool -modfile=tools/go.mod
VERSION     := $(shell git describe --always --dirty 2>/dev/null || echo development)
BUILD       := $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)'
GENERATED   := internal/api internal/db
FUZZTIME    ?= 30s
TESTFLAGS   ?=

.PHONY: help run build dev test test-all fuzz bench check generate lint-contract lint-deploy setup setup-all clean

help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 24

run: build ## build and start the server: make run ARGS="--addr :8080"
	@exec bin/gatehouse $(ARGS)

build: ## build bin/gatehouse, one static binary
	@test -x bin/gatehouse || echo "building bin/gatehouse; the first time takes a minute"
	@$(BUILD) -o bin/gatehouse .

dev: ## rebuild and restart on every change
	$(TOOL) air --tmp_dir bin --build.cmd "$(MAKE) build" --build.bin bin/gatehouse --build.args_bin "$(ARGS)" \
		--build.include_ext go,sql,yaml,html,css,js,svg --build.exclude_dir bin,data,docs,bench,tools,.git

test: setup ## run the tests, on SQLite and on MariaDB
	@$(GO) run ./internal/dbtest/withmysql $(GO) test -short -count=1 $(TESTFLAGS) ./...

test-all: setup-all ## run the slow tests too, with the race detector
	@CGO_ENABLED=1 $(GO) run ./internal/dbtest/withmysql $(GO) test -race -count=1 -timeout 30m $(TESTFLAGS) ./...

fuzz: ## run every fuzz test: make fuzz FUZZTIME=5m
	@set -e; for package in $$($(GO) list ./...); do \
		for fuzz in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
			echo "== $$package $$fuzz"; $(GO) test -run '^$$' -fuzz "^$$fuzz\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$package; \
		done; done

bench: build ## measure the server beside its yardsticks
	@sh tools/setup.sh mariadb nginx wrk vips heif
	@$(GO) run ./bench $(ARGS)

generate: ## generate internal/api from the contract and internal/db from the queries
	@$(TOOL) oapi-codegen -config oapi-codegen.yaml api/openapi.yaml
	@$(TOOL) sqlc generate

check: generate lint-contract lint-deploy ## what must hold before a commit, without running the server
	@changed=$$(git status --porcelain -- $(GENERATED)); if [ -n "$$changed" ]; then \
		echo "generated code is out of date; commit what 'make generate' wrote:"; echo "$$changed"; exit 1; fi
	@unformatted=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); if [ -n "$$unformatted" ]; then \
		echo "not formatted; run gofmt -w on:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(TOOL) staticcheck $$($(GO) list ./... | grep -v /internal/api$$)
	$(GO) test -run '^TestImportRules$$' .
	$(GO) mod verify
	$(GO) mod tidy -diff

lint-contract: ## check the contract's style
	@sh tools/lint-contract.sh

lint-deploy: ## check the Dockerfile and the compose file
	@sh tools/lint-deploy.sh

setup:
	@sh tools/setup.sh mariadb redis nginx exiftool curl

setup-all:
	@sh tools/setup.sh mariadb redis nginx exiftool curl chromium node cc prometheus guide

clean: ## remove what was built; data stays
	rm -rf bin
