# make help says what there is. Everything is installed into .venv; nothing else is touched.
PYTHON ?= python3
BIN := .venv/bin
RUN := $(BIN)/python
RUNTIME := .venv/.runtime
TOOLS := .venv/.tools
PROCESSES ?= 2
PYTEST := $(RUN) -m pytest -q -n $(PROCESSES) --dist loadfile --no-loadscope-reorder --timeout 180
# Measured by make check only: it makes the suite a third slower.
COVERAGE :=
check: COVERAGE := --cov --cov-report=term:skip-covered
SQLITE := env DATABASE_URL=sqlite:///var/tests.sqlite3
# A production portal's settings, as docs/ recommend them, with throw-away secrets.
PRODUCTION := env SECRET_KEY=$$($(RUN) -c 'import secrets; print(secrets.token_urlsafe(60))') \
	ENCRYPTION_KEYS=$$($(RUN) -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())') \
	ALLOWED_HOSTS=chatops.example.com HTTPS=true DEBUG=false PORTAL_URL=https://chatops.example.com \
	DATABASE_URL=sqlite:///var/check.sqlite3 DJANGO_SETTINGS_MODULE=chatops_site.settings
FOLDERS := chatops_site bot repos audit tests

.PHONY: help test demo check bench clean lint types settings dependencies translations
.PHONY: suite-postgres suite-full translations-compile
.DEFAULT_GOAL := help

help:
	@echo "make test     the test suite on SQLite (about 4 minutes on 2 cores)"
	@echo "make demo     a whole portal on this machine, between stand-ins of five chats, four forges and Jenkins"
	@echo "              (make demo PORT=8850 for other ports)"
	@echo "make check    all that has to hold: format, types, settings, translations, both databases, crashes, coverage"
	@echo "make bench    speed and size of the portal on this machine"
	@echo "make clean    takes away what the above have made"

.venv/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one: make test PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
		{ echo "Python's venv module is missing; on Debian: apt-get install python3-venv"; exit 1; }
	@$(PYTHON) -m venv .venv

$(RUNTIME): requirements.txt | .venv/pyvenv.cfg
	@echo "Installing what the portal needs into .venv"
	@$(RUN) -m pip install -q --disable-pip-version-check -r requirements.txt || \
		{ echo "pip could not install everything; its last lines say why."; exit 1; }
	@touch $@

$(TOOLS): requirements.txt .ci/requirements.txt | $(RUNTIME)
	@echo "Installing what tests and checks need into .venv"
	@$(RUN) -m pip install -q --disable-pip-version-check -r .ci/requirements.txt || \
		{ echo "pip could not install everything; its last lines say why."; exit 1; }
	@touch $@

test: $(TOOLS)
	@$(SQLITE) $(PYTEST) -m "not full and not postgres" $(COVERAGE) $(ARGS)
	@[ -x /usr/bin/chromium ] || echo "Browser tests were skipped: apt-get install chromium fonts-noto-cjk"
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 && echo "On PostgreSQL too: make suite-postgres" || \
		echo "PostgreSQL is not installed, so nothing ran on it: apt-get install postgresql"

demo: $(RUNTIME)
	@exec $(RUN) -m chatops_site.demo $(if $(PORT),--port $(PORT)) $(ARGS)

check: lint types settings dependencies translations test suite-postgres suite-full
	@echo "Everything holds."

lint: $(TOOLS)
	@$(RUN) -m ruff format --check .
	@$(RUN) -m ruff check .

types: $(TOOLS)
	@$(RUN) -m mypy $(FOLDERS)

settings: $(TOOLS)
	@$(PRODUCTION) $(RUN) manage.py check --deploy --fail-level WARNING
	@$(PRODUCTION) $(RUN) manage.py makemigrations --check --dry-run

dependencies: $(TOOLS)
	@$(RUN) .ci/dependencies.py

translations: $(TOOLS)
	@$(RUN) .ci/translations.py

translations-compile: $(TOOLS)
	@$(RUN) .ci/translations.py compile

suite-postgres: $(TOOLS)
	@.ci/with_postgres $(PYTEST) -m "not full and not browser" --database-only $(ARGS)

suite-full: $(TOOLS)
	@$(SQLITE) $(PYTEST) -m full $(ARGS)
	@.ci/with_postgres $(PYTEST) -m "full and not browser" --database-only $(ARGS)

bench: $(TOOLS)
	@$(RUN) -m tests.bench $(ARGS)

clean:
	rm -rf .venv var .mypy_cache .ruff_cache .hypothesis .coverage .coverage.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
