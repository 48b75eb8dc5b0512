"""Search-space files: every fault with its place, rule and value, all at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from spaces.faults import SpaceError
from spaces.space_files import load_space


def message_of(tmp_path: Path, text: str) -> str:
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(SpaceError) as error:
        load_space(path)
    return str(error.value).replace(f"{tmp_path}/", "")


def one_fault(tmp_path: Path, parameters: str, base: str = "{model: {name: plain_cnn}}") -> str:
    text = f"base: {base}\nparameters:\n" + "".join(f"  {line}\n" for line in parameters.splitlines())
    title, *faults = message_of(tmp_path, text).splitlines()
    assert title == "own.yaml: 1 fault"
    (fault,) = faults
    return fault.strip()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        # Names
        (
            "optim.lrr: {float: [0, 1]}",
            "own.yaml:3: parameters.optim.lrr must be the dotted name of a value in a recipe. "
            "Did you mean optim.lr",
        ),
        ("optim: {float: [0, 1]}", "parameters.optim must be the dotted name"),
        ("optim.lr: 0.1", "parameters.optim.lr must be a mapping such as {float: [0, 1]}; received 0.1"),
        ("optim.lr: []", "parameters.optim.lr must have at least one alternative; received []"),
        (
            "optim.lr: {flaot: [0, 1]}",
            "parameters.optim.lr.flaot is not known in a parameter; received [0, 1]. Did you mean float?",
        ),
        (
            "optim.lr: {}",
            "parameters.optim.lr must have exactly one of float, int, log, share, choice, fixed.",
        ),
        (
            "optim.lr: {float: [0.1, 1], log: [0.1, 1]}",
            'must have exactly one of float, int, log, share, choice, fixed; received ["float", "log"]',
        ),
        # Ranges
        ("optim.lr: {float: 3}", "optim.lr.float must be [low, high], two finite numbers; received 3"),
        ("optim.lr: {float: [1, 2, 3]}", "must be [low, high], two finite numbers; received [1, 2, 3]"),
        ("optim.lr: {float: [a, 2]}", 'must be [low, high], two finite numbers; received ["a", 2]'),
        ("optim.lr: {float: [.nan, 2]}", "two finite numbers; received [NaN, 2]"),
        (f"optim.lr: {{float: [1, {10**400}]}}", "two finite numbers; received [1, 1000"),
        ("optim.lr: {float: [true, 2]}", "two finite numbers; received [true, 2]"),
        (
            "optim.batch_size: {int: [1.5, 2]}",
            "int must be [low, high], two whole numbers; received [1.5, 2]",
        ),
        ("optim.lr: {float: [2, 1]}", "optim.lr.float must have low under high; received [2, 1]"),
        (
            "optim.lr: {float: [1, 1]}",
            "must have low under high; received [1, 1]. For one value write `fixed`",
        ),
        ("optim.lr: {log: [0, 1]}", "optim.lr.log must have low over 0, as the scale is logarithmic"),
        (
            "optim.lr: {float: [1, 2], step: 0.3}",
            "step must divide the range from 1 to 2 evenly; received 0.3",
        ),
        ("optim.lr: {float: [1, 2], step: -1}", "step must be one of the finite numbers over 0; received -1"),
        ("optim.batch_size: {int: [1, 3], step: 0.5}", "step must be one of the whole numbers over 0"),
        ("optim.lr: {log: [1, 2], step: 1}", "optim.lr.step goes only with float and int; received 1"),
        # Choices
        ("optim.lr: {choice: 1}", "optim.lr.choice must be a list of values; received 1"),
        ("optim.lr: {choice: []}", "optim.lr.choice must be a list of values; received []"),
        ("optim.lr: {choice: [1, [2]]}", "choice[1] must be a finite number, text, true, false or null"),
        ("optim.lr: {choice: [1, .inf]}", "choice[1] must be a finite number"),
        ("optim.lr: {choice: [1, 2, 1.0]}", "choice[2] must be in the list once"),
        ("optim.lr: {fixed: [1]}", "fixed must be a finite number, text, true, false or null; received [1]"),
        # Values that a recipe cannot hold
        (
            "loss.label_smoothing: {float: [0, 1.2]}",
            "own.yaml:3: parameters.loss.label_smoothing.float must be under 1; received 1.2",
        ),
        ("optim.lr: {float: [0, 0.1]}", "parameters.optim.lr.float must be over 0; received 0.0"),
        ("optim.batch_size: {float: [1, 8]}", "must be a whole number; received 1.0"),
        ("optim.lr: {choice: [0.1, null]}", "parameters.optim.lr.choice[1] must be a number; received null"),
        ("optim.lr: {fixed: true}", "parameters.optim.lr.fixed must be a number; received true"),
        (
            "schedule.name: {choice: [cosin, constant]}",
            "choice[0] must be 'constant', 'cosine', 'one_cycle', 'step' or 'plateau'; received \"cosin\". "
            "Did you mean cosine?",
        ),
        # Shares
        ("freeze.epoch: {int: [0, 3]}", "freeze.epoch.int must be a share of the trial's length"),
        ("optim.lr: {share: [0, 1]}", "optim.lr.share goes only with freeze.epoch"),
        ("freeze.epoch: {share: [0, 1.5]}", "freeze.epoch.share must be within 0 and 1; received [0, 1.5]"),
        # Conditions
        ("optim.lr: {float: [1, 2], when: x}", "when must be a mapping such as {model.name: plain_cnn}"),
        ("optim.lr: {float: [1, 2], when: {model.name: []}}", "or a list of such; received []"),
        (
            "optim.lr: {float: [1, 2], when: {model.nam: plain_cnn}}",
            "when.model.nam must be a parameter of this space or a value in a recipe; "
            'received "model.nam". Did you mean model.name',
        ),
        (
            "optim.lr: {float: [1, 2], when: {model.args.width: 3}}",
            "when.model.args.width must be a parameter of this space or a value in a recipe",
        ),
        (
            "optim.lr: {float: [1, 2], when: {model.name: [plain_cnn, plain_cn]}}",
            "own.yaml:3: parameters.optim.lr.when.model.name must be a value that model.name can have; "
            'received "plain_cn". Did you mean plain_cnn?',
        ),
        (
            "optim.lr: {float: [1, 2], when: {augment.flip: 0.3}}\naugment.flip: {float: [0, 1]}",
            "must not be a float, log or share parameter",
        ),
        (
            "optim.lr: {float: [1, 2], when: {augment.flip: 0.5}}\naugment.flip: {choice: [0, 1]}",
            "must be a value that augment.flip can have; received 0.5. There are: 0, 1",
        ),
        (
            "optim.lr: {float: [1, 2], when: {model.args.batch_norm: 1}}\n"
            "model.args.batch_norm: {choice: [true, false]}",
            "must be a value that model.args.batch_norm can have; received 1. There are: true, false",
        ),
        (
            "optim.lr: {float: [1, 2], when: {model.args.width: 20}}\n"
            "model.args.width: {int: [16, 32], step: 8}",
            "must be a value that model.args.width can have; received 20. There are: 16, 24, 32",
        ),
        # Alternatives
        (
            "optim.lr:\n  - {float: [1, 2], when: {model.name: plain_cnn}}\n  - {float: [1, 2]}",
            "own.yaml:5: parameters.optim.lr[1] must exclude optim.lr@1",
        ),
        (
            "schedule.name: {choice: [cosine, plateau]}\noptim.lr:\n"
            "  - {float: [1, 2], when: {schedule.name: [cosine, plateau]}}\n"
            "  - {float: [2, 3], when: {schedule.name: plateau}}",
            "parameters.optim.lr[1] must exclude optim.lr@1",
        ),
        # Networks
        (
            "model.name: {choice: [plain_cn, vgg4_cnn]}",
            "parameters.model.name.choice[0] must be a network of ours, of timm's or of your own; "
            'received "plain_cn". Did you mean plain_cnn?',
        ),
        (
            "model.args.width: {int: [4, 64]}",
            "model.args.width.int must be from 8 to 256 for plain_cnn; received 4",
        ),
        ("model.args.width: {choice: [8, 9.5, 16]}", "must be a whole number for plain_cnn; received 9.5"),
        (
            "model.args.blocs: {choice: [2, 3]}",
            "parameters.model.args.blocs is not an argument of plain_cnn. Did you mean blocks?",
        ),
        (
            "model.pretrained: {choice: [true, false]}",
            "must be false: there are no pretrained weights for plain_cnn",
        ),
        ("model.args.num_classes: {fixed: 3}", "num_classes.fixed is not an argument to give here"),
    ],
)
def test_one_fault_is_told_once_with_place_rule_and_value(
    tmp_path: Path, parameters: str, message: str
) -> None:
    assert message in one_fault(tmp_path, parameters)


def test_an_argument_is_checked_for_every_family_that_it_applies_to(tmp_path: Path) -> None:
    fault = one_fault(
        tmp_path, "model.name: {choice: [plain_cnn, vgg4_cnn]}\nmodel.args.blocks: {choice: [2, 3]}"
    )
    assert "parameters.model.args.blocks is not an argument of vgg4_cnn" in fault


def test_the_size_is_checked_for_every_family_that_it_applies_to(tmp_path: Path) -> None:
    parameters = (
        "model.name: {choice: [plain_cnn, vgg4_cnn]}\n"
        "geometry.size_px: {choice: [32, 40], when: {model.name: plain_cnn}}"
    )
    base = "{geometry: {size_px: 40}}"
    fault = one_fault(tmp_path, parameters, base)
    assert "own.yaml:1: base.geometry.size_px must be at least 46 for vgg4_cnn; received 40" in fault


def test_sizes_are_checked_with_the_arguments_that_decide_on_them(tmp_path: Path) -> None:
    message = message_of(
        tmp_path,
        """
