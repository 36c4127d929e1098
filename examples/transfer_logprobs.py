"""Log-probabilities of a teacher, moved to the tokens of a student with another vocabulary.

python examples/transfer_logprobs.py "Once upon a time there was a clever horse."
"""

import sys

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForCausalLM

import coolfusion as cf
from coolfusion.embedded import folders

TEXT = "Once upon a time there was a clever horse named Biscuit who loved to count the stars."


@torch.inference_mode()
def token_logprobs(folder: str, tok: cf.Tokenizer, ids: list[int]) -> NDArray[np.float64]:
    """Returns (T,) ln p of each id after the ids before it."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    line = torch.tensor([[model.config.bos_token_id, *ids]])  # (1, 1 + T) int64
    rows = model(line).logits[0, :-1].double().log_softmax(-1)
    return np.asarray(rows.gather(1, torch.tensor(ids)[:, None])[:, 0])


def main(text: str) -> None:
    """Prints what the teacher says of each token of the student."""
    teacher_folder, student_folder = folders()[:2]
    teacher, student = (cf.Tokenizer.from_pretrained(folder) for folder in (teacher_folder, student_folder))
    teacher_ids, student_ids = teacher.encode(text), student.encode(text)
    logprobs = token_logprobs(str(teacher_folder), teacher, teacher_ids)

    aligned = cf.align([(teacher, teacher_ids), (student, student_ids)])
    totals = aligned.sum(0, logprobs)  # one number for each group of tokens with the same text
    n_bytes = np.array([len(student.token_bytes(i)) for i in student_ids], dtype=float)
    group_of = np.repeat(np.arange(len(aligned)), np.diff(aligned.token_boundaries[1]))
    moved = totals[group_of] * n_bytes / aligned.sum(1, n_bytes)[group_of]

    for token_id, value in zip(student_ids, moved, strict=True):
        print(f"{value:8.3f}  {student.token_bytes(token_id)!r}")
    print(f"{len(aligned)} groups; teacher {logprobs.sum():.6f} nats, student {moved.sum():.6f} nats")
    assert np.isclose(logprobs.sum(), moved.sum())


if __name__ == "__main__":
    main(" ".join(sys.argv[1:]) or TEXT)
