"""Properties of what a gateway metered: tokens in are tokens out, whatever a call used."""

import json
import tempfile
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors import litellm, usage_csv
from connectors.registry import REJECT, RawPart
from finops import schema as s
from tests.conftest import TODAY

OUTPUT = ("output_tokens", "reasoning_tokens", "output_audio_tokens", "output_image_tokens", "output_video_tokens")
INPUT = tuple(name for name in s.METER_COLUMNS if name.endswith("_tokens") and name not in OUTPUT)
PARTS = (
    "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "input_audio_tokens", "input_image_tokens",
)  # fmt: skip

counts = st.one_of(st.just(0), st.integers(0, 10**9))


@st.composite
def calls(draw: st.DrawFn) -> tuple[dict[str, Any], str]:
    """A call as a spend log and as a line of usage_csv; both with the prompt and completion as whole numbers."""
    read, short, long, audio, image, fresh, visible, reasoning, spoken = (draw(counts) for _ in range(9))
    heard = draw(st.integers(0, min(audio, read)))
    prompt, completion = read + short + long + (audio - heard) + image + fresh, visible + reasoning + spoken
    usage = {
        "cache_creation_input_tokens": short + long,
        "prompt_tokens_details": {
            "cached_tokens": read, "audio_tokens": audio, "image_tokens": image,
            "cached_tokens_details": {"audio_tokens": heard},
            "cache_creation_token_details": {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long},
        },
        "completion_tokens_details": {"reasoning_tokens": reasoning, "audio_tokens": spoken},
    }  # fmt: skip
    log = {
        "startTime": "2026-10-01T00:00:00Z", "model": "gpt-5", "custom_llm_provider": "openai", "spend": 0,
        "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion,
        "metadata": json.dumps({"usage_object": usage}) if draw(st.booleans()) else {"usage_object": usage},
    }  # fmt: skip
    cells = (prompt, read, short, long, audio - heard, image, completion, reasoning, spoken)
    return log, ",".join(("2026-10-01,openai,gpt-5", *map(str, cells)))


def metered(name: str, text: str, connector: Any) -> pl.DataFrame:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_text(text)
        frame: pl.DataFrame = connector.parse_usage(RawPart(path, name, TODAY, holds="usage")).collect()
    return frame


def sums(rows: pl.DataFrame, columns: tuple[str, ...]) -> list[int]:
    return [int(n) for n in rows.select(pl.sum_horizontal(pl.col(*columns).fill_null(0))).to_series()]


@settings(max_examples=60, deadline=None)
@given(st.lists(calls(), min_size=1, max_size=8))
def test_each_token_of_a_call_is_in_one_column(drawn: list[tuple[dict[str, Any], str]]) -> None:
    """Row by row, the input columns sum to prompt_tokens and the output columns to completion_tokens, in both forms."""
    logs = [log for log, _ in drawn]
    header = ",".join(("day,provider,model,input_tokens", *PARTS, "output_tokens,reasoning_tokens,output_audio_tokens"))
    lines = "".join(f"{line}\n" for line in (header, *(line for _, line in drawn)))
    for rows in (
        metered("log.jsonl", "".join(json.dumps(log) + "\n" for log in logs), litellm),
        metered("usage.csv", lines, usage_csv),
    ):
        assert rows[REJECT].null_count() == len(logs)
        assert sums(rows, INPUT) == [log["prompt_tokens"] for log in logs]
        assert sums(rows, OUTPUT) == [log["completion_tokens"] for log in logs]
        assert rows.select(pl.col(*INPUT, *OUTPUT).min().fill_null(0)).min_horizontal().item() >= 0
