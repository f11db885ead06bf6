"""What a toolkit gets to see: links to a run's videos under the names that it expects, checked before it starts."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from eval.judges.video import VideoError
from eval.manifest import VIDEOS
from eval.runs import Run
from eval.types import ManifestRow
from ttom.errors import UserError


@dataclass
class Check:
    """The result of looking at the videos that a toolkit is to get.

    Attributes:
        videos: Path of each good video by its case.
        problems: What is wrong with others, with their numbers; toolkits skip what is not there.
        stray: Files in the run's folders that no case of the run has.
    """

    videos: dict[str, Path] = field(default_factory=dict)
    problems: Counter[str] = field(default_factory=Counter)
    stray: list[Path] = field(default_factory=list)

    def told(self) -> list[str]:
        """A line for each kind of problem."""
        lines = [f"{count} videos left out: {reason}" for reason, count in self.problems.most_common()]
        if self.stray:
            lines.append(f"{len(self.stray)} files in the videos' folders belong to no case, such as {self.stray[0]}")
        return lines


def check_videos(run: Run, rows: Sequence[ManifestRow], *, least_frames: int = 1) -> Check:
    """Look at the videos of some rows of a run: there, whole, of the recorded length, long enough.

    Raises:
        UserError: Videos differ in their numbers of frames, which one call of a toolkit cannot take.
    """
    found = Check()
    frames: Counter[int] = Counter()
    for row in rows:
        video = run.video(row)
        if video is None:
            found.problems[f"{row.status}: no video"] += 1
            continue
        try:
            count = len(video.pictures)
        except VideoError as error:
            found.problems[str(error)] += 1
            continue
        if count < least_frames:
            found.problems[f"fewer than {least_frames} frames"] += 1
            continue
        frames[count] += 1
        found.videos[row.case.id] = video.path
    if len(frames) > 1:
        raise UserError(
            f"the videos of {run.path} differ in length: {dict(frames.most_common())} (frames: videos)",
            expected="videos of one length",
            remedy="make them with one set of settings",
        )
    known = {(run.path / VIDEOS / row.video).resolve() for row in run.rows.values() if row.video}
    folders = {path.parent for path in found.videos.values()}
    found.stray = sorted(path for folder in folders for path in folder.iterdir() if path.resolve() not in known)
    return found


def stage(files: Mapping[str, Path], folder: Path) -> None:
    """Make a folder that holds links to these files under these names, and nothing else.

    Raises:
        UserError: The folder holds something that is no link.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if not path.is_symlink():
            raise UserError(f"{path} is in the way", expected="a folder of links that this program made")
        path.unlink()
    for name, source in files.items():
        os.symlink(source.resolve(), folder / name)


def remove_made(folder: Path, is_made: Callable[[Path], bool]) -> None:
    """Remove the subfolders that a toolkit made beside its input, so that it makes them again."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir() and not path.is_symlink() and is_made(path):
            shutil.rmtree(path)
