"""Names of labels: presets, files, left and right, and what is refused."""

import json

import pytest
import yaml

from synthgen.bank.names import (
    Naming,
    NamingError,
    guess_mirrors,
    load_naming,
    naming_beside,
    preset,
    preset_names,
)


def test_presets():
    assert preset_names() == ["freesurfer", "totalsegmentator"]
    total = preset("totalsegmentator")
    assert list(total.labels) == list(range(1, 118))
    assert len(set(total.labels.values())) == 117
    assert [total.name_of(value) for value in (1, 27, 51, 92, 117)] == [
        "spleen", "vertebrae_L5", "heart", "rib_left_1", "costal_cartilages",
    ]  # fmt: skip
    surfer = preset("freesurfer")
    assert len(set(surfer.labels.values())) == len(surfer.labels)
    assert [surfer.name_of(value) for value in (17, 53, 14, 1035, 2035)] == [
        "Left-Hippocampus", "Right-Hippocampus", "3rd-Ventricle", "ctx-lh-insula", "ctx-rh-insula",
    ]  # fmt: skip
    assert surfer.skips("WM-hypointensities")
    assert not surfer.skips("Left-Hippocampus")
    with pytest.raises(NamingError, match="preset: must be freesurfer or totalsegmentator, got"):
        preset("../freesurfer")


@pytest.mark.parametrize("name", ["freesurfer", "totalsegmentator"])
def test_every_side_of_a_preset_has_its_mirror(name):
    names = set(preset(name).labels.values())
    paired = {name for pair in preset(name).mirror_pairs(names) for name in pair}
    sided = {
        n
        for n in names
        if {"left", "right", "lh", "rh"} & set(n.lower().replace("-", "_").split("_"))
    }
    assert sided - paired <= {"atrial_appendage_left", "lung_middle_lobe_right"}
    assert paired <= sided


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("left hippocampus", "right hippocampus"), ("Lung-Lt", "Lung-Rt"),
        ("rib_left_12", "rib_right_12"),
        ("Left-Caudate", "Right-Caudate"), ("kidney_L", "kidney_R"), ("L lung", "R lung"),
        ("ctx-lh-insula", "ctx-rh-insula"), ("KidneyLeft", "KidneyRight"), ("LeftEye", "RightEye"),
        ("LEFT EYE", "RIGHT EYE"), ("l.eye", "r.eye"), ("eye (left)", "eye (right)"),
    ],
)  # fmt: skip
def test_left_and_right_are_guessed(left, right):
    assert guess_mirrors([right, "heart", left]) == [(left, right)]
    assert guess_mirrors([left]) == []
    assert Naming().mirror_pairs([right, left]) == [(left, right)]


@pytest.mark.parametrize(
    "pair",
    [("L1", "R1"), ("cleft", "cright"), ("lamp", "ramp"), ("liver", "river"), ("left", "Right")],
)
def test_other_words_are_no_sides(pair):
    assert guess_mirrors(pair) == []


def test_a_name_with_two_partners_is_in_no_pair():
    names = ["left L eye", "left R eye", "right R eye", "left ear", "right ear"]
    assert guess_mirrors(names) == [("left ear", "right ear")]


def test_given_mirrors_count_alone():
    naming = Naming(mirrors=[["a", "b"], ["c", "d"]])
    assert naming.mirror_pairs(["a", "b", "c", "left", "right"]) == [("a", "b")]
    assert Naming(mirrors=[]).mirror_pairs(["left", "right"]) == []


def test_values_and_skipped():
    naming = Naming(labels={3: "liver", 4: "liver", 5: "skin"}, skip=["skin", 7, "label_8"])
    assert [naming.name_of(value) for value in (3, 4, 6, -1)] == [
        "liver", "liver", "label_6", "label_-1",
    ]  # fmt: skip
    assert [naming.skips(naming.name_of(value)) for value in (3, 5, 6, 7, 8)] == [
        False, True, False, True, True,
    ]  # fmt: skip


