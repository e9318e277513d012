# "make run" and "make test" need nothing done before. "make help" lists the rest.

SHELL := /bin/sh
.DEFAULT_GOAL := help

# How long "make fuzz" stays with each target.
FUZZTIME ?= 30s
# Flags for "make bench" and "make virtual-tokens".
ARGS ?=
# How often "make soak" pulls tokens out.
CYCLES ?= 1000
# Which packages "make test" tests.
PKGS ?= ./...

.PHONY: run stop test test-wine test-machine build packages bench fuzz soak lint golden virtual-tokens demo clean help

run: ## build, start tokend on a throwaway vault, and be shown around (installs what is missing)
	@packaging/setup.sh run
	@packaging/build.sh
	@packaging/run.sh

stop: ## end what "make run" started and remove its throwaway vault
	@packaging/run.sh stop

test: ## run every test, on the real pcscd with virtual cards (installs what is missing)
	@packaging/setup.sh test
	@PKGS='$(PKGS)' packaging/test.sh

test-machine: ## install the package in a virtual Debian and use it there: boot, upgrade, removal
	@packaging/setup.sh machine
	@packaging/machine.sh

build: ## build bin/tokend, bin/tokenctl and bin/tokend-helper as they are shipped
	@packaging/setup.sh build
	@packaging/build.sh
	@ls -l bin

packages: ## build deb, rpm, Windows zip and msi, source archive and Homebrew formula in build/packages
	@packaging/setup.sh packages
	@packaging/packages.sh
	@ls -l build/packages

bench: ## measure, and compare with oathtool, pass and a bare round trip
	@packaging/setup.sh bench
	@packaging/build.sh
	@ARGS='$(ARGS)' packaging/bench.sh

fuzz: ## run each fuzz target for FUZZTIME (30s)
	@FUZZTIME='$(FUZZTIME)' PKGS='$(PKGS)' packaging/fuzz.sh

soak: ## pull tokens out and put them in 1,000 times, under load (CYCLES=1000)
	@packaging/setup.sh test
	@TOKEND_TEST_SOAK='$(CYCLES)' $$(packaging/go.sh) test -count=1 -timeout 3h -v -run 'TestSoak$$' ./cmd/internal/e2e

test-wine: ## run the programs for Windows, and tests of packages, under wine (installs wine)
	@packaging/setup.sh wine
	@packaging/wine.sh

lint: ## gofmt, go vet, golangci-lint, govulncheck
	@packaging/setup.sh build
	@packaging/lint.sh

golden: ## write the golden files of the vault format anew
	@$$(packaging/go.sh) test ./daemon/archive ./daemon/vault -run Golden -update

virtual-tokens: ## start virtual PIV cards and FIDO2 keys, to try things by hand
	@packaging/setup.sh test
	@packaging/build.sh
	@mkdir -p build && $$(packaging/go.sh) build -o build/virtual-token ./tokens/tokentest/cmd/virtual-token
	@build/virtual-token $(ARGS)

demo: ## draw docs/demo.svg anew, from what the programs really say
	@packaging/setup.sh test
	@packaging/build.sh
	@$$(packaging/go.sh) run ./packaging/demo -bin bin -o docs/demo.svg

clean: stop ## remove what was built (ends what runs)
	@packaging/run.sh clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
