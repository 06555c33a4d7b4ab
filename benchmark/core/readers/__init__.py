"""One reader per format. Files are untrusted: sizes and depths are limited, and errors are one line."""

from .json_files import parse_json, read_json
from .labels import parse_label
from .paths import normalise_id, safe_relative_path
from .safetensors_files import read_safetensors_metadata
from .tables import CsvRow, open_csv, read_arrow, read_csv_frame, read_csv_rows, read_parquet, require_columns
from .text import decode_text, read_bytes, read_text, shorten, shorten_value
from .yaml_files import check_finite, parse_yaml, read_yaml

__all__ = [
    "CsvRow",
    "check_finite",
    "decode_text",
    "normalise_id",
    "open_csv",
    "parse_json",
    "parse_label",
    "parse_yaml",
    "read_arrow",
    "read_bytes",
    "read_csv_frame",
    "read_csv_rows",
    "read_json",
    "read_parquet",
    "read_safetensors_metadata",
    "read_text",
    "read_yaml",
    "require_columns",
    "safe_relative_path",
    "shorten",
    "shorten_value",
]
