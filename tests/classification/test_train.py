"""Training of the classifier: goes on after a kill with the same weights bit for bit; refuses in a sentence."""

import hashlib
import json
import shlex
import shutil

import numpy as np
import pytest
import torch
import trainings
from conftest import CLASSIFYING, CLASSIFYING_EPOCHS, ROOT, draw_pair, run
from killed_runs import load, same

from classification import header, train
from classification.cases import dataset
from classification.model import backbone, classifier
from classification.patches import epochs
from classification.splitting import training_cases
from classification.voting import validation
from cxr.settings import config

TRAIN = "classification/train.py"
# Two processes with the project's own pieces: a step of each on its own batch, then what the first has for gradients.
GRADIENTS = """
import sys
from pathlib import Path
sys.path[0] = sys.argv.pop(1)
import torch
from classification.model import backbone
from classification.splitting import training_cases
from classification.cases import dataset
from classification import header, train
from classification.voting import predict
from cxr.settings import config
from cxr.run import engine
folder = Path(sys.argv.pop(1))
settings, _ = config.load(header)
fabric = engine.launch("cpu")
data = training_cases.find(settings)
for approach in ("local", "dense"):
    settings = config.unless_typed(settings, {"approach": approach})
    torch.manual_seed(0)
    network = backbone.build(settings.net_label, len(data.names))
    if fabric.is_global_zero:
        torch.save(network.state_dict(), folder / "start.pt")
    model = predict.Windows(network, settings.patch_size) if approach == "dense" else network
    model, optimizer = fabric.setup(model, torch.optim.SGD(model.parameters(), 0.0))
    images = dataset.Images(data.train, settings)
    loss = train.train_one_epoch(fabric, settings, model, network, optimizer, images, data.train, 1)
    gradients = {name: p.grad for name, p in network.named_parameters()}
    torch.save({"gradients": gradients, "loss": loss}, folder / f"{approach}{fabric.global_rank}.pt")
"""


def settings_of(*words):
    return config.load(header, [*CLASSIFYING, "input_scaling=imagenet", *map(str, words)])[0]


def test_what_a_run_leaves(classified):
    classes = {f"val_f1_{name}" for name in ("normal", "bacterial", "viral")}
    rows = trainings.leaves_its_files(classified, CLASSIFYING_EPOCHS, {"val_accuracy", *classes})
    assert max(row["val_score"] for row in rows) > 0.7 and min(row["train_loss"] for row in rows) < 0.5
    assert json.loads((classified.run / "header.json").read_text())["patch_size"] == 48
    events = (classified.run / "tensorboard").glob("events.out.tfevents.*")
    assert b"val_f1_viral" in b"".join(path.read_bytes() for path in events)
    out = classified.done.stdout
    assert "To train on: 6 normal, 6 bacterial, 12 viral." in out and "To validate on: 2 normal, 2" in out
    own = f"dir_checkpoint={classified.run.parent} dir_split={classified.split} test_name=whole device=cpu repeat=9"
    assert out.splitlines()[-1] == f"Wrote {classified.run}. Next: python classification/inference.py {own} refuse=0.0"


def test_the_next_command_predicts_with_this_run(classified, tmp_path, call):
    """What each script prints last runs as printed, on the same cases by the same weights."""
    digest = hashlib.sha256((classified.run / "best.pt").read_bytes()).hexdigest()
    words = shlex.split(classified.done.stdout.splitlines()[-1].split("Next: python ")[1])
    done = call(*words, f"dir_save={tmp_path}")
    assert done.code == 0 and "trained on" not in done.out, done.err
    words = shlex.split(done.out.splitlines()[-1].split("then python ")[1])
    done = call(*words)
    assert done.code == 0, done.err
    for folder in (tmp_path / "whole", tmp_path / "whole" / "cams"):
        told = json.loads((folder / "report.json").read_text())
        assert told["weights"]["sha256"] == digest and told["settings"]["repeat"] == 9
        assert told["input"] == [str(classified.split / "test")] and told["counts"]["ok"] == 12
    words = shlex.split(done.out.splitlines()[-1].split("worth: python ")[1])
    assert {"classification/scorecard.py", "test_name=whole", "repeat=9", f"dir_save={tmp_path}"} <= set(words)


def test_what_training_never_reads_may_change(classified, tmp_path, call):
    shutil.copytree(classified.run, tmp_path / "whole")
    words = [*classified.words, f"dir_checkpoint={tmp_path}", "test_name=whole"]
    done = call(TRAIN, *words, "folds=3", "repeat=3", "duplicate_distance=5", "split_seed=1", "split_by=image")
    assert done.code == 0 and "is finished" in done.out, done.err
    done = call(TRAIN, *words, f"start_weights={classified.run / 'best.pt'}")
    assert done.code == 1 and "this run started from no weights file, not from" in done.err