base: {model: {name: plain_cnn}}
parameters:
  geometry.size_px: {choice: [24, 48, 64]}
  model.args.blocks: {choice: [3, 4, 5]}
""",
    )
    # The smallest and the largest size stand for all between them.
    fault = (
        "own.yaml:4: parameters.geometry.size_px.choice[0] must be at least 64 for plain_cnn; received 24."
    )
    assert message.splitlines() == ["own.yaml: 1 fault", f"  {fault}"]


def test_faults_of_the_base_are_told(tmp_path: Path) -> None:
    base = "{model: {name: plain_cnn}, optim: {lr: -1}, geometri: {}, freeze: {epoch: 2}}"
    message = message_of(tmp_path, f"base: {base}\nparameters:\n  augment.flip: {{float: [0, 1]}}\n")
    assert "own.yaml:1: base.optim.lr must be over 0; received -1" in message
    assert "base.geometri is not a field here; received {}. Did you mean geometry?" in message
    assert "base.freeze.epoch must be left to a parameter, as a share of the trial's length" in message
    assert "3 faults" in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("parameters: {optim.lr: {log: [0.1, 1]}}", "parameters.model.name must be given for every recipe"),
        ("base: {model: {name: plain_cnn}}", "parameters must be a mapping with at least one parameter"),
        ("base: {model: {name: plain_cnn}}\nparameters: {}", "at least one parameter; received {}"),
        ("base: 3\nparameters: {model.name: {choice: [plain_cnn]}}", "base must be a mapping; received 3"),
        (
            "base: {model: 3}\nparameters: {model.name: {choice: [plain_cnn]}}",
            "base.model must be a mapping; received 3",
        ),
        ("descripton: x\nparameters: {model.name: {fixed: plain_cnn}}", "Did you mean description?"),
        ("description: [x]\nparameters: {model.name: {fixed: plain_cnn}}", "description must be text"),
        (
            "parameters:\n  model.name: {choice: [plain_cnn, vgg4_cnn], when: {schedule.name: cosine}}\n"
            "  schedule.name: {choice: [cosine, plateau]}",
            "parameters.model.name must be given for every recipe",
        ),
    ],
)
def test_a_space_must_be_whole(tmp_path: Path, text: str, message: str) -> None:
    told = message_of(tmp_path, text)
    assert message in told
    assert "1 fault\n" in told


def test_a_circle_of_conditions_is_named(tmp_path: Path) -> None:
    message = message_of(
        tmp_path,
        """
