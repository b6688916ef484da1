#!/usr/bin/env bash
# Measures what results/ publishes of a CPU: two models in four settings, over input and batch sizes. The dtype is always
# said, since the published granite is in bfloat16; OpenVINO computes float32 in bfloat16 where the CPU can.
#
#   results/measure.sh [FOLDER]    logs go to FOLDER (default: build/measured); one that was interrupted is gone on with
#
# Give it a quiet machine: `fmbench doctor` says what is not. SHAPE_SECONDS bounds a shape, so that all takes some half an
# hour on two cores; what takes longer than that is repeated less often, and the results say so.
set -euo pipefail

folder=${1:-build/measured}
common=(
    --weights random --threads "${THREADS:-$(nproc)}" --ceiling
    --input_sizes "${INPUT_SIZES:-16,32,64,128,256,512}" --batch_sizes "${BATCH_SIZES:-1,2,4,8,16,32}"
    --reps 100 --precision 1% --max_seconds "${SHAPE_SECONDS:-12}"
    --torch.call:set_grad_enabled@ False
)

# measure NAME ARGUMENT...: one run of the driver, into one log.
measure() {
    local name=$1 log=$folder/$1.log begun=$SECONDS code=0
    shift
    if [ -s "$log" ]; then
        driver "${common[@]}" "$@" --resume "$log" || code=$?
    else
        driver "${common[@]}" "$@" > "$log" || code=$?
    fi
    echo "$name: exit code $code after $((SECONDS - begun)) s" >&2
    [ "$code" -lt 128 ] || exit "$code" # interrupted
}

# sweep NAME ARGUMENT...: the four settings of one model.
sweep() {
    local name=$1
    shift
    measure "$name-eager-float32" --platform cpu "$@" --model:dtype@ torch.float32
    measure "$name-eager-bfloat16" --platform cpu "$@" --model:dtype@ torch.bfloat16
    measure "$name-inductor-float32" --platform cpu "$@" --model:dtype@ torch.float32 --compile:backend inductor
    measure "$name-openvino" --platform openvino "$@" --model:dtype@ torch.float32
}

mkdir -p "$folder"
sweep minilm --model_class BertModel --model_name sentence-transformers/all-MiniLM-L6-v2
sweep granite --model_class RobertaModel --model_name ibm-granite/granite-embedding-125m-english
echo "to publish: for log in $folder/*.log; do fmbench results add \"\$log\"; done; make results" >&2