def test_what_predicts_starts_no_training(classified, tmp_path, call):
    words = [*classified.words, f"dir_checkpoint={tmp_path}", "test_name=a"]
    done = call(TRAIN, *words, f"file_weights={classified.run / 'best.pt'}")
    assert done.code == 1 and "type start_weights=FILE" in done.err and not (tmp_path / "a").exists()


def test_checkpoints_hold_what_prediction_needs_in_plain_types(classified):
    last, best = load(classified.run / "last.pt"), load(classified.run / "best.pt")
    assert trainings.is_plain(last) and trainings.is_plain(best) and "optimizer" in last and "optimizer" not in best
    rows = trainings.rows_of(classified.run)
    chosen = max(rows, key=lambda row: (row["val_score"], -row["val_loss"]))
    assert best["epoch"] == last["best_epoch"] == chosen["epoch"] and best["score"] == last["best"]
    assert best["classes"] == ["normal", "bacterial", "viral"] and best["input_scaling"] == "imagenet"
    assert best["folders"] == {"normal": 0, "bacteria": 1, "virus": 2, "COVID-19": 2}
    model, used, names, _ = classifier.open_classifier(classified.run / "best.pt", config.load(header, [])[0])
    assert names == best["classes"] and (used.img_size, used.patch_size) == (96, 48)
    assert same(dict(model.state_dict()), dict(best["model"]))


def test_killed_and_started_again_gives_the_same_weights(classified, tmp_path):
    trainings.survives_kills(TRAIN, classified, tmp_path, 4, workers=0)


def test_another_seed_gives_other_weights(classified, tmp_path, call):
    """Else the test above would prove nothing."""
    done = call(TRAIN, *classified.words, f"dir_checkpoint={tmp_path}", "test_name=a", "epoch_max=1", "seed=408")
    assert done.code == 0, done.err
    assert trainings.rows_of(tmp_path / "a")[0]["train_loss"] != trainings.rows_of(classified.run)[0]["train_loss"]


def test_other_settings_are_refused_by_name(classified, call):
    told = ("learning_rate: 0.0003 -> 1e-05", "repeat_val: 5 -> 7")
    trainings.refuses_other_settings(TRAIN, classified, call, ["learning_rate=1e-5", "repeat_val=7"], told)


def test_a_finished_run_says_so_but_not_of_other_cases(classified, tmp_path, call):
    before = (classified.run / "last.pt").stat().st_mtime_ns
    done = call(TRAIN, *classified.words, "test_name=whole")
    told = f"{classified.run} is finished: {CLASSIFYING_EPOCHS} epochs, best macro F1"
    assert done.code == 0 and told in done.out
    shutil.copytree(classified.split, tmp_path / "moved")
    assert told in call(TRAIN, *classified.words, "test_name=whole", f"dir_split={tmp_path / 'moved'}").out
    draw_pair(tmp_path / "moved" / "train" / "normal", "new", "normal", 1)
    done = call(TRAIN, *classified.words, "test_name=whole", f"dir_split={tmp_path / 'moved'}")
    assert done.code == 1 and "was trained on other cases" in done.err and "restart=True" in done.err
    shutil.copytree(classified.split, tmp_path / "other")
    mask = next((tmp_path / "other" / "val" / "virus").glob("*.mask.npy"))
    np.save(mask, 1 - np.load(mask))
    done = call(TRAIN, *classified.words, "test_name=whole", f"dir_split={tmp_path / 'other'}")
    assert done.code == 1 and "or their images or masks were others" in done.err
    assert (classified.run / "last.pt").stat().st_mtime_ns == before


def test_patience_counts_from_the_last_rise_of_macro_f1(classified, tmp_path, call):
    told = "risen", "macro F1", "macro F1 in validation"
    trainings.stops_early_and_for_good(TRAIN, classified, call, tmp_path, CLASSIFYING_EPOCHS, *told)


def test_another_epoch_max_under_onecycle_is_told(classified, tmp_path, call):
    (tmp_path / "whole").mkdir()
    for name in ("log.jsonl", "best.pt"):
        shutil.copy(classified.run / name, tmp_path / "whole" / name)
    state = load(classified.run / "last.pt")
    torch.save(state | {"settings": state["settings"] | {"schedule": "onecycle"}}, tmp_path / "whole" / "last.pt")
    words = [*classified.words, f"dir_checkpoint={tmp_path}", "test_name=whole", "schedule=onecycle", "num_workers=1"]
    assert "learning rate goes on" not in call(TRAIN, *words).out  # finished, and as it was
    more = CLASSIFYING_EPOCHS + 1
    done = call(TRAIN, *words, f"epoch_max={more}")
    assert f"epoch_max was {CLASSIFYING_EPOCHS} and is {more} now: under schedule=onecycle the learning" in done.out
    assert done.code == 0 and load(tmp_path / "whole" / "last.pt")["epoch"] == more


