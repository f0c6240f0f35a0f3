# Needs only make and Python 3.10 or newer with pip. To use a Python other than python3: make PYTHON=python3.12 demo
PYTHON ?= python3

.PHONY: demo page test lint bench weights clean

# From nothing to a page in a few minutes, on synthetic radiographs. Each line can be typed by itself.
demo: .venv/.installed
	.venv/bin/python data/make_phantom.py -o data/phantom --tiny --per-class 32
	.venv/bin/python segmentation/train.py dir_data_root=data/phantom test_name=demo \
		start_weights=weights/segmentation.safetensors resize_height=128 resize_width=128 schedule=onecycle \
		learning_rate=1e-3 'class_weights=[1.0,1.0,1.0,1.0]' epoch_max=5
	.venv/bin/python segmentation/inference.py -i data/phantom/cohort -o output/demo test_name=demo
	.venv/bin/python segmentation/evaluate.py dir_data_root=data/phantom test_name=demo
	.venv/bin/python classification/split.py dir_pairs=output/demo dir_split=output/demo-split \
		file_metadata=data/phantom/metadata.xls --overwrite
	.venv/bin/python classification/train.py dir_split=output/demo-split test_name=demo restart=True \
		net_label=efficientnet_lite2 start_weights=weights/classification.safetensors img_size=384 patch_size=128 \
		learning_rate=1e-3 schedule=onecycle weight_decay=1e-2 lambda_l1=0 num_patches=5 repeat=25 repeat_val=9 epoch_max=4
	.venv/bin/python classification/inference.py dir_split=output/demo-split test_name=demo repeat=25 \
		-o output/demo-predictions --overwrite
	.venv/bin/python classification/visualize_cnn.py dir_split=output/demo-split test_name=demo repeat=25 \
		-o output/demo-maps --overwrite
	.venv/bin/python classification/biomarkers.py -i output/demo file_metadata=data/phantom/metadata.xls --overwrite
	.venv/bin/python classification/audit.py -i output/demo dir_pairs=output/demo test_name=demo -o output/demo-audit \
		--parts outside file_metadata=data/phantom/metadata.xls
	.venv/bin/python classification/audit.py dir_split=output/demo-split test_name=demo \
		-p output/demo-predictions/predictions.csv -o output/demo-predictions/audit \
		--parts patients file_metadata=data/phantom/metadata.xls
	.venv/bin/python classification/report.py -i output/demo-predictions --maps output/demo-maps \
		-o output/demo-report.html
	@echo
	@echo "Synthetic radiographs and short trainings: this shows how it works, not how good it is. Look at"
	@echo "  output/demo                               pairs and overlays in a folder for each class; masks.csv, report.json"
	@echo "  checkpoint/segmentation/demo              curves.png, log.jsonl, best.pt; evaluation/ with its tables"
	@echo "  output/demo-predictions                   predictions.csv, metrics.json, confusion, ROC and reliability"
	@echo "  output/demo-audit                         does the answer come from the lungs or the hospital?"
	@echo "  output/demo-maps                          maps of the evidence, a picture for each case"
	@echo "  output/demo-report.html                   all of it in one page: open it in a browser"

# From a folder of radiographs to output/page/<its name>/report.html: make page FOLDER=path/to/radiographs
# A page holds the files of one folder: it is refused where it was made of others, or of some that have gone since.
# A script that met unreadable files exits with 1 and has finished all the same: then its report.json is new and has counts.
# As it was typed, since a name may hold $$(...)
override FOLDER := $(value FOLDER)
export FOLDER
page: .venv/.installed
	@set -e; case "$$FOLDER" in "~/"*) FOLDER="$$HOME/$${FOLDER#??}";; esac; \
	test -d "$$FOLDER" || { echo "name a folder of radiographs: make page FOLDER=path/to/radiographs"; exit 2; }; \
	place="$$(cd -- "$$FOLDER" && pwd)"; page="output/page/$$(basename "$$place")"; python=.venv/bin/python; \
	mkdir -p "$$page"; touch "$$page/.files"; \
	find -L "$$place" -type f ! -name ".*" | LC_ALL=C sort >"$$page/.found"; \
	gone="$$(LC_ALL=C comm -23 "$$page/.files" "$$page/.found" | head -n 1)"; \
	test -z "$$gone" || { echo "$$page was made with $$gone, which is not in $$place: rename FOLDER, or delete $$page"; exit 2; }; \
	mv "$$page/.found" "$$page/.files"; started="$$page/.started"; touch "$$started"; \
	finished() { test "$$1/report.json" -nt "$$started" && ! grep -q '"counts": null' "$$1/report.json"; }; \
	$$python segmentation/inference.py -i "$$place" -o "$$page/masks" || finished "$$page/masks"; \
	$$python classification/inference.py -i "$$page/masks" -o "$$page/predictions" || finished "$$page/predictions"; \
	$$python classification/visualize_cnn.py -i "$$page/masks" -o "$$page/predictions/cams" || finished "$$page/predictions/cams"; \
	$$python classification/biomarkers.py -i "$$page/masks" || test $$? = 1; \
	$$python classification/report.py -i "$$page/predictions" --pairs "$$page/masks" -o "$$page/report.html"

test: lint
	.venv/bin/python -m pytest -n 2 --dist loadfile

lint: .venv/.installed
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

# The published procedure and the project, timed in turn: half an hour on a quiet machine. BENCH="-i FOLDER --stages network"
bench: .venv/.installed
	.venv/bin/python -m benchmarks.bench $(BENCH)

# Every weights file that ships, from DATA (weights/make.py --help). Run again to resume. WEIGHTS="--minutes 10 -d cuda"
weights: .venv/.installed
	.venv/bin/python weights/make.py --data $(DATA) $(WEIGHTS)

# Debian's Python may lack ensurepip; then its own pip installs into an environment without pip.
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

# Removes .venv, caches and what demo and bench wrote; your own trainings, pages and results stay.
clean:
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis data/phantom output/demo output/demo-split \
		output/demo-predictions output/demo-audit output/demo-maps output/demo-report.html output/benchmark checkpoint/segmentation/demo checkpoint/classification/demo
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
