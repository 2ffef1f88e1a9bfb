# Two images from one file: `app`, the web service, and `bot`, Quarterdeck itself.
#
#   docker build --target app --build-arg BUILT_FROM=$(git rev-parse HEAD) -t app .
#   docker build --target bot --build-arg BUILT_FROM=$(git rev-parse HEAD) -t quarterdeck .
#
# Pin the base by digest with --build-arg PYTHON_IMAGE=python:3.12-slim@sha256:...
# `app` comes first and reads nothing but app/ and locks/app.txt, so that it can be built from those paths alone.
ARG PYTHON_IMAGE=python:3.12-slim

# What both final images stand on: Python without its package installers, nobody's user, no bytecode written at run time.
FROM ${PYTHON_IMAGE} AS runtime
RUN rm -rf /usr/local/lib/python3.*/site-packages/pip* /usr/local/lib/python3.*/ensurepip /usr/local/bin/pip*
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PYTHONPATH=/srv
WORKDIR /srv
STOPSIGNAL SIGTERM

# Exactly the locked packages, each checked against its hash; the venv then loses the installer that filled it.
FROM ${PYTHON_IMAGE} AS app-build
WORKDIR /build
COPY locks/app.txt ./
RUN python3 -m venv /venv \
 && /venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check --only-binary :all: --require-hashes -r app.txt \
 && /venv/bin/python -m pip uninstall --yes pip \
 && rm -rf /venv/lib/python3.*/site-packages/setuptools* /venv/lib/python3.*/site-packages/pkg_resources
COPY app /srv/app
RUN /venv/bin/python -m compileall -q /srv

FROM runtime AS app
COPY --from=app-build /venv /venv
COPY --from=app-build /srv /srv
ARG BUILT_FROM=unknown
ENV APP_BUILT_FROM=${BUILT_FROM}
LABEL org.opencontainers.image.title="app" \
      org.opencontainers.image.description="The web service that Quarterdeck deploys" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.revision="${BUILT_FROM}"
EXPOSE 8080
USER 10001:10001
HEALTHCHECK --interval=5s --timeout=4s --start-period=5s --retries=3 CMD ["python", "-m", "app.health"]
CMD ["python", "-m", "app"]

FROM ${PYTHON_IMAGE} AS bot-build
WORKDIR /build
COPY locks/bot.txt ./
RUN python3 -m venv /venv \
 && /venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check --only-binary :all: --require-hashes -r bot.txt \
 && /venv/bin/python -m pip uninstall --yes pip \
 && rm -rf /venv/lib/python3.*/site-packages/setuptools* /venv/lib/python3.*/site-packages/pkg_resources
COPY bot /srv/bot
COPY cogs /srv/cogs
# The sandbox is for desks and tests; it has no place beside real credentials. The program is copied, not installed as a
# package: that would need the build backend, which no lock covers. So its command is written here as one would install it.
RUN rm -rf /srv/bot/sandbox \
 && printf '%s\n' '#!/venv/bin/python' 'import sys' 'from bot.__main__ import main' 'sys.exit(main())' > /venv/bin/quarterdeck \
 && chmod 755 /venv/bin/quarterdeck \
 && /venv/bin/python -m compileall -q /srv \
 && install -d -m 700 -o 10001 -g 10001 /state

FROM runtime AS bot
COPY --from=bot-build /venv /venv
COPY --from=bot-build /srv /srv
COPY --from=bot-build --chown=10001:10001 /state /var/lib/quarterdeck
ARG BUILT_FROM=unknown
ENV APP_BUILT_FROM=${BUILT_FROM} \
    HOME=/var/lib/quarterdeck
LABEL org.opencontainers.image.title="quarterdeck" \
      org.opencontainers.image.description="A Discord-first ChatOps bot for one team's AWS environment" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.revision="${BUILT_FROM}"
VOLUME /var/lib/quarterdeck
USER 10001:10001
# /healthz is on loopback inside the container; the configuration may move it, then this check has to be overridden.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
  CMD ["python", "-c", "import urllib.request as r; r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:8081/healthz', timeout=4)"]
CMD ["quarterdeck", "run", "--config", "/etc/quarterdeck/quarterdeck.toml"]
