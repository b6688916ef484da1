#!/usr/bin/env bash
# Measures what results/ publishes of quality: retrieval, students beside their teacher, precisions beside fp32, and two
# versions of torch. It needs a model and two collections in BEIR's layout, which the repository does not hold:
#
#   results/measure_quality.sh [FOLDER]    logs and tables go to FOLDER (default: build/quality)
#
# MODEL, DATA: folders (default: models/all-MiniLM-L6-v2, and data with scifact and cranfield in it). THREADS: of each step.
set -euo pipefail

folder=${1:-build/quality}
model=(--platform cpu --threads "${THREADS:-$(nproc)}" --model_name "${MODEL:-models/all-MiniLM-L6-v2}")
data=${DATA:-data}
cache=(--encoding_cache_dir "$folder/cache")
lookup=(--student lookup --embeddings free --epochs 6 --batch_size 256 --learning_rate 2e-3 --schedule cosine)
layer=(--student transformer --layers 0 --embeddings free --epochs 1 --batch_size 64 --learning_rate 2e-3 --schedule cosine)
versions=(--with "${BEFORE:-torch==2.12.1}" --with "${AFTER:-torch==2.13.0}")

# step NAME ARGUMENT...: one command, into one log; its seconds go to stderr.
step() {
    local name=$1 begun=$SECONDS
    shift
    fmbench "$@" > "$folder/$name.log"
    echo "$name: $((SECONDS - begun)) s" >&2
}

# students COLLECTION ARGUMENT...: the teacher's vectors and two students. What a test query says is not trained on.
students() {
    local name=$1
    shift
    step "teacher-$name" distill teacher "${model[@]}" "${cache[@]}" --dataset "$data/$name" --held_out_split test \
        --pseudo_queries titles,sentences --teacher_dir "$folder/teacher-$name" "$@"
    step "lookup-$name" distill align "${model[@]}" "${lookup[@]}" --teacher_dir "$folder/teacher-$name" \
        --output_dir "$folder/lookup-$name"
    step "one-layer-$name" distill align "${model[@]}" "${layer[@]}" --teacher_dir "$folder/teacher-$name" \
        --output_dir "$folder/one-layer-$name"
}

mkdir -p "$folder"
students scifact --split train
students cranfield # has no training queries: its texts alone
four=$folder/lookup-scifact/query,$folder/one-layer-scifact/query,$folder/lookup-cranfield/query
four+=,$folder/one-layer-cranfield/query
evaluate=(distill evaluate "${model[@]}" "${cache[@]}" --query_model "$four")
step evaluate-scifact "${evaluate[@]}" --dataset "$data/scifact"
# Queries and documents are both numbered from 1 on: that query 225 and document 225 share an id means nothing.
step evaluate-cranfield "${evaluate[@]}" --dataset "$data/cranfield" --ignore_identical_ids no
step retrieve-float32 retrieve evaluate "${model[@]}" "${cache[@]}" --dataset "$data/scifact" \
    --output_dir "$folder/retrieve-float32"
step retrieve-bfloat16 retrieve evaluate "${model[@]}" "${cache[@]}" --dataset "$data/scifact" \
    --model:dtype@ torch.bfloat16 --output_dir "$folder/retrieve-bfloat16"
fmbench choose "${model[@]:2}" --dataset "$data/scifact" "${cache[@]}" --log "$folder/fidelity-choice.log"
fmbench fidelity matrix "${versions[@]}" "${model[@]}" --dataset "$data/scifact" --documents 500 \
    --out "$folder/versions" > "$folder/fidelity-versions.log"
for log in choice versions; do
    { echo "## Fidelity: $log"; echo; process --path "$folder/fidelity-$log.log" --format markdown; } \
        > "$folder/fidelity-$log.md"
done
echo "to publish: fmbench results add the logs evaluate-*, retrieve-*; copy *.md to results/MACHINE; make results" >&2
