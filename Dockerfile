# The processor: every role of `tidegauge run`, and the command line.
# Python 3.11 is what the tests run on; another one with wheels of all dependencies works as well.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

# The decoder in Rust; without it the image would count the same, more slowly.
FROM ${PYTHON_IMAGE} AS native
# Any linker will do.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev
COPY native /src
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels /src

FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
# No git here to ask for it.
ARG VERSION=0.0.0
RUN python -m venv /opt/tidegauge
ENV PATH=/opt/tidegauge/bin:$PATH
# Dependencies in a layer of their own: a change of the code doesn't install them anew.
COPY pyproject.toml ./
RUN python -c 'import tomllib; p = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
    print(*p["dependencies"], *p["optional-dependencies"]["processor"], sep="\n")' \
    > requirements.txt \
    && pip install -r requirements.txt
COPY --from=native /wheels /wheels
COPY README.md LICENSE ./
COPY app app
RUN SETUPTOOLS_SCM_PRETEND_VERSION="$VERSION" pip install --no-deps . /wheels/*.whl && pip uninstall -y pip

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="tidegauge" \
      org.opencontainers.image.description="Drift monitoring for models on Kafka" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --system --uid 10001 --user-group --no-create-home --home-dir /tmp tidegauge
COPY --from=build /opt/tidegauge /opt/tidegauge
# The root file system may be read-only: only /tmp is written to. Faust makes its data directory
# even where it keeps nothing in it, so that goes there too.
ENV PATH=/opt/tidegauge/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    APP_DATADIR=/tmp/faust
# Where a tidegauge.yaml is looked for if TIDEGAUGE_CONFIG names none.
WORKDIR /etc/tidegauge
# Numeric, so that Kubernetes can see that it is not root.
USER 10001:10001
EXPOSE 8000
# http.client because it ignores HTTP_PROXY. Set the port by TIDEGAUGE_HTTP__PORT, not in the YAML
# file, or this looks in the wrong place.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --start-interval=2s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('TIDEGAUGE_HTTP__PORT') or 8000), timeout=4); c.request('GET', '/healthz'); sys.exit(c.getresponse().status != 200)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["tidegauge"]
CMD ["run", "--role", "all"]
