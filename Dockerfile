# fmbench and the engines of a CPU:  docker build -t fmbench .
#   docker run --rm --user "$(id -u)" -v "$PWD:/data" fmbench choose --model_name models/minilm --dataset data/scifact
# For NVIDIA GPUs:                   docker build --target cuda -t fmbench:cuda .
#   docker run --rm --user "$(id -u)" --gpus all -v "$PWD:/data" fmbench:cuda driver --platform cuda ...
FROM python:3.13-slim-bookworm AS wheel
WORKDIR /source
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.13-slim-bookworm AS base
# torch.compile builds C++ where it runs; Debian has one g++ a release. The home is anybody's: whoever owns the files in
# /data may run it (--user), and caches lie there.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 bench \
    && chmod 1777 /home/bench
COPY constraints.txt /constraints.txt
COPY --from=wheel /wheels /wheels
WORKDIR /data

FROM base AS cuda
RUN pip install --no-cache-dir --constraint /constraints.txt "$(echo /wheels/*.whl)[nvml,load,retrieval,serve]"
ENV HOME=/home/bench
USER 1000
ENTRYPOINT ["fmbench"]

# The last one is what is built where no target is named.
FROM base AS cpu
# An index with torch's builds for CPUs, which are far smaller: --build-arg TORCH_INDEX=https://...
ARG TORCH_INDEX=
RUN pip install --no-cache-dir --constraint /constraints.txt ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch \
    && pip install --no-cache-dir --constraint /constraints.txt \
    "$(echo /wheels/*.whl)[onnxruntime,openvino,int8,load,retrieval,serve]"
ENV HOME=/home/bench
USER 1000
ENTRYPOINT ["fmbench"]
