"""A signal that stops a command takes effect after the uninterruptible section."""

import signal

import pytest
from command_line import bench
from crossfake.benchmark.core.signals import defer_signals


def test_ctrl_c_waits_for_what_cannot_be_interrupted():
    done = []

    def work() -> None:
        with defer_signals():
            signal.raise_signal(signal.SIGINT)
            done.append(1)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == [1]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_command_stops_after_its_current_import(tmp_path, capsys, number):
    stop, leave_mark = f"signal.raise_signal({int(number)})", f"open({str(tmp_path / 'done')!r}, 'w').close()"
    (tmp_path / "mine.py").write_text("\n".join(["import signal", stop, leave_mark, "class Mine: ..."]))
    assert bench("check", f"{tmp_path / 'mine.py'}:Mine") == 128 + number
    assert capsys.readouterr().err.splitlines()[-1].startswith("bench: stopped; finished work is kept")
    assert (tmp_path / "done").exists()
