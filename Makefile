# Needs only make and Python 3.10 or newer with pip; another Python than python3: make PYTHON=python3.12 demo
PYTHON ?= python3

.PHONY: demo test lint bench weights clean

# From nothing to predictions in a few minutes: each line can be typed by itself.
demo: .venv/.installed
	.venv/bin/python data/make_phantom.py -o data/phantom --tiny --per-class 32
	.venv/bin/python segmentation/train.py dir_data_root=data/phantom test_name=demo net_label=fcdensenet56 \
		resize_height=128 resize_width=128 schedule=onecycle learning_rate=3e-3 epoch_max=12
	.venv/bin/python segmentation/inference.py -i data/phantom/cohort -o output/demo test_name=demo
	.venv/bin/python segmentation/evaluate.py dir_data_root=data/phantom test_name=demo
	.venv/bin/python classification/split.py dir_pairs=output/demo dir_split=output/demo-split \
		file_metadata=data/phantom/metadata.xls --overwrite
	.venv/bin/python classification/train.py dir_split=output/demo-split test_name=demo restart=True \
		net_label=efficientnet_lite0 file_weights=weights/classification-local.safetensors img_size=384 patch_size=128 \
		learning_rate=1e-3 schedule=onecycle weight_decay=1e-2 lambda_l1=0 num_patches=5 repeat_val=9 epoch_max=4
	.venv/bin/python classification/inference.py dir_split=output/demo-split test_name=demo repeat=25 \
		-o output/demo-predictions --overwrite
	.venv/bin/python classification/visualize_cnn.py dir_split=output/demo-split test_name=demo repeat=25 \
		-o output/demo-maps --overwrite
	.venv/bin/python classification/biomarkers.py -i output/demo file_metadata=data/phantom/metadata.xls --overwrite
	.venv/bin/python classification/report.py dir_pairs=output/demo -i output/demo-predictions \
		--maps output/demo-maps -o output/demo-report.html
	@echo
	@echo "Synthetic radiographs, short trainings: this shows the way, not what the method can do. Look at"
	@echo "  output/demo                               a folder a class: pairs and overlays; masks.csv, report.json"
	@echo "  checkpoint/segmentation/demo              curves.png, log.jsonl, best.pt; evaluation/ with its tables"
	@echo "  output/demo-predictions                   predictions.csv, metrics.json, confusion, ROC and reliability"
	@echo "  output/demo-maps                          where the evidence lay: a picture a case"
	@echo "  output/demo-report.html                   all of it in one page: open it in a browser"

test: lint
	.venv/bin/python -m pytest -n 2 --dist loadfile

lint: .venv/.installed
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

# Beside the published procedure: about half an hour on a quiet machine. BENCH="-i FOLDER --stages network"
bench: .venv/.installed
	.venv/bin/python -m benchmarks.bench $(BENCH)

# Every weights file that ships, from DATA (weights/make.py --help); run it again to go on. WEIGHTS="--minutes 10 -d cuda"
weights: .venv/.installed
	.venv/bin/python weights/make.py --data $(DATA) $(WEIGHTS)

# Debian's Python may come without ensurepip: there its own pip installs into an environment that has none.
.venv/.installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || \
		{ echo "$(PYTHON) is not Python 3.10 or newer: name one that is, as in make PYTHON=python3.12"; exit 1; }
	@echo "installing requirements.txt into .venv: some gigabytes, a minute or more"
	@if $(PYTHON) -c 'import ensurepip' 2>/dev/null; then \
		$(PYTHON) -m venv .venv && set -- .venv/bin/python -m pip; \
	elif $(PYTHON) -m pip --version >/dev/null 2>&1; then \
		$(PYTHON) -m venv --without-pip .venv && set -- $(PYTHON) -m pip --python .venv/bin/python; \
	else \
		echo "$(PYTHON) has neither ensurepip nor pip: on Debian and Ubuntu, apt install python3-venv"; exit 1; \
	fi && "$$@" install -qq --disable-pip-version-check --no-input -r requirements.txt
	@touch $@

# What make and the demo made; trainings of your own and their results stay.
clean:
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis data/phantom output/demo output/demo-split \
		output/demo-predictions output/demo-maps output/demo-report.html output/benchmark checkpoint/segmentation/demo checkpoint/classification/demo
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
