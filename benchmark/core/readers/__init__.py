"""One reader a format. Files are hostile until read here: limits on size and depth, and errors of one line."""

from .json_files import parse_json, read_json
from .paths import normalise_id, safe_relative_path
from .tables import CsvRow, open_csv, read_arrow, read_csv_frame, read_csv_rows
from .text import decode_text, read_bytes, read_text, shorten
from .yaml_files import parse_yaml, read_yaml

__all__ = [
    "CsvRow",
    "decode_text",
    "normalise_id",
    "open_csv",
    "parse_json",
    "parse_yaml",
    "read_arrow",
    "read_bytes",
    "read_csv_frame",
    "read_csv_rows",
    "read_json",
    "read_text",
    "read_yaml",
    "safe_relative_path",
    "shorten",
]
