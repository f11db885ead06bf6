# `make demo` and `make test` need nothing but Python 3.11+ and make. Every target can be run again: what is
# installed already stays.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
DEMO_PROMPT := A balloon moves from left to right above a house
DEMO_OUT := runs/demo
MEMORY := runs/memory/emojiworld
DEVICES :=
MODEL := emojiworld-wan
OPTIONS :=
# With an embedded model, a few cases that its vocabulary covers, which takes minutes without a GPU; else the whole suite.
EMBEDDED := $(filter emojiworld-%,$(MODEL))
JUDGES := $(if $(EMBEDDED),emojiworld,grounding depth)
QUICK := PROXY: a few prompts that a toy model knows, judged by its own detector; comparable with no published figure.
REAL := PROXY: the scores of stand-in judges ($(JUDGES)) are not the benchmark's; for those give the videos to the official toolkit. Attributes, actions and interactions need python -m eval.judge --judge vlm --vlm.model NAME besides.

.DEFAULT_GOAL := help
.PHONY: help demo studio test docs lint types format emojiworld pseudo-train probe eval-compbench eval-vbench env-grounding env-compbench env-vbench clean

help: ## list the targets
	@grep -hE '^[a-z-]+: .*##|^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | sort | expand -t 16

demo: $(VENV)/.installed ## install, then make a video of one prompt
	@$(BIN)/ttom generate "$(DEMO_PROMPT)" --out $(DEMO_OUT)

studio: $(VENV)/.installed-studio ## install, then serve the page that plans, draws, generates and compares: MODEL=... OPTIONS="--port 7861"
	@$(BIN)/ttom studio --model $(MODEL) $(OPTIONS)

test: $(VENV)/.installed-dev ## install what the tests need, then run all that need no GPU
	@$(BIN)/python -m pytest -q -m "not gpu"

lint: $(VENV)/.installed-dev ## check rules and formatting with ruff
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev ## check types with mypy: all packages, and the helpers of the tests
	@$(BIN)/mypy

docs: $(VENV)/.installed-dev ## build the documentation into runs/site; warnings are errors
	@$(BIN)/python -m mkdocs build --strict --quiet
	@echo "open runs/site/index.html"

format: $(VENV)/.installed-dev ## apply ruff's fixes and formatting
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

emojiworld: $(VENV)/.installed-dev ## retrain and measure an embedded checkpoint (about one GPU hour per family): OPTIONS="--family cogvideox"
	@$(BIN)/python -m experiments.emojiworld.make_all $(OPTIONS)

pseudo-train: $(VENV)/.installed-dev ## fill a memory from generated prompts, in runs/memory/emojiworld (DEVICES=4: on four GPUs or CPU processes)
	@$(BIN)/python -m experiments.emojiworld.pseudo_train --memory $(MEMORY) $(if $(DEVICES),--devices $(DEVICES)) $(OPTIONS)

probe: $(VENV)/.installed-dev ## find the blocks whose attention predicts where objects end up: MODEL=emojiworld-wan OPTIONS="--limit 20" (KEEP=1: store it with the embedded model)
	@$(BIN)/python -m probes.run --model $(MODEL) $(if $(DEVICES),--devices $(DEVICES)) $(OPTIONS)
	@test -z "$(KEEP)" -o ! -d ttom/checkpoints/$(MODEL) || { mkdir -p probes/results/$(MODEL) && \
		cp runs/probe/$(MODEL)/probe.* probes/results/$(MODEL)/ && cp runs/probe/$(MODEL)/probe.json ttom/checkpoints/$(MODEL)/; }

eval-compbench: ## base and TTOM on T2V-CompBench V2's prompts, with a report: MODEL=Wan-AI/... DATA=DIR DEVICES=8; by default a quick proxy
eval-vbench: ## the same on VBench's prompts

