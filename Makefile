# Every target sets up what it needs: .venv, the compiled module, the tools.

PYTHON ?= python3
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.set-up
CPP := $(wildcard csrc/*/*.h csrc/*/*.cpp csrc/*/*/*.h csrc/*/*/*.cpp)
SOURCES := pyproject.toml setup.py CMakeLists.txt constraints.txt $(wildcard csrc/*.cmake csrc/isa/*.py) $(CPP)

# OpenMP threads that wait for a busy core should sleep, not spin: the difference is tenfold.
export OMP_WAIT_POLICY ?= PASSIVE
export PIP_DISABLE_PIP_VERSION_CHECK ?= 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# Every target with a description.
.PHONY: $(shell sed -n 's/^\([a-z0-9-]*\):.*\#\# .*/\1/p' $(firstword $(MAKEFILE_LIST)))

help:  ## this list
	@echo 'make TARGET [ARGS="more arguments"] [PYTHON=python3.12]'
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP)  ## build everything into .venv

demo: $(STAMP)  ## train, evaluate, compare; DATA=train.tsv TEST=test.tsv for your own log
	@$(BIN)/gru4rec-fast demo $(if $(DATA),--data '$(DATA)') $(if $(TEST),--test '$(TEST)') $(ARGS)

test: $(STAMP)  ## all tests, in JOBS processes (default 2)
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadgroup $(ARGS)

kill-test: $(STAMP)  ## SIGKILL trainings 200 times an engine, preparations 200 times, compare; ARGS="--kills 50"
	@OMP_NUM_THREADS=1 $(BIN)/python -W ignore -m tests.training.killed_run $(ARGS)
	@OMP_NUM_THREADS=1 $(BIN)/python -W ignore -m tests.faults.killed_prepare $(ARGS)

fuzz: $(STAMP)  ## damaged logs, models, stores, texts and arrays, 5 minutes; ARGS="--seconds 60 --only parquet"
	@OMP_NUM_THREADS=1 $(BIN)/python -W ignore -m tests.fuzz.run $(ARGS)

fuzz-properties: $(STAMP)  ## the tests of Hypothesis with 20,000 other examples, 10 minutes; ARGS="tests/plan"
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) -m hypothesis --hypothesis-profile fuzz $(ARGS)

soak: $(STAMP)  ## train, kill, resume, update, evaluate, serve for 20 minutes; ARGS="--minutes 3"
	@OMP_NUM_THREADS=1 $(BIN)/python -W ignore -m tests.faults.soak $(ARGS)

race-check: $(STAMP)  ## every part of the GPU kernels in the interpreter, traced, 15 minutes; ARGS="--part 2/9"
	@OMP_NUM_THREADS=1 $(BIN)/python -m tests.kernels.race_check --jobs $(JOBS) $(ARGS)

lint: $(STAMP)  ## ruff, mypy, clang-format; changes nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run -Werror $(CPP)

format: $(STAMP)  ## put the sources into the house's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(CPP)

bench: $(STAMP)  ## all benchmarks; ARGS="-k sampling" for some
	@$(BIN)/python -m pytest benchmarks -o python_files='bench_*.py' --benchmark-only $(ARGS)

bench-report: $(STAMP)  ## measure all interleaved; writes docs/BENCHMARKS.md and its chart
	@OMP_NUM_THREADS=2 $(BIN)/python -m benchmarks.report $(ARGS)

bench-sets: $(STAMP)  ## a step by each instruction set, beside its products by two libraries
	@OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=2 $(BIN)/python -m benchmarks.instruction_sets $(ARGS)

bench-against: $(STAMP)  ## a step's time beside that of REV=<commit>, interleaved; ARGS="--bits" for parameters
	@$(if $(REV),,echo 'say which commit: make bench-against REV=HEAD~1' && exit 2;) \
	  $(BIN)/python -m benchmarks.against '$(REV)' $(ARGS)

bench-planning: $(STAMP)  ## time to plan a step by 1 and 2 threads; ARGS="--against HEAD~1" for another commit
	@OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.planning $(ARGS)

serve-load: $(STAMP)  ## latency of examples/serve within this machine; ARGS="--batch 64 --swap"
	@OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.serve_load $(ARGS)

daily-update: $(STAMP)  ## what an update with a day's sessions is worth, 15 minutes; ARGS="--data LOG --k 12 28"
	@OMP_NUM_THREADS=1 $(BIN)/python -W ignore -m benchmarks.daily_update $(ARGS)

time-to-recall: $(STAMP)  ## time and epochs to the recall of ten published epochs, 15 minutes
	@OMP_NUM_THREADS=1 $(BIN)/python -W ignore -m benchmarks.time_to_recall $(ARGS)

bench-ranks: $(STAMP)  ## exact ranks by int8 bounds beside float32, torch.topk and faiss; ARGS="--large 10000000"
	@OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.bounded_ranks $(ARGS)

