# One image for all five services of docker-compose.yml; each service is a command of it.
# Builds with the legacy builder as well as with BuildKit. BASE_IMAGE: any with Python 3.11+ as python3, with venv.
ARG BASE_IMAGE=python:3.13-slim

FROM ${BASE_IMAGE} AS build
WORKDIR /src
COPY requirements.txt requirements-dev.txt ./
# What builds our wheel stays outside the venv that is kept: hatchling and its needs, with the developers' hashes.
RUN python3 -m venv /opt/badgateway \
 && python3 -m venv /opt/build \
 && awk '/^[^ #]/ {keep = /^(hatchling|packaging|pathspec|pluggy|tomlkit|trove-classifiers)==/} keep' requirements-dev.txt > build.txt \
 && /opt/badgateway/bin/pip install --no-cache-dir --require-hashes -r requirements.txt \
 && /opt/build/bin/pip install --no-cache-dir --require-hashes -r build.txt
COPY pyproject.toml README.md LICENSE ./
COPY proxy proxy
COPY upstream upstream
COPY lab lab
COPY scenarios scenarios
RUN /opt/build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheel . \
 && /opt/badgateway/bin/pip install --no-cache-dir --no-deps --no-index /wheel/*.whl \
 && /opt/badgateway/bin/pip uninstall --yes --quiet pip

FROM ${BASE_IMAGE}
COPY --from=build /opt/badgateway /opt/badgateway
# A fixed uid: the services share the folders below through volumes, and a new volume takes over its folder's owner.
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin badgateway \
 && install -d -o badgateway -g badgateway -m 0700 /run/badgateway /var/lib/badgateway
ENV PATH=/opt/badgateway/bin:${PATH} \
    HOME=/tmp \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
USER badgateway
WORKDIR /tmp
CMD ["badgateway", "demo"]
