# `make demo` and `make test` set up what they need: an engine, Compose, images. See `make help`.
SHELL := bash

# Where generated documentation goes; .ci/run compares it with what is committed.
DOCS ?= docs

target := $(or $(CARGO_TARGET_DIR),target)
testbed := tests/testbed

.PHONY: help demo test examples bench engine images build dist lint docs

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 10
	@echo 'EXAMPLE is one of' $(notdir $(patsubst %/,%,$(dir $(wildcard examples/*/Makefile))))

# With the build of the tests, so that whoever runs both compiles once.
demo: engine images ## tell two true stories: Celery on RabbitMQ, Django behind nginx
	cargo build
	@examples/demo.sh $(abspath $(target)/debug/rscale)

# CONTRIBUTING.md has the variables that leave tests out or change what they run on.
test: ## run every test: unit, command line, end to end on a real engine
	@tests/run.sh

# The tests of one example (EXAMPLE=rabbitmq-workers), or of all. To try one by hand: make -C examples/rabbitmq-workers
EXAMPLE ?=
examples: engine images ## EXAMPLE=name: test one example on a real engine
	@test -z '$(EXAMPLE)' -o -e tests/e2e/examples/$(subst -,_,$(EXAMPLE)).rs || \
	    { echo 'there is no example `$(EXAMPLE)`; see them: make help' >&2; exit 2; }
	cargo test --test rscale e2e::examples::$(subst -,_,$(EXAMPLE))

bench: engine images dist ## measure rscale beside docker compose (needs hyperfine)
	@RSCALE_BENCH_BINARY=$(abspath $(target)/dist/rscale) tests/bench/run.sh

engine: ## make sure that a Docker engine and docker compose answer
	@$(testbed)/engine.sh up

images: engine ## make sure that the images of the examples exist
	@$(testbed)/images.sh

build: ## build an optimised binary: target/release/rscale
	cargo build --release

dist: ## build the binary of releases, smaller and slower to compile: target/dist/rscale
	cargo build --profile dist

lint: ## check formatting and run clippy
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings

docs: ## regenerate docs/cli.md and docs/schema from the binary
	cargo build
	@set -eu; mkdir -p $(DOCS)/schema; \
	rscale=$(target)/debug/rscale; \
	"$$rscale" reference cli >$(DOCS)/cli.md; \
	for command in check export load-test load-test-compare load-test-sweep scale status; do \
	    "$$rscale" reference "$$command-schema" >$(DOCS)/schema/$$command.schema.json; \
	done
