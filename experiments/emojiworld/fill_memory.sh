#!/usr/bin/env bash
# Pseudo-training without Ray: experiments/emojiworld/fill_memory.sh MEMORY MODEL COUNT WORKERS
#
# Each of WORKERS processes optimizes its share of the first COUNT training prompts into a memory of its own; these are
# merged into MEMORY, and MEMORY.done marks the end.
set -euo pipefail
memory=$1 model=$2 count=$3 workers=$4
python=${PYTHON:-python3}
gpus=$(nvidia-smi -L 2>/dev/null | wc -l || true)
export OMP_NUM_THREADS=1
pids=() parts=()
for i in $(seq "$workers"); do
    parts+=("$memory-part$i")
    CUDA_VISIBLE_DEVICES=$([ "$gpus" -gt 0 ] && echo $(((i - 1) % gpus))) "$python" -m experiments.emojiworld.pseudo_train \
        --memory "$memory-part$i" --model "$model" --count "$count" --shard "$i/$workers" --devices 1 &
    pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid"; done
"$python" -m ttom memory merge "${parts[@]}" --into "$memory"
touch "$memory.done"
