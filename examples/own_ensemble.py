"""An ensemble of your own: two models vote on each segment, with the segmenter and the stream encoder alone.

python examples/own_ensemble.py "Once upon a time"
"""

import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

import coolfusion as cf
from coolfusion.embedded import folders


class Voter:
    """One model: it proposes segments, and says how likely it finds those of others."""

    def __init__(self, folder: Path, tokenizers: list[cf.Tokenizer], number: int, prompt: str) -> None:
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        self.tok = tokenizers[number]
        self.encoder = cf.StreamEncoder(self.tok)  # the canonical ids of the text so far
        self.encoder.push(prompt)
        others = [tok for tok in tokenizers if tok is not self.tok]
        ends = [i for i in (self.tok.eos_id,) if i is not None]
        self.segmenter = cf.Segmenter(self.tok, align_with=others, prompt_ids=self.encoder.ids, end_ids=ends)

    @torch.inference_mode()
    def logprobs(self, ids: list[int]) -> torch.Tensor:
        """Returns (T, V) ln p of the token after each prefix of BOS and `ids`."""
        line = torch.tensor([[*self.tok.prefix_ids, *ids]])
        rows: torch.Tensor = self.model(line).logits[0].double().log_softmax(-1)
        return rows

    def propose(self) -> str:
        """Returns the next segment, written greedily; "" at the end of the text."""
        self.segmenter.restart("")
        ids = list(self.encoder.ids)
        while True:
            ids.append(int(self.logprobs(ids)[-1].argmax()))
            segment = self.segmenter.push(ids[-1])
            if segment is not None:
                return segment.text

    def score(self, text: str) -> float:
        """Returns the mean ln p of the segment's tokens."""
        ids, edit = self.encoder.ids, self.encoder.peek(text)
        line = [*ids[: len(ids) - edit.drop], *edit.ids]
        rows = self.logprobs(line)[-1 - len(edit.ids) : -1]
        return float(rows.gather(1, torch.tensor(edit.ids)[:, None]).mean())

    def commit(self, text: str) -> None:
        """Appends the segment that won."""
        self.encoder.push(text)
        self.segmenter.restart(text)


def main(prompt: str, n_segments: int = 6) -> None:
    """Prints each segment with its author."""
    paths = folders()[:2]
    tokenizers = [cf.Tokenizer.from_pretrained(path) for path in paths]
    voters = [Voter(path, tokenizers, number, prompt) for number, path in enumerate(paths)]
    print(prompt, end="")
    for _ in range(n_segments):
        candidates = sorted({voter.propose() for voter in voters} - {""})
        if not candidates:
            break
        winner = max(candidates, key=lambda text: sum(voter.score(text) for voter in voters))
        print(winner, end="", flush=True)
        for voter in voters:
            voter.commit(winner)
    print()
    assert len({voter.encoder.text for voter in voters}) == 1


if __name__ == "__main__":
    main(" ".join(sys.argv[1:]) or "Once upon a time")