eval-compbench eval-vbench: eval-%: $(VENV)/.installed-dev
	@$(BIN)/python -m eval.study --out runs/$@/$(notdir $(MODEL)) --say "$(if $(EMBEDDED),$(QUICK),$(REAL))" \
		$(JUDGES:%=--judge %) -- --model $(MODEL) --devices $(or $(DEVICES),all) $(if $(DATA),--data $(DATA)) \
		--suite $*$(if $(EMBEDDED),-emojiworld --limit $(or $(LIMIT),10),$(LIMIT:%= --limit %)) $(OPTIONS)

env-grounding: .venv-grounding/.installed ## build the environment of groundingdino-py and sam2, for --masks worker (several GB)

env-vbench: .venv-vbench/.installed ## build the environment of VBench's package, for python -m eval.toolkits vbench (several GB)

env-compbench: .venv-llava/.installed .venv-compbench/.installed ## build T2V-CompBench's two environments from its clone: TOOLKIT=DIR (CUDA, several GB)

clean: ## remove the environment and caches, and keep runs/
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache

# sam2 is built against the torch that is there; without isolation pip does not fetch another one for that.
.venv-grounding/.installed: probes/grounding-requirements.txt
	@test -x .venv-grounding/bin/python || $(PYTHON) -m venv .venv-grounding
	@.venv-grounding/bin/python -m pip --quiet install setuptools wheel $$(grep -E '^torch' $<)
	@SAM2_BUILD_CUDA=0 .venv-grounding/bin/python -m pip --quiet install --no-build-isolation -r $<
	@.venv-grounding/bin/python -c 'import groundingdino.util.inference, sam2.sam2_video_predictor'
	@touch $@

.venv-vbench/.installed: eval/toolkits/vbench-requirements.txt
	@test -x .venv-vbench/bin/python || $(PYTHON) -m venv .venv-vbench
	@.venv-vbench/bin/python -m pip --quiet install -r $<
	@.venv-vbench/bin/python -c 'from vbench import VBench'
	@touch $@

# The steps of T2V-CompBench's README.
CLONE = test -d "$(TOOLKIT)/LLaVA" || { echo "TOOLKIT=DIR names no clone of T2V-CompBench, branch V2." >&2; exit 1; }

.venv-llava/.installed:
	@$(CLONE)
	@test -x .venv-llava/bin/python || $(PYTHON) -m venv .venv-llava
	@.venv-llava/bin/python -m pip --quiet install -e "$(TOOLKIT)/LLaVA"
	@touch $@

# GroundingDINO is built against the torch that its requirements brought.
.venv-compbench/.installed: GSA = $(TOOLKIT)/Grounded-Segment-Anything
.venv-compbench/.installed:
	@$(CLONE)
	@test -x .venv-compbench/bin/python || $(PYTHON) -m venv .venv-compbench
	@.venv-compbench/bin/python -m pip --quiet install setuptools wheel -r "$(GSA)/requirements.txt" -r "$(TOOLKIT)/dot/requirements.txt"
	@.venv-compbench/bin/python -m pip --quiet install -e "$(GSA)/segment_anything"
	@.venv-compbench/bin/python -m pip --quiet install --no-build-isolation -e "$(GSA)/GroundingDINO"
	@touch $@

# An environment made by other tools may lack pip; a half-made one is completed rather than replaced.
$(VENV)/.pip:
	@test -x $(BIN)/python || $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "TTOM needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1)." >&2; \
		echo "try: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@test -x $(BIN)/python || { echo "making $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null
	@touch $@

$(VENV)/.installed: $(VENV)/.pip pyproject.toml constraints.txt
	@echo "installing TTOM and its packages into $(VENV) (the first time, a few minutes)"
	@$(PIP) install -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-studio: $(VENV)/.pip pyproject.toml constraints.txt
	@echo "installing TTOM with its studio into $(VENV) (the first time, a few minutes)"
	@$(PIP) install -c constraints.txt -e ".[studio]"
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-dev: $(VENV)/.pip pyproject.toml constraints.txt
	@echo "installing TTOM with its tools for tests into $(VENV) (the first time, a few minutes)"
	@$(PIP) install -c constraints.txt -e ".[dev]"
	@touch $@ $(VENV)/.installed
