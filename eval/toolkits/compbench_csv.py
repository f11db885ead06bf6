"""The CSV files of T2V-CompBench's official scripts: read, cleaned and packed for its leaderboard.

A final file has a header, a row per video and a last line "score: ". Its scripts append to what is there, so that a
second call leaves an old "score:" line among the rows and averages it in; such lines are dropped and the mean computed
again from the rows.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eval.metrics.compbench import CATEGORIES, PROMPTS
from ttom import files
from ttom.errors import UserError

SPANS = {"consistent": 14, "action": 9, "interaction": 9}
"""Raw scores of these are 1 .. 1 + span; the others are 0 .. 1 in their files."""
MAX_FILE = 256 << 20
BETWEEN = "motion_back_fore"
"""The eighth file of the leaderboard's zip: what motion's scores were computed from."""
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Table:
    """A final CSV.

    Attributes:
        rows: Header and rows as they are, without lines of scores.
        scores: Score 0..1 of each video, by its number from 1; None for an unreadable reply.
        stated: What its last line says; None without one.
        stale: Lines of scores that an earlier call left among the rows.
    """

    category: str
    rows: list[list[str]]
    scores: dict[int, float | None]
    stated: float | None
    stale: int = 0

    @property
    def mean(self) -> float | None:
        """The mean over the readable videos."""
        values = [score for score in self.scores.values() if score is not None]
        return sum(values) / len(values) if values else None

    @property
    def is_consistent(self) -> bool:
        """Whether the last line says what the rows give."""
        mean = self.mean
        return self.stated is not None and mean is not None and abs(mean - self.stated) <= _TOLERANCE

    def text(self) -> str:
        """The file again, with one line of scores, the last."""
        output = io.StringIO()
        writer = csv.writer(output)
        writer.writerows([*self.rows, ["score: ", self.mean]])
        return output.getvalue()


def read_table(path: Path, category: str) -> Table:
    """Read a final CSV of a category.

    Raises:
        UserError: It is missing, no CSV of this category, or names a video twice.
    """
    lines = read_lines(path)
    if not lines or not _is_header(lines[0]):
        raise UserError(f"{path} has no header", expected=f"the file of scores of the category {category}")
    scores: dict[int, float | None] = {}
    rows, stated, stale, last_is_score = [lines[0]], None, 0, False
    for number, line in enumerate(lines[1:], start=2):
        if last_is_score:
            stale += 1
        last_is_score = is_score_line(line)
        if last_is_score:
            stated = _number(line[-1])
            continue
        video = _video_number(line[0])
        if video is None or len(line) < 2:
            raise UserError(f"line {number} of {path} is not a video's row: {','.join(line)[:80]!r}")
        if video in scores:
            raise UserError(
                f"{path} has the video {video:04d} twice",
                expected="a row for each video",
                remedy="remove the file and evaluate the category again",
            )
        rows.append(line)
        scores[video] = _normalized(line[-1], category)
    return Table(category, rows, scores, stated if last_is_score else None, stale)


def read_lines(path: Path) -> list[list[str]]:
    """The records of a CSV; an unfinished last one included. Raises UserError."""
    try:
        if path.stat().st_size > MAX_FILE:
            raise UserError(f"{path} is larger than {MAX_FILE >> 20} MiB")
        with open(path, newline="", encoding="utf-8", errors="replace") as file:
            csv.field_size_limit(MAX_FILE)
            return [line for line in csv.reader(file) if line]
    except FileNotFoundError:
        raise UserError(f"{path} does not exist", expected="a CSV of the official scripts") from None
    except (OSError, csv.Error) as error:
        raise UserError(f"{path} cannot be read: {error}") from None


def is_score_line(line: Sequence[str]) -> bool:
    return line[0].strip().lower().startswith("score:")


def pack_leaderboard(folder: Path, model: str, target: Path) -> list[str]:
    """Pack the eight CSV files of a model into a zip, each with one correct "score: " line at its end.

    Args:
        folder: Searched for MODEL_consistent_attr_score.csv and so on, with its subfolders.

    Returns:
        What was mended.

    Raises:
        UserError: A file is missing or occurs twice, or has no readable score.
    """
    mended, contents = [], {}
    for category in CATEGORIES.values():
        name = f"{model}_{category.csv}.csv"
        table = read_table(_only(folder, name), category.name)
        if table.mean is None:
            raise UserError(f"{name} has no readable score")
        if not table.is_consistent or table.stale:
            mended.append(f"{name}: {table.stale} old score lines; mean {table.mean:.4f}, the file said {table.stated}")
        if len(table.scores) > PROMPTS:
            raise UserError(f"{name} has {len(table.scores)} videos", expected=f"at most {PROMPTS}")
        contents[name] = table.text().encode()
    name = f"{model}_{BETWEEN}.csv"
    contents[name] = _only(folder, name).read_bytes()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in contents.items():
            packed.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)  # no date: equal files, equal zips
    with files.disk_errors(target):
        files.write_bytes(target, archive.getvalue())
    return mended


def _only(folder: Path, name: str) -> Path:
    found = sorted(folder.rglob(name))
    if len(found) != 1:
        raise UserError(
            f"{folder} holds {name} {len(found)} times" if found else f"{folder} does not hold {name}",
            expected="the eight files of all seven categories, once each",
        )
    return found[0]


def _is_header(line: Sequence[str]) -> bool:
    return line[0].strip().lower() in ("name", "id", "video_name")


def _video_number(name: str) -> int | None:
    """ "0007.png", "0007" or "7" -> 7."""
    stem = name.strip().split(".")[0]
    return int(stem) if stem.isascii() and stem.isdigit() and int(stem) > 0 else None


def _normalized(raw: str, category: str) -> float | None:
    value = _number(raw)
    if value is None:
        return None
    return (value - 1) / SPANS[category] if category in SPANS else value


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if -1e9 < value < 1e9 else None