base: {model: {name: plain_cnn}}
parameters:
  schedule.name: {choice: [cosine, plateau], when: {model.args.width: 16}}
  model.args.width: {choice: [16, 32], when: {geometry.size_px: 32}}
  geometry.size_px: {choice: [32, 64], when: {schedule.name: cosine}}
  geometry.fit: {choice: [crop, pad], when: {geometry.fit: crop}}
  augment.flip: {float: [0, 1], when: {schedule.name: cosine}}
""",
    )
    assert "2 faults" in message
    # Each arrow goes from a parameter to one that its `when` names; the circle may begin anywhere.
    names = ["schedule.name", "model.args.width", "geometry.size_px"]
    circles = [" -> ".join([*names[i:], *names[:i], names[i]]) for i in range(3)]
    assert any(f"must not depend on itself: {circle}. Drop one `when`." in message for circle in circles)
    assert "geometry.fit -> geometry.fit" in message


def test_all_faults_of_a_file_come_at_once_in_the_order_of_its_lines(tmp_path: Path) -> None:
    message = message_of(
        tmp_path,
        """descripton: x
base:
  geometry: {size_px: 32, fitt: crop}
parameters:
  model.name: {choice: [plain_cn, vgg4_cnn, resnet50.a1]}
  model.args.width: {choice: [16, 500], when: {model.name: vgg4_cnn}}
  optim.lrr: {log: [1e-4, 1e-2]}
  optim.lr: {log: [0, 1e-2]}
  loss.label_smoothing: {float: [0, 1.2]}
  augment.erase: {flot: [0, 1]}
  augment.flip: {float: [0, 1], when: {model.name: vgg4}}
