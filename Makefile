.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run test test-all coverage prove bench check audit sbom schema collection messages screenshots format lock clean

# Python keeps what it compiled, whatever the shell says: each server and command that a test starts
# would else compile the service anew.
export PYTHONDONTWRITEBYTECODE :=

VENV := .venv
PY := $(VENV)/bin/python
SERVING := $(VENV)/.requirements.lock.installed
DEVELOPING := $(VENV)/.requirements-dev.lock.installed
NODE_EXAMPLES := docs/examples/express docs/examples/typescript
NODE_INSTALLED := $(NODE_EXAMPLES:=/node_modules/.package-lock.json)
# Three processes on two cores: what starts servers waits for them half of its time.
CORES := $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
SPREAD = -n $$(( ($(CORES) * 3 + 1) / 2 )) --dist loadfile --no-loadscope-reorder
INSTALL := $(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r
COMPILE := $(PY) -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header

help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

run: $(SERVING) ## Serve with demo data, at http://127.0.0.1:8000 or PORT
	@$(PY) manage.py migrate --no-input
	@$(PY) manage.py seed_demo --history
	@exec env DJANGO_SETTINGS_MODULE=$${DJANGO_SETTINGS_MODULE:-fluxiq.settings.local} \
		GLIBC_TUNABLES=$${GLIBC_TUNABLES:-glibc.malloc.hugetlb=1} \
		$(PY) -m gunicorn fluxiq.wsgi -c gunicorn.conf.py

test: $(DEVELOPING) $(NODE_INSTALLED) ## Run each test once; make test ARGS="-k login" for a part of them
	@$(PY) -m pytest $(SPREAD) $(ARGS)

test-all: test ## The same, and once more on PostgreSQL and Valkey what an engine may change
	@echo "Once more, on PostgreSQL and Valkey"
	@TEST_ENGINES=servers $(PY) -m pytest $(SPREAD) -m "not engine and not once and not proof" $(ARGS)

coverage: $(DEVELOPING) ## The whole suite, and how much of the code it reaches: fails under the floors
	@$(PY) -m coverage erase
	@$(MAKE) --no-print-directory test-all ARGS="--cov --cov-append --cov-report= $(ARGS)"
	@$(PY) -m coverage report --fail-under=95
	@$(PY) -m coverage report --include="authn/*" --fail-under=100

prove: $(DEVELOPING) ## The long trials, whose figures stand in docs/proof.md
	@$(PY) -m pytest -m "proof and untimed" -n $(CORES) -rP $(ARGS) || [ $$? = 5 ] # none of these
	@$(PY) -m pytest -m "proof and not untimed" -s $(ARGS) || [ $$? = 5 ]

bench: $(DEVELOPING) ## The service beside stock peers; make bench ARGS="--only verify --rounds 3"
	@$(PY) -m bench $(ARGS)

check: $(DEVELOPING) ## Lint, types, import floors, migrations, production settings
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@$(VENV)/bin/lint-imports --no-logo
	@DJANGO_SETTINGS_MODULE=fluxiq.settings.test $(PY) manage.py makemigrations --check --dry-run
	@throwaway() { $(PY) -c 'import secrets; print(secrets.token_urlsafe(48))'; }; \
	env DJANGO_SETTINGS_MODULE=fluxiq.settings.production \
		SECRET_KEY="$$(throwaway)" \
		JWT_SIGNING_KEYS="k1:$$(throwaway)" \
		API_KEY_PEPPERS="p1:$$(throwaway)" \
		AUDIT_KEYS="a1:$$(throwaway)" \
		MFA_KEYS="m1:$$(throwaway)" \
		ALLOWED_HOSTS=auth.example.com \
		DATABASE_URL=postgres://fluxiq@127.0.0.1:5432/fluxiq \
		REDIS_URL=redis://127.0.0.1:6379/0 \
		$(PY) manage.py check --deploy --fail-level WARNING

schema: $(DEVELOPING) ## Make docs/openapi.json anew from the code
	@DJANGO_SETTINGS_MODULE=fluxiq.settings.test $(PY) manage.py spectacular \
		--format openapi-json --file docs/openapi.json --validate --fail-on-warn

collection: $(DEVELOPING) ## Make a Postman collection, which Bruno reads too, of the API
	@DJANGO_SETTINGS_MODULE=fluxiq.settings.test $(PY) manage.py make_collection \
		> fluxiq.postman_collection.json
	@echo "Import fluxiq.postman_collection.json, send \"Sign in\", and then anything else"

audit: $(DEVELOPING) ## Ask PyPI for known vulnerabilities in what is locked (needs the network)
	@$(PY) .ci/audit.py $(ARGS)

sbom: $(DEVELOPING) ## Make deploy/sbom.cdx.json anew from requirements.lock
	@$(PY) -m cyclonedx_py requirements --output-reproducible --of JSON \
		-o deploy/sbom.cdx.json requirements.lock

messages: ## Compile the console's translations (needs GNU gettext)
	@msgfmt -o fluxiq/locale/pt_BR/LC_MESSAGES/django.mo fluxiq/locale/pt_BR/LC_MESSAGES/django.po

screenshots: $(DEVELOPING) ## Remake docs/images from the demo, with Chromium
	@$(PY) -m fluxiq.tests.screenshots

format: $(DEVELOPING) ## Rewrite the code in the project's format
	@$(PY) -m ruff check --fix --exit-zero --quiet .
	@$(PY) -m ruff format .

lock: $(DEVELOPING) ## Redo the lock files and the SBOM; make lock ARGS=--upgrade for newer versions
	@$(COMPILE) $(ARGS) requirements.txt -o requirements.lock
	@$(COMPILE) $(ARGS) requirements-tracing.txt -o requirements-tracing.lock
	@$(COMPILE) $(ARGS) requirements-dev.txt -o requirements-dev.lock
	@$(COMPILE) $(ARGS) bench/requirements.txt -o bench/requirements.lock
	@$(MAKE) --no-print-directory sbom

clean: ## Remove the virtual environment and caches; var/ (database, secrets) stays
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# `import` below is what tells a working interpreter from a shim on the PATH that has nothing behind it.
$(PY):
	@for python in "$(PYTHON)" python3.13 python3.12 python3.11 python3; do \
		if [ -n "$$python" ] && "$$python" -c \
			'import ensurepip, ssl, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
		then \
			echo "Making $(VENV) with $$python"; \
			exec "$$python" -m venv --clear $(VENV); \
		fi; \
	done; \
	echo "Python 3.11 or newer, with its venv module, was not found." >&2; \
	echo "Install it (Debian, Ubuntu: apt install python3-venv) or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; \
	exit 1

# The stamps are written last, so that an install that failed is tried again.
$(SERVING): requirements.lock | $(PY)
	@echo "Installing requirements.lock"
	@$(INSTALL) requirements.lock
	@touch $@

$(DEVELOPING): requirements-dev.lock | $(PY)
	@echo "Installing requirements-dev.lock"
	@$(INSTALL) requirements-dev.lock
	@touch $@

# Where there is no npm, or it fails, the tests that need Node say so.
$(NODE_INSTALLED): %/node_modules/.package-lock.json: %/package-lock.json
	@! command -v npm >/dev/null || (cd $* && \
		npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null && \
		touch node_modules/.package-lock.json) || echo "npm ci failed in $*" >&2
