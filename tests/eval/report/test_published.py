from __future__ import annotations

from statistics import fmean

import pytest

from eval.metrics import vbench
from eval.report.published import beside_published, published
from eval.report.schema import Cell, PublishedTable

TABLES = {table.source.split(",")[0]: table for table in published().tables}


def rows(table: PublishedTable) -> dict[str, dict[str, float]]:
    names = [column.id for column in table.columns]
    return {row.label: dict(zip(names, row.values, strict=True)) for row in table.rows}


def official(label: str, metric: str, mean: float, proxy: bool = False) -> Cell:
    return Cell(run=label, metric=metric, proxy=proxy, by="all", group="all", cases=2, n=2, mean=mean)


def test_every_table_has_a_place_in_the_paper() -> None:
    assert list(TABLES) == ["Table 1", "Table 2", "Table 9", "Table 10"]
    assert all(row.origin for table in TABLES.values() for row in table.rows)


@pytest.mark.parametrize("label", ["Wan2.1-14B", "Wan2.1-14B + LVD", "Wan2.1-14B + TTOM", "CogVideoX-5B + TTOM"])
def test_averages_of_table_1_are_means_of_the_seven(label: str) -> None:
    row = rows(TABLES["Table 1"])[label]
    average = row.pop("average")
    assert fmean(row.values()) == pytest.approx(average, abs=1e-4)


@pytest.mark.parametrize("label", ["CogVideoX-5B", "Wan2.1-14B", "Wan2.1-14B + TTOM"])
def test_tables_2_and_10_add_up_to_table_9(label: str) -> None:
    dimensions = rows(TABLES["Table 2"])[label] | rows(TABLES["Table 10"])[label]
    found, told = vbench.aggregate(dimensions), rows(TABLES["Table 9"])[label]
    assert found.quality == pytest.approx(told["quality"], abs=0.02)
    assert found.semantic == pytest.approx(told["semantic"], abs=0.02)


def test_official_scores_stand_beside_the_papers_and_proxies_do_not() -> None:
    names = [column.id for column in TABLES["Table 1"].columns if column.id != "average"]
    cells = [official("ttom", name, i / 10) for i, name in enumerate(names)]
    cells += [official("base", "motion", 0.2), official("bias", "motion", 0.9, proxy=True)]
    table = beside_published("compbench", ["base", "ttom", "bias"], cells).tables[0]
    assert {row.label: row.values[:2] for row in table.own} == {"base": (None, 0.2), "ttom": (pytest.approx(0.3), 0.0)}


def test_vbench_totals_need_all_dimensions() -> None:
    cells = [official("ttom", name, 0.5) for name in vbench.DIMENSIONS]
    overall = beside_published("vbench", ["ttom"], cells).tables[1]
    assert overall.own[0].values[0] == pytest.approx(vbench.aggregate(dict.fromkeys(vbench.DIMENSIONS, 0.5)).total)
    assert beside_published("vbench", ["ttom"], cells[1:]).tables[1].own == ()


def test_other_suites_have_no_published_numbers() -> None:
    assert beside_published("emojiworld", [], []).tables == ()
