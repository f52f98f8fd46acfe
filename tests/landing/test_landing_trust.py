"""What a load reads is what the extract wrote, and its own: no flipped byte, no foreign manifest gets through."""

from dataclasses import replace

import pytest
from landing_support import lines

from elt_factory.core.failures import LandingError
from elt_factory.landing.checksums import proven
from elt_factory.landing.manifest import Manifest, read_manifest, write_manifest
from elt_factory.landing.places import Place
from landings import manifest_file

RECORDS = lines(*(f'{{"id": {number}, "v": "value {number * 7919}"}}' for number in range(2000)), "no record")
POSITIONS = 150


def trusted(place: Place, manifest: Manifest) -> Manifest:
    """What a load takes for its landing, after all that it looks at."""
    found = read_manifest(place, manifest.owner)
    with proven(place, found.all_files):
        return found


@pytest.mark.parametrize("which", ["part", "rejects", "manifest"])
@pytest.mark.parametrize("bits", [0x01, 0x80, 0xFF])
def test_a_flipped_byte_anywhere_is_refused_or_changes_nothing(lander, which, bits):
    manifest = lander.ndjson(RECORDS).manifest
    files = {"part": manifest.files[0].path, "rejects": manifest.rejects.path}
    file = lander.folder / files[which] if which in files else manifest_file(lander.folder, manifest)
    content, refused = file.read_bytes(), 0
    edges = [*range(64), *range(len(content) - 64, len(content))]
    positions = sorted({*edges, *range(0, len(content), max(1, len(content) // POSITIONS))})
    for at in positions:
        changed = bytearray(content)
        changed[at] ^= bits
        file.write_bytes(changed)
        try:
            assert trusted(lander.place, manifest) == manifest, f"the byte at {at} passed"
        except LandingError:
            refused += 1
    # a space between the manifest and its checksum may become another space
    assert refused >= len(positions) - (3 if which == "manifest" else 0)
    file.write_bytes(content)
    assert trusted(lander.place, manifest) == manifest


@pytest.mark.parametrize("kind", ["project", "source", "table", "load_id"])
def test_a_manifest_of_another_owner_is_refused(lander, kind):
    manifest = lander.ndjson(RECORDS).manifest
    write_manifest(lander.place, replace(manifest, **{kind: "other"}))
    with pytest.raises(LandingError, match=r"belongs to another owner: written by .*other.*, expected "):
        read_manifest(lander.place, manifest.owner)


def test_the_manifest_of_another_attempt_is_refused_in_its_place(lander):
    first, second = (lander.ndjson(RECORDS).manifest for _ in range(2))
    manifest_file(lander.folder, first).write_bytes(manifest_file(lander.folder, second).read_bytes())
    with pytest.raises(LandingError, match=f"written by attempt {second.attempt} .*expected attempt {first.attempt}"):
        read_manifest(lander.place, first.owner)
    assert trusted(lander.place, second) == second


@pytest.mark.parametrize("attempt", ["", "..", "../../other", "0123456789AB", "0123456789abc", "/etc"])
def test_what_is_no_name_of_an_attempt_is_never_a_path(lander, attempt):
    owner = replace(lander.ndjson(RECORDS).manifest.owner, attempt=attempt)
    with pytest.raises(LandingError, match="is not a valid attempt name"):
        read_manifest(lander.place, owner)


def test_a_landing_of_an_earlier_version_is_said_to_be_none(lander):
    """It has neither owner nor checksums, and its manifest lies beside the folders of the attempts."""
    import json
    from dataclasses import asdict

    manifest = lander.ndjson(RECORDS).manifest
    file = manifest_file(lander.folder, manifest)
    file.write_text(json.dumps(asdict(manifest)))
    with pytest.raises(
        LandingError, match=r"damaged or from another version of ELT Factory \(expected format 3\); run"
    ):
        read_manifest(lander.place, manifest.owner)
    file.rename(lander.folder / "manifest.json")
    with pytest.raises(LandingError, match=r"no landing in .*: run the extract task first"):
        read_manifest(lander.place, manifest.owner)


def test_a_part_of_the_same_size_from_another_landing_is_refused(lander):
    manifests = [lander.ndjson(lines(f'{{"id": {number}}}')).manifest for number in (1, 2)]
    paths = [lander.folder / manifest.files[0].path for manifest in manifests]
    assert paths[0].stat().st_size == paths[1].stat().st_size
    paths[0].write_bytes(paths[1].read_bytes())
    with pytest.raises(LandingError, match="has changed since the extract task wrote it"):
        trusted(lander.place, manifests[0])
