# One image for all services; the command says which one runs: docker run parley run router
#   docker build -t parley:dev .
# It runs as nobody in particular, on a read-only root (docker run --read-only --tmpfs /tmp), and holds no tests and no tools.
ARG PYTHON_VERSION=3.11

FROM python:${PYTHON_VERSION}-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/parley && mkdir -p /var/lib/parley
WORKDIR /src
# The lock first: the layer with the dependencies is made anew only when the lock changes.
COPY requirements.lock ./
RUN /opt/parley/bin/python -m pip install --require-hashes --requirement requirements.lock
COPY pyproject.toml README.md ./
COPY services services
COPY shared shared
COPY cli cli
COPY devstack devstack
COPY deploy/runtime_only.py deploy/runtime_only.py
RUN /opt/parley/bin/python -m pip install --no-deps --no-build-isolation . \
    && /opt/parley/bin/python deploy/runtime_only.py --yes

FROM python:${PYTHON_VERSION}-slim
COPY --from=build /opt/parley /opt/parley
# Only for the embedded store; with MONGODB_URI set nothing is written here.
COPY --from=build --chown=10001:10001 /var/lib/parley /var/lib/parley
# The example contact centre; mount your own in its place.
COPY config /etc/parley/config
ENV PATH=/opt/parley/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PARLEY_CONFIG_DIRECTORY=/etc/parley/config \
    PARLEY_DATA_DIRECTORY=/var/lib/parley \
    PARLEY_HEALTH_HOST=0.0.0.0 \
    PARLEY_HEALTH_PORT=8081 \
    PARLEY_INGEST_HOST=0.0.0.0 \
    PARLEY_INGEST_PORT=8080
USER 10001:10001
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
ENTRYPOINT ["parley"]
CMD ["--help"]
