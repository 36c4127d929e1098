"""A server's detokenizer: 100 sequences that start, advance and end at different steps.

python examples/streaming_detokenizer.py
"""

import random

import coolfusion as cf
from coolfusion.embedded import folders

TEXTS = ("Once upon a time there was a café, and a 🦊.", "Question: how many? Answer: 3 + 4 = 7.", "東京は大きい。")


def main() -> None:
    """Streams 100 texts and compares each with its whole."""
    tok = cf.Tokenizer.from_pretrained(folders()[0])
    rng = random.Random(1)
    # A model would write such ids; the first few of them are the prompt.
    waiting = {number: tok.encode(TEXTS[number % 3] * rng.randint(1, 3)) for number in range(100)}
    whole = {number: tok.decode(ids) for number, ids in waiting.items()}
    running: dict[int, cf.StreamDecoder] = {}
    written = dict.fromkeys(waiting, "")
    steps = 0
    while waiting:
        steps += 1
        for number in list(waiting):
            if number not in running:
                if rng.random() < 0.1:  # a request arrives; its prompt is read and never emitted
                    prompt, waiting[number] = waiting[number][:2], waiting[number][2:]
                    running[number] = cf.StreamDecoder(tok, prompt_ids=prompt)
                    whole[number] = whole[number].removeprefix(tok.decode_bytes(prompt).decode(errors="ignore"))
                continue
            n_new = rng.randint(1, 3)  # speculative decoding brings several ids
            written[number] += running[number].extend(waiting[number][:n_new])
            waiting[number] = waiting[number][n_new:]
            if not waiting[number]:
                written[number] += running.pop(number).flush()
                del waiting[number]
    assert written == whole
    characters = sum(map(len, written.values()))
    print(f"{len(written)} streams, {steps} steps, {characters} characters, all equal to their wholes")


if __name__ == "__main__":
    main()