bench-data: $(STAMP)  ## logs of 10^7 and 10^8 events: prepare, open, train; ARGS="--events 1e9 --disk 60"
	@OMP_NUM_THREADS=2 $(BIN)/python -m benchmarks.data_scale $(ARGS)

experiment: $(STAMP)  ## papers' claims, one factor at a time, 40 minutes; DATA=folder of real sessions
	@$(BIN)/python -m benchmarks.experiment $(if $(DATA),--data '$(DATA)') $(ARGS)

sanitize: $(STAMP)  ## the engine's C++ tests under the address, undefined and thread sanitizers
	@for kind in address undefined thread; do \
	  $(BIN)/cmake -S csrc/tests -B build/sanitize-$$kind -G Ninja -DCMAKE_MAKE_PROGRAM="$$PWD/$(BIN)/ninja" \
	    -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS="-O1 -g -fsanitize=$$kind -fno-sanitize-recover=all" >/dev/null && \
	  $(BIN)/cmake --build build/sanitize-$$kind >/dev/null && \
	  $(BIN)/ctest --test-dir build/sanitize-$$kind --output-on-failure || exit 1; \
	done

test-aarch64: $(STAMP)  ## the same C++ tests compiled for 64-bit ARM, under qemu-user
	@missing=; \
	command -v aarch64-linux-gnu-g++ >/dev/null || missing='g++-aarch64-linux-gnu'; \
	command -v qemu-aarch64 >/dev/null || missing="$$missing qemu-user"; \
	if [ -n "$$missing" ]; then echo "These packages are missing; on Debian and Ubuntu: apt install $$missing"; exit 1; fi
	@$(BIN)/cmake -S csrc/tests -B build/aarch64 -G Ninja -DCMAKE_MAKE_PROGRAM="$$PWD/$(BIN)/ninja" \
	  --toolchain "$$PWD/csrc/tests/aarch64.cmake" -DPython_EXECUTABLE="$$PWD/$(BIN)/python" \
	  -DCMAKE_BUILD_TYPE=Release -DGRU4REC_FAST_WERROR=ON >/dev/null
	@$(BIN)/cmake --build build/aarch64 -j $(JOBS)
	@$(BIN)/ctest --test-dir build/aarch64 --output-on-failure $(ARGS)

kernels: $(STAMP)  ## compile every GPU kernel, without a GPU, and write docs/KERNELS.md
	@$(BIN)/python -m benchmarks.kernel_table $(ARGS)

gpu-prediction: $(STAMP)  ## what a step should take on an H100, from docs/KERNELS.md; writes docs/GPU_PREDICTION.md
	@$(BIN)/python -m benchmarks.gpu_prediction $(ARGS)

kernels-of-tests: $(STAMP)  ## compile what the tests launch for three chips, by two versions of Triton; ARGS="--kernels scores"
	@OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.specialisations --jobs $(JOBS) $(ARGS)

bench-distributed: $(STAMP)  ## a step by 1, 2 and 4 processes; ARGS="quality" or "curve" for recall
	@$(BIN)/python -m benchmarks.distributed $(or $(ARGS),speed)

gpu-report:  ## test and measure on this machine's GPU, 8 minutes a call, into OUT; by PYTHON's own torch
	@$(PYTHON) benchmarks/gpu_report.py $(ARGS)

gpu-report-check: $(STAMP)  ## every job of gpu-report on the CPU, with a planted failure
	@mkdir -p build
	@$(BIN)/python -m benchmarks.gpu_check $(ARGS) > build/gpu-report-check.log 2>&1 || \
	  { tail -60 build/gpu-report-check.log; exit 1; }
	@tail -1 build/gpu-report-check.log

packaging-check: $(STAMP)  ## sdist, wheel, and both ends of the allowed versions in fresh environments
	@$(BIN)/python -m tests.project.packaging_check $(ARGS)

docs: $(STAMP)  ## the documentation site, into build/site; opens without a server, search needs one
	@rm -rf build/site
	@# With --quiet a warning would not fail.
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@! grep -rlE '<(script|link|img)[^>]* (src|href)="?https?:' build/site --include='*.html' || \
	  { echo 'These pages load something from elsewhere'; exit 1; }
	@echo 'The site is in build/site: open build/site/index.html'

pictures: $(STAMP)  ## the figure of README.md, from committed tables, and those of docs/guide, by our commands
	@$(BIN)/python -m benchmarks.headline
	@OMP_NUM_THREADS=2 $(BIN)/python -m benchmarks.guide_pictures

wheel: $(STAMP)  ## dist/*.whl for this platform
	$(BIN)/python -m pip wheel --no-deps --wheel-dir dist .

clean:  ## remove what was built; what was downloaded into .venv stays
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	rm -f gru4rec_fast/_core*.so $(STAMP)

$(STAMP): $(SOURCES)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo 'Python 3.10 or newer is needed: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)'; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo 'No virtual environment could be made; on Debian and Ubuntu: apt install python3-venv'; exit 1; }
	@echo 'Setting up $(VENV): downloads PyTorch the first time, then builds the C++ module'
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@