FILES = {
    "labels.json": json.dumps({"0": "background", "17": "left eye"}),
    "names.json": json.dumps({"labels": {"17": "left eye"}, "skip": [3]}),
    "flat.yaml": "17: left eye\n",
    "names.yaml": "labels: {17: left eye, 18: right eye}\nmirrors: [[left eye, right eye]]\n",
}


@pytest.mark.parametrize("name", FILES)
def test_files(tmp_path, name):
    (tmp_path / name).write_text(FILES[name])
    assert load_naming(tmp_path / name).name_of(17) == "left eye"


def test_a_file_beside(tmp_path):
    assert naming_beside(tmp_path) is None
    (tmp_path / "labels.json").write_text('{"1": "a"}')
    assert naming_beside(tmp_path).labels == {1: "a"}


BROKEN = {
    "labels: {1: ../../etc/passwd}": r"labels.1: a name has .*, got '../../etc/passwd'",
    "labels: {1: ..}": "labels.1: a name has",
    "labels: {1: a/b}": "labels.1: a name has",
    "labels: {1: 'a\\b'}": "labels.1: a name has",
    'labels: {1: "a\\nb"}': "labels.1: a name has",
    'labels: {1: "a\\0b"}': "labels.1: a name has",
    "labels: {1: ''}": "labels.1: a name has",
    "labels: {1: [2]}": "labels.1: must be a valid string",
    "labels: {one: a}": "labels.one",
    "labels: [a, b]": "labels: must be a valid dictionary",
    "mirrors: [[a, b], [b, c]]": "mirrors: a structure has one mirror image at most, got b",
    "mirrors: [[a, a]]": "mirrors: a structure has one mirror image at most, got a",
    "mirrors: [[a]]": "mirrors.0.1: missing",
    "mirrors: [[../a, b]]": "mirrors.0.0: a name has",
    "labels: {1: a}\nmirrors: [[a, b]]": "mirrors: must name structures of labels, got b",
    "labels: {1: a}\nskip: [aorta]": "skip: must name structures of labels, got aorta",
    "skip: [../a]": "skip.0: .*a name has",
    "labels: {1: a}\nfile: /etc/passwd": "file: unknown key",
    "[1, 2]": "must be a mapping, got list",
    "labels: {": "while parsing",
    "!!python/object/apply:os.system [ls]": "could not determine a constructor",
    "a: " + "[" * 1000: "",
}


@pytest.mark.parametrize("text", BROKEN, ids=range(len(BROKEN)))
def test_broken_files_are_refused_in_one_line(tmp_path, text):
    path = tmp_path / "names.yaml"
    path.write_text(text)
    with pytest.raises(NamingError, match=f"names.yaml: .*{BROKEN[text]}") as caught:
        load_naming(path)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_other_files_that_are_refused(tmp_path):
    with pytest.raises(NamingError, match=r"names.yaml: cannot be read"):
        load_naming(tmp_path / "names.yaml")
    (tmp_path / "names.json").write_text("{")
    with pytest.raises(NamingError, match=r"names.json: not JSON: Expecting"):
        load_naming(tmp_path / "names.json")
    (tmp_path / "names.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(NamingError, match=r"names.yaml: "):
        load_naming(tmp_path / "names.yaml")
    (tmp_path / "names.yaml").write_text("# " + "x" * 2**20)
    with pytest.raises(NamingError, match=r"names.yaml: must have 1,048,576 bytes or fewer"):
        load_naming(tmp_path / "names.yaml")


def test_a_naming_survives_yaml(tmp_path):
    naming = Naming(labels={1: "a", 2: "b"}, mirrors=[["a", "b"]], skip=[3])
    (tmp_path / "names.yaml").write_text(yaml.safe_dump(naming.model_dump(mode="json")))
    assert load_naming(tmp_path / "names.yaml") == naming
