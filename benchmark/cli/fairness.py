"""`bench fairness`: what a test set can show about fairness, per-video annotations, and CSVs for the papers' code."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.display import format_csv, say
from . import common

if TYPE_CHECKING:
    from ..stats.power import AttributePower, PowerReport, SmallestGaps

EPILOG = """\
examples:
  bench fairness power --annotations A-FF++.csv --split splits/test.json
  bench fairness power --annotations A-Celeb-DF.csv --split List_of_testing_videos.txt
  bench fairness power --test dfdc --split test --data /datasets
  bench fairness videos A-FF++.csv --out videos.csv
  bench fairness export ff++ --out for_their_code --data /datasets
"""


def add_parser(verbs: common.Verbs) -> None:
    """Add the verb and its own verbs."""
    p = common.add_verb(
        verbs,
        "fairness",
        lambda a: a.parser.error("say which: power, videos or export"),
        "what a test set can show about fairness; convert annotations; export CSVs",
        EPILOG,
    )
    parts = p.add_subparsers(dest="part", metavar="PART")
    _add_power(parts)
    _add_videos(parts)
    _add_export(parts)


def _add_power(parts: common.Verbs) -> None:
    power = common.add_verb(
        parts, "power", show_power, "videos per group, interval widths, smallest detectable gaps", EPILOG
    )
    power.add_argument("--annotations", type=Path, metavar="FILE", help="a published annotation table")
    power.add_argument("--test", metavar="DATASET", help="or a dataset with its groups; see: bench list datasets")
    power.add_argument("--dataset", dest="test", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    power.add_argument("--data", metavar="ROOT|demo", help="folder that holds the dataset; default: $BENCH_DATA")
    power.add_argument(
        "--split",
        metavar="FILE|NAME",
        help="FaceForensics++'s list of pairs (.json), a list of videos (.txt), or the dataset's train, val or test",
    )
    power.add_argument("--fpr", type=common.parse_share, default=0.1, metavar="P", help="FPR of the better group (0.1)")
    power.add_argument("--auc", type=common.parse_share, default=0.9, metavar="A", help="AUC of the better group (0.9)")
    power.add_argument("--power", type=common.parse_share, default=0.8, metavar="P", help="power of the test (0.8)")
    common.add_json(power, "the report")
    _add_merge(power)


def _add_videos(parts: common.Verbs) -> None:
    videos = common.add_verb(
        parts, "videos", show_videos, "make one row per video from a table of frames; reports contradictions", EPILOG
    )
    videos.add_argument("annotations", type=Path, metavar="FILE", help="a published annotation table")
    videos.add_argument("--out", type=Path, required=True, metavar="CSV", help="where to write the videos")
    _add_merge(videos)


def _add_export(parts: common.Verbs) -> None:
    export = common.add_verb(
        parts, "export", export_csvs, "write prepared faces as the fairness papers' code reads them", EPILOG
    )
    export.add_argument("dataset", metavar="DATASET", help="see: bench list datasets")
    export.add_argument("--out", type=Path, required=True, metavar="DIR", help="where images and CSVs go")
    export.add_argument(
        "--size", type=common.parse_image_size, default=256, metavar="N", help="image side in pixels (256)"
    )
    export.add_argument(
        "--seed", type=common.parse_seed, default=0, metavar="N", help="seed of the training pairs (default 0)"
    )
    export.add_argument("--detector", default="caddm", metavar="NAME", help="whose face settings to use")
    common.add_data(export)
    common.add_config(export)
    common.add_workers(export)


def _add_merge(p: argparse.ArgumentParser) -> None:
    p.add_argument("--merge-undefined", action="store_true", help="count an undefined race as others")


def show_power(arguments: argparse.Namespace) -> int:
    """Print group sizes and the gaps that can be detected."""
    import crossfake

    found, notes = crossfake.fairness_power(
        dataset=arguments.test or "",
        annotations=arguments.annotations,
        data=arguments.data,
        split=arguments.split,
        merge_undefined=arguments.merge_undefined,
        fpr=arguments.fpr,
        auc=arguments.auc,
        power=arguments.power,
        progress=common.make_reporter(arguments),
    )
    if arguments.json:
        common.write_json_to(arguments.json, {**found, "notes": notes})
    if arguments.json == common.STDOUT:
        return 0
    say(format_power(found))
    for cell in found["not_compared"]:
        say(f"not compared: {cell['group']} ({cell['real']} real, {cell['fake']} fake)")
    for note in notes:
        say(f"note: {note}")
    return 0


def format_power(found: PowerReport) -> str:
    """Return what `report_power` found as a table and sentences."""
    from tabulate import tabulate

    header = ["group", "real", "fake (clips)", f"interval of FPR {found['fpr']:g} (width)", "FPR gap"]
    header += [f"interval width of AUC {found['auc']:g}", "AUC gap"]
    rows = []
    for i, g in enumerate(found["groups"]):
        fpr_gap, auc_gap = (_format_number(g["fpr_gap"], "+"), _format_number(g["auc_gap"], "-")) if i else ("", "")
        low, high = g["fpr_interval"]
        width = "too few" if g["auc_width"] is None else _format_number(g["auc_width"])
        cell = [g["group"], g["real"], f"{g['fake']} ({g['clips']})", f"{low:.2f} to {high:.2f} ({high - low:.2f})"]
        rows.append([*cell, fpr_gap, width, auc_gap])
    largest = found["groups"][0]["group"]
    lines = [
        tabulate(rows, header, tablefmt="github", disable_numparse=True),
        f"gaps: how far a group's FPR must be above {found['fpr']:g}, or its AUC below {found['auc']:g}, to be found "
        f"different from {largest} in {100 * found['power']:.0f} % of repetitions (two-sided, 5 %)",
        *_format_best_gaps(found),
    ]
    for name, (mean, high) in found["chance"].items():
        lines.append(
            f"by chance alone, with the same FPR in all groups: {name} {mean:.2f} on average, over {high:.2f} in 5 %"
        )
    return "\n".join([*lines, *(_format_attribute(name, one) for name, one in found["attributes"].items())])


def _format_best_gaps(found: PowerReport) -> list[str]:
    lines = []
    for name, gap in found["best"].items():
        pairs = found["pairs"]
        why = "named in advance" if name == "one pair" else f"of the {pairs}, each tested at 5 % / {pairs}"
        what = f"smallest gap between two groups, whichever is worse, {name} {why}"
        at_best = f"{_format_number(gap['auc_gap_at_best'], '-')} if all fakes of a clip were independent"
        lines.append(f"{what}: {_format_gap(gap)} ({at_best})")
    return lines


def _format_attribute(attribute: str, found: AttributePower) -> str:
    """Return the sizes of one attribute's groups, and the smallest gap between two of them."""
    sizes = ", ".join(f"{g['group']} {g['real']} ({g['clips']})" for g in found["groups"]) or "no known group"
    shown = "; ".join(f"{name} {_format_gap(gap)}" for name, gap in found["best"].items())
    return f"{attribute} alone, real videos (fakes' clips): {sizes}; smallest gap: {shown or 'nothing to compare'}"