def test_of_equal_scores_the_lower_loss_is_kept(classified, tmp_path, call, monkeypatch):
    losses = iter([0.9, 0.7, 0.8])
    monkeypatch.setattr(
        validation, "validate", lambda *_: {"val_score": 0.5, "val_accuracy": 0.5, "val_loss": next(losses)}
    )
    done = call(
        TRAIN,
        *classified.words,
        f"dir_checkpoint={tmp_path}",
        *"test_name=a epoch_max=9 patience=2 num_train=3 num_patches=1 net_label=squeezenet1_1".split(),
    )
    assert done.code == 0, done.err
    best, last = load(tmp_path / "a" / "best.pt"), load(tmp_path / "a" / "last.pt")
    assert best["epoch"] == last["best_epoch"] == 2 and last["risen"] == 1 and last["epoch"] == 3


@pytest.mark.parametrize(
    "patches,told", [(2, "the loss is nan in epoch 1, batch 2;"), (1, "the validation loss is nan after epoch 1;")]
)
def test_a_loss_of_nan_or_inf_stops(classified, tmp_path, call, patches, told):
    words = "net_label=squeezenet1_1 lambda_l1=0 num_train=6 seed=1".split()
    trainings.stops_without_a_number(TRAIN, call, tmp_path, told, *classified.words, *words, f"num_patches={patches}")


@pytest.mark.parametrize(
    "words,told",
    [
        (["dir_split=nowhere"], "nowhere has no folder train; make it with `python classification/split.py`"),
        (["net_label=unet"], "net_label='unet' is unknown"),
        (["start_weights=missing.pt"], "missing.pt does not exist"),
        (["classes=['normal','bacterial=bacteria']"], "no class takes the folders COVID-19, virus"),
        (["classes=['normal','bacterial=bacteria','viral=virus+COVID-19','TB']"], "holds no case of TB"),
        (["classes=['all=normal+bacteria+virus+COVID-19']"], "holds one class only"),
        (["schedule=cosine"], "schedule='cosine' is unknown"),
        (["vote=loudest"], "vote='loudest' is unknown; it is majority or mean"),
        (["sampling=spiral"], "sampling='spiral' is unknown"),
        (["approach=sparse"], "approach='sparse' is unknown; it is local or global or dense"),
        (["approach=dense", "net_label=squeezenet1_1"], "one linear layer, which squeezenet1_1 does not"),
        (["repeat_val=0"], "repeat_val=0 is too small"),
        (["num_batch_train=0"], "num_batch_train=0 is too small"),
        (["patch_size=8"], "patch_size=8 is too small for networks that halve an image five times; give 32 or more"),
        (["num_batch_train=1", "patch_size=32"], "a single feature of it, which batch normalisation cannot train on"),
    ],
)
def test_what_cannot_start_says_why(classified, tmp_path, call, words, told):
    done = call(TRAIN, *classified.words, f"dir_checkpoint={tmp_path}", "test_name=a", *words)
    assert done.code == 1 and told in done.err and "Traceback" not in done.err
    assert not (tmp_path / "a").exists()


def test_folds_are_offered_and_broken_pairs_all_named(classified, tmp_path, call):
    shutil.copytree(classified.split, tmp_path / "split" / "fold1")
    words = [*classified.words, f"dir_checkpoint={tmp_path}", "test_name=a"]
    done = call(TRAIN, *words, f"dir_split={tmp_path / 'split'}")
    assert done.code == 1 and f"name one of its folds: dir_split={tmp_path / 'split' / 'fold1'}" in done.err
    for part, folder, case in (("train", "virus", "virus-train-0"), ("val", "normal", "normal-val-1")):
        (tmp_path / "split" / "fold1" / part / folder / f"{case}.mask.npy").write_bytes(b"short")
    done = call(TRAIN, *words, f"dir_split={tmp_path / 'split' / 'fold1'}")
    assert done.code == 1 and "virus-train-0" in done.err and "normal-val-1" in done.err and "2 of 32" in done.err


def test_weights_of_another_run_start_one(classified, tmp_path, call):
    words = [
        *classified.words,
        f"dir_checkpoint={tmp_path}",
        f"start_weights={classified.run / 'best.pt'}",
        *"epoch_max=1 learning_rate=1e-12 num_train=6 num_patches=1".split(),
    ]
    assert call(TRAIN, *words, "test_name=next").code == 0
    one, other = load(tmp_path / "next" / "best.pt")["model"], load(classified.run / "best.pt")["model"]
    for name in ("conv1.weight", "fc.weight"):
        torch.testing.assert_close(one[name], other[name], atol=1e-9, rtol=0)
    done = call(TRAIN, *words, "test_name=none", "pretrained=imagenet", "net_label=resnet34")
    assert done.code == 1 and "holds resnet18, not resnet34" in done.err