""",
    )
    title, *faults = message.splitlines()
    assert title == "own.yaml: 11 faults"
    lines = [int(fault.split(":")[1]) for fault in faults]
    assert lines == sorted(lines)
    # Line 3 has two: the mistyped field, and a size that is too small for vgg4_cnn.
    assert sorted(set(lines)) == [1, 3, 5, 6, 7, 8, 9, 10, 11]


def test_a_fault_draws_no_others_after_it(tmp_path: Path) -> None:
    # The name of the network could not be read: nothing is said of what depends on it.
    message = message_of(
        tmp_path,
        """
parameters:
  model.name: {choise: [plain_cnn, vgg4_cnn]}
  geometry.size_px: {choice: [32, 48], when: {model.name: plain_cnn}}
  optim.lr:
    - {log: [1e-4, 1e-2], when: {model.name: plain_cnn}}
    - {log: [1e-4, 1e-2], when: {model.name: vgg4_cnn}}
""",
    )
    assert "own.yaml: 1 fault\n" in message
    assert "model.name.choise is not known in a parameter" in message
    # A value is mistyped where it is chosen: nothing is said of the conditions that have it right.
    message = message_of(
        tmp_path,
        """
base: {geometry: {size_px: 48}}
parameters:
  model.name: {choice: [plain_cm, resnt18]}
  model.args.width: {choice: [16, 32], when: {model.name: plain_cnn}}
  model.stem: {fixed: small, when: {model.name: resnet*}}
  schedule.name: {choice: [cosin, step]}
  schedule.warmup_share: {float: [0, 0.1], when: {schedule.name: cosine}}
""",
    )
    assert "own.yaml: 3 faults\n" in message
    assert "model.name.choice[0] must be a network" in message
    assert "model.name.choice[1] must be a network" in message
    assert "schedule.name.choice[0] must be" in message
    message = message_of(
        tmp_path,
        "base: {model: {name: plain_cm}}\n"
        "parameters: {model.args.width: {choice: [16, 32], when: {model.name: plain_cnn}}}",
    )
    assert "1 fault\n" in message
    assert "base.model.name must be a network of ours" in message


def test_too_many_combinations_are_refused_instead_of_checked_for_hours(tmp_path: Path) -> None:
    lines = "".join(
        f"  model.args.a{i}: {{choice: [1, 2, 3, 4, 5, 6, 7, 8, 9]}}\n"
        f"  model.args.b{i}: {{choice: [1, 2], when: {{model.args.a{i}: [1, 2]}}}}\n"
        for i in range(12)
    )
    message = message_of(tmp_path, "base: {model: {name: resnet18}}\nparameters:\n" + lines)
    assert "must make at most 50000 combinations of network and picture size" in message


def test_many_free_arguments_of_a_timm_model_are_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    lines = "".join(f"  model.args.a{i}: {{float: [0, 1]}}\n" for i in range(10))
    path.write_text("base: {model: {name: resnet18}}\nparameters:\n" + lines)
    assert len(load_space(path).parameters) == 10


def test_an_unknown_space_lists_what_exists() -> None:
    with pytest.raises(SpaceError, match=r"Did you mean scratch\? There are: demo, finetune, .*scratch\."):
        load_space("scrach")


def test_the_users_own_networks_are_known(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("parameters:\n  model.name: {choice: [mine, resnet18]}\n")
    assert load_space(path, extra_models=["mine"]).model_names() == ["mine", "resnet18"]
    with pytest.raises(SpaceError, match='received "mine"'):
        load_space(path)
