"""Rows on disk: a later session reads no modulation weights; damage, a lost folder and edited files change no image."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def sessions(play):
    """Two processes one after the other with one cache folder."""
    return play("first session") | play("next session")


def test_the_first_session_reads_once_and_writes_a_file_a_timestep(sessions):
    assert sessions["first session"] == {"read": 2, "files": 5}


def test_the_next_session_works_while_the_weights_are_garbage(sessions):
    """The modulation weights in the file were overwritten after it was loaded: whoever reads them is found out."""
    assert sessions["modulation weights are not read"] == {"difference": 0, "read": 0, "log": []}


def test_the_next_session_knows_the_rows_of_the_same_lora(sessions):
    assert sessions["first session, with a lora"]["read"] == 2
    facts = sessions["nor with the same lora"]
    assert (facts["difference"], facts["read"]) == (0, 0)
    assert facts["effect"] > 0


def test_a_file_that_was_written_to_is_not_read(sessions):
    """The rows would be other weights', stored under this file's name; beyond its end the process would end."""
    facts = sessions["another strength would have to read them"]
    assert "renamed.safetensors was changed after it had been loaded. Press Run again" in facts["error"]
    assert facts["files"] == 0
    assert "was changed" in sessions["cut off after it was loaded"]["error"]


def test_rows_are_keyed_by_content(sessions):
    assert sessions["the garbled file itself"]["difference"] > 0
    assert sessions["other weights under the old name"]["difference"] == 0


def test_damaged_rows_are_made_again_in_one_reading(sessions):
    facts = sessions["damaged rows"]
    assert facts["difference"] == facts["again"] == 0
    assert len(facts["warnings"]) == 1
    assert "is damaged" in facts["warnings"][0]
    assert (facts["read"], facts["read again"]) == (2, 0)


def test_a_folder_that_cannot_be_written_to(sessions):
    assert sessions["no usable folder"] == {"difference": 0, "warnings": 1}