def _format_gap(gap: SmallestGaps) -> str:
    return f"FPR {_format_number(gap['fpr_gap'], '+')}, AUC {_format_number(gap['auc_gap'], '-')}"


def _format_number(value: float | None, sign: str = "") -> str:
    return "never" if value is None else f"{sign}{value:.2f}"


def show_videos(arguments: argparse.Namespace) -> int:
    """Write the per-video table; exit code 1 if frames of a video contradict each other."""
    from ...datasets.demographics.annotations import aggregate_by_video, find_ambiguous_videos, read_frames
    from ..core.storage import write_text

    frames = read_frames(arguments.annotations, arguments.merge_undefined)
    videos, conflicts = aggregate_by_video(frames)
    write_text(arguments.out, format_csv(videos))
    for conflict in conflicts:
        say(f"contradiction: {conflict}")
    for note in find_ambiguous_videos(frames):
        say(f"note: {note}")
    say(f"{arguments.out}: {len(videos)} videos, {len(conflicts)} contradictions")
    return 1 if conflicts else 0


def export_csvs(arguments: argparse.Namespace) -> int:
    """Prepare missing faces, and write images and CSVs."""
    import crossfake

    counts, left_out = crossfake.export_for_papers(
        arguments.dataset,
        arguments.out,
        data=arguments.data,
        detector=arguments.detector,
        config=arguments.config,
        settings=arguments.overrides,
        size=arguments.size,
        seed=arguments.seed,
        limit=arguments.limit,
        workers=arguments.workers,
        progress=common.make_reporter(arguments),
    )
    for line in left_out:
        say(f"left out: {line}")
    say(f"{arguments.out}: " + ", ".join(f"{name}.csv {n} frames" for name, n in counts.items()))
    return 0
