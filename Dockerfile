# One image for all of Callout's processes; `docker-compose.yml` says which of them a container runs.

FROM python:3.11-slim AS dependencies
WORKDIR /app
COPY callout requirements.lock ./
RUN ./callout install

FROM python:3.11-slim
RUN useradd --system --uid 10001 --no-create-home --home-dir /app --shell /usr/sbin/nologin callout \
    && install --directory --owner=callout --mode=700 /files
WORKDIR /app
COPY --from=dependencies /app/.venv .venv
COPY LICENSE callout requirements.lock ./
COPY shared_contracts shared_contracts
COPY backend backend
COPY realtime realtime
COPY worker worker
RUN .venv/bin/python -m compileall -q backend realtime shared_contracts worker
ENV CALLOUT_HOME=/tmp/callout \
    FILES_FOLDER=/files \
    ENVIRONMENT=production \
    LOG_FORMAT=json \
    BACKEND_HOST=0.0.0.0 \
    REALTIME_HOST=0.0.0.0 \
    PYTHONDONTWRITEBYTECODE=1
USER callout
EXPOSE 8000 8001
ENTRYPOINT ["./callout"]
CMD ["help"]
