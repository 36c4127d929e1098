# A server of fused models with the interface of OpenAI, on port 8000, without CUDA.
#
#   docker build --tag coolfusion .
#   docker run --rm --publish 127.0.0.1:8000:8000 --env COOLFUSION_API_KEY=secret --volume "$PWD/models:/models:ro" \
#     coolfusion /models/a /models/b
#
# Without arguments it serves the three small models of the package. It refuses to start without a key, because the
# address is open to other machines (docs/guides/installation.md).

FROM rust:1.95-slim-bookworm AS wheel
# The versions of packages are those of the pinned base.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends g++ python3-venv \
 && rm -rf /var/lib/apt/lists/* \
 && python3 -m venv /venv \
 && /venv/bin/pip install --no-cache-dir 'maturin>=1.9.4,<2'
WORKDIR /source
COPY . .
RUN /venv/bin/maturin build --release --locked --out /wheels

FROM python:3.13-slim-bookworm
# An index of torch for the processor alone; for a GPU pass `--build-arg TORCH_INDEX=https://pypi.org/simple`.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    pip install --no-cache-dir 'torch>=2.4' --index-url "$TORCH_INDEX" \
 && pip install --no-cache-dir "$(echo /wheels/*.whl)[serve]" \
 && ln -s "$(python -c 'import coolfusion.embedded as it; print(it.__path__[0])')" /embedded \
 && useradd --create-home --home-dir /srv/coolfusion --uid 10001 coolfusion
USER 10001
WORKDIR /srv/coolfusion
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
ENTRYPOINT ["coolfusion", "serve", "--host", "0.0.0.0"]
CMD ["/embedded/ash", "/embedded/birch", "/embedded/cedar"]