@pytest.mark.parametrize("approach", ["global", "dense"])
def test_the_other_approaches_learn(classified, tmp_path, call, approach):
    words = [*classified.words, f"dir_checkpoint={tmp_path}", "test_name=a", f"approach={approach}", "epoch_max=2"]
    done = call(TRAIN, *words)
    assert done.code == 0, done.err
    rows = trainings.rows_of(tmp_path / "a")
    assert rows[1]["train_loss"] < rows[0]["train_loss"]
    model, used, _, _ = classifier.open_classifier(tmp_path / "a" / "best.pt", config.load(header, [])[0])
    assert used.approach == approach and "fc.weight" in model.state_dict()


def test_dense_loss_is_the_mean_over_windows_then_over_images(split_pairs):
    settings = settings_of("approach=dense", f"dir_split={split_pairs}", "rotation=0", "flip=0", "num_batch_train=2")
    data = training_cases.find(settings)
    images = dataset.Images(data.train, settings)
    model = train.predict.Windows(backbone.build("resnet18", 3).eval(), settings.patch_size)
    batch = next(epochs.batches(images, data.train, settings, 1))
    with torch.no_grad():
        found = train.cross_entropy(model, batch, settings, "cpu")
        expected = []
        for i in range(2):
            x = backbone.scale(batch.images[i][None, None].float(), "imagenet")
            logits, _ = model(x, batch.lungs[i][None])
            expected.append(-logits.log_softmax(1)[:, batch.labels[i]].mean())
    assert len(logits) > 1
    torch.testing.assert_close(found, torch.stack(expected).mean(), rtol=1e-5, atol=1e-6)


def test_penalty_is_on_weights_and_not_on_biases_or_normalisation():
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2), torch.nn.Linear(3, 2))
    total = train.absolute_weights(model)
    assert total.item() == pytest.approx(sum(model[i].weight.abs().sum().item() for i in (0, 2)), rel=1e-6)
    total.backward()
    for name, parameter in model.named_parameters():
        expected = parameter.sign() if name in ("0.weight", "2.weight") else None
        assert parameter.grad is None if expected is None else torch.equal(parameter.grad, expected)


def test_scores_count_only_classes_that_occur():
    found = validation.scores([0, 0, 1, 1], [0, 1, 1, 2], ["a", "b", "c"])
    assert found == {
        "val_score": pytest.approx((2 / 3 + 1 / 2) / 2),
        "val_accuracy": 0.5,
        "val_f1_a": pytest.approx(2 / 3),
        "val_f1_b": 0.5,
    }


def test_two_processes_give_the_gradients_of_their_batches_accumulated(split_pairs, tmp_path):
    (tmp_path / "gradients.py").write_text(GRADIENTS)
    words = [
        *CLASSIFYING,
        *"num_batch_train=3 num_patches=1 num_train=6 balanced=False lambda_l1=1e-3".split(),
        "input_scaling=imagenet",
        f"dir_split={split_pairs}",
    ]
    done = run(tmp_path / "gradients.py", ROOT, tmp_path, *words, processes=2)
    assert done.returncode == 0, done.stderr

    for approach in ("local", "dense"):
        settings = config.load(header, [*words, f"approach={approach}"])[0]
        data = training_cases.find(settings)
        images = dataset.Images(data.train, settings)
        network = backbone.build("resnet18", 3)
        network.load_state_dict(load(tmp_path / "start.pt"))
        model = train.predict.Windows(network, settings.patch_size) if approach == "dense" else network
        losses = []
        for rank in range(2):
            (batch,) = epochs.batches(images, data.train, settings, 1, rank, 2)
            losses.append(train.cross_entropy(model, batch, settings, "cpu"))
            (losses[-1] / 2).backward()
        (1e-3 * train.absolute_weights(model)).backward()
        for rank in range(2):
            found = load(tmp_path / f"{approach}{rank}.pt")
            assert found["loss"] == pytest.approx(losses[rank].item(), rel=1e-4)
            for name, parameter in network.named_parameters():
                scale = parameter.grad.abs().max().item()
                torch.testing.assert_close(
                    found["gradients"][name], parameter.grad, atol=1e-4 * scale + 1e-7, rtol=1e-3
                )


@pytest.mark.slow
def test_two_processes_killed_and_started_again_give_the_same_weights(classified, tmp_path):
    trainings.two_processes_survive_a_kill(TRAIN, tmp_path, *classified.words, "num_patches=1")
