#!/usr/bin/env bash
# Measures what results/ publishes of a CPU: two models in four settings, over input and batch sizes. The dtype is always
# said, since the published granite is in bfloat16; OpenVINO computes float32 in bfloat16 where the CPU can.
#
#   results/measure.sh [FOLDER]    logs go to FOLDER (default: build/measured); one that was interrupted is gone on with
#
# Give it a quiet machine: `fmbench doctor` says what is not. SHAPE_SECONDS bounds a shape in a process; what takes longer
# than that is repeated less often, and the results say so. OpenVINO is fast or slow as a whole process, so that each of its
# shapes is measured by PROCESSES of them. On two cores all takes two to three hours, most of that for OpenVINO. ONLY is a
# pattern of the logs to measure, as in ONLY='*-openvino-*'.
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
    # shellcheck disable=SC2053 # a pattern
    [[ $name == ${ONLY:-*} ]] || return 0
    shift
    if [ -s "$log" ]; then
        driver "${common[@]}" "$@" --resume "$log" || code=$?
    else
        driver "${common[@]}" "$@" > "$log" || code=$?
    fi
    echo "$name: exit code $code after $((SECONDS - begun)) s" >&2
    [ "$code" -lt 128 ] || exit "$code" # interrupted
}

# sweep NAME ARGUMENT...: the settings of one model.
sweep() {
    local name=$1
    shift
    measure "$name-eager-float32" --platform cpu "$@" --model:dtype@ torch.float32
    measure "$name-eager-bfloat16" --platform cpu "$@" --model:dtype@ torch.bfloat16
    measure "$name-inductor-float32" --platform cpu "$@" --model:dtype@ torch.float32 --compile:backend inductor
    for frontend in torch.compile convert_model; do
        measure "$name-openvino-$frontend" --platform openvino --platform:frontend "$frontend" "$@" \
            --model:dtype@ torch.float32 --repeat "${PROCESSES:-3}"
    done
}

mkdir -p "$folder"
sweep minilm --model_class BertModel --model_name sentence-transformers/all-MiniLM-L6-v2
sweep granite --model_class RobertaModel --model_name ibm-granite/granite-embedding-125m-english
echo "to publish: for log in $folder/*.log; do fmbench results add \"\$log\"; done; make results" >&2
