"""What is imported before processes are forked."""

import sys

from elt_factory.core.ahead import import_ahead


def test_what_cannot_be_imported_keeps_nothing_else_from_it(monkeypatch, caplog, tmp_path):
    (tmp_path / "elt_breaks.py").write_text("raise OSError('no library')")
    (tmp_path / "elt_is_there.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    import_ahead(["elt_no_such_module", "elt_breaks", "elt_is_there"])
    assert [record.args[0] for record in caplog.records] == ["elt_no_such_module", "elt_breaks"]
    assert sys.modules.pop("elt_is_there")
