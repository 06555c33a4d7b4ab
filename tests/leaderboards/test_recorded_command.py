"""The command for one row, derived from a command for several rows."""

from __future__ import annotations

import pytest
from crossfake.leaderboards.recorded_command import narrow_commands, read_command
from crossfake.leaderboards.rows import make_tables


def narrow(*cards) -> list[str]:
    (table,) = make_tables(cards)
    return narrow_commands(table.rows[0])


@pytest.mark.parametrize(
    ("recorded", "own"),
    [
        (
            "bench run --detector caddm,meso4 --train ff++ --test ff++,celebdf --seed 0,1,2 --runs r --workers 4",
            "bench run --detector meso4 --train ff++ --test ff++,celebdf --seed 3",
        ),
        ("bench run --detector meso4 --part 2/3 --export out.zip --seed 3", "bench run --detector meso4 --seed 3"),
        ("bench run --detector=caddm,meso4 --seed=1", "bench run --detector meso4 --seed 3"),
        ("bench run --detector meso4", "bench run --detector meso4 --seed 3"),
        (
            "BENCH_DATA='/my data' bench run --detector meso4",
            "BENCH_DATA='/my data' bench run --detector meso4 --seed 3",
        ),
        (
            "bench run --detector ./a.py:Mine --set a=b --offline",
            "bench run --detector ./a.py:Mine --set a=b --offline --seed 3",
        ),
        ("bench run --detector 'a;rm -rf b' --seed 3", "bench run --detector 'a;rm -rf b' --seed 3"),
        ("bench eval onnx:m.onnx --test celebdf", "bench eval onnx:m.onnx --test celebdf"),
        ("bench run --detector 'open", "bench run --detector 'open"),
    ],
)
def test_a_command_is_narrowed_to_its_row(make, recorded, own):
    assert narrow(make(seed=3, provenance={"command": recorded})) == [own]


def test_seed_0_alone_can_be_omitted(make):
    assert narrow(make(provenance={"command": "bench run --detector meso4"})) == ["bench run --detector meso4"]


def test_several_commands_are_joined_into_one_with_all_test_sets_and_seeds(make):
    cards = [
        make(
            test,
            seed=seed,
            train_key=f"t{seed}",
            provenance={"command": f"bench run --detector meso4 --test {test} --seed {seed}"},
        )
        for test in ("celebdf", "dfdc")
        for seed in (0, 1)
    ]
    assert narrow(*cards) == ["bench run --detector meso4 --test celebdf,dfdc --seed 0,1"]


def test_a_row_without_a_command_has_none(make):
    assert narrow(make(provenance=None)) == []


def test_options_that_scored_a_row_are_read_without_those_that_change_no_number(make):
    typed = "bench run --detector meso4 --train ff++ --test dfdc"
    (table,) = make_tables([make(provenance={"command": f"{typed} --runtime openvino --precision bf16 --no-speed"})])
    command = read_command(table.rows[0])
    assert (command.runtime, command.precision) == ("openvino", "bf16")
    (plain,) = make_tables([make(provenance={"command": typed})])
    assert (read_command(plain.rows[0]).runtime, read_command(plain.rows[0]).precision) == ("", "")


def test_the_file_that_a_training_started_from_is_read(make):
    command = (
        "bench run --detector caddm --train ff++ --test celebdf --pretrained 'my weights.pth' --set train.epochs=3"
    )
    (table,) = make_tables([make(provenance={"command": command})])
    assert read_command(table.rows[0]).overrides == ('options.pretrained="my weights.pth"', "train.epochs=3")
